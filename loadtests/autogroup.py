"""The kernel's grouping of processes by session, off while a load is made on one machine.

Linux gives each session one share of the CPUs ("autogroup", sched(7)), and a service is a session with dozens of busy
threads. On the virtual machines where these figures were made (Linux 6.18) nobody else was given his share then: with
two encoders at work a load driver waited 33 of 40 seconds for a CPU it asked for, and so did the kernel's own network
threads; 4 of 20 with the grouping off. Clients are on other machines elsewhere: what is measured here must not be that.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SWITCH = Path("/proc/sys/kernel/sched_autogroup_enabled")


@contextmanager
def off(switch: Path = SWITCH) -> Iterator[None]:
    """As it was in the end, also when this process is killed. Only root may do this; others are told and go on."""
    before = switch.read_text().strip() if switch.exists() else "0"
    if before == "0":
        yield
        return
    try:
        switch.write_text("0")
    except OSError:
        words = f"{switch} is {before} and can't be changed (root may): a busy service may take the load driver's CPU."
        print(words, file=sys.stderr)
        yield
        return
    # It waits for the end of its input, which the kernel closes with this process, whatever ends that.
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", 'cat > /dev/null; echo "$1" > "$2"', "sh", before, str(switch)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    with keeper:
        yield
