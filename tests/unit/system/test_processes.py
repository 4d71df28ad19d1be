"""Real processes. What changes the whole process (`adopt_orphans`) is done in a child of the tests."""

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")

ROOT = Path(__file__).parents[3]

# A process whose own child lives on in a session of its own, as Ray's daemons do; it tells the child's pid.
LEAVES_AN_ORPHAN = """
import subprocess, sys
sleeper = [sys.executable, "-c", "import signal; signal.pause()"]
child = subprocess.Popen(sleeper, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(child.pid, flush=True)
"""

STUBBORN = """
import signal
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""


def python(code: str, *arguments: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.split("\n")[:-1]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_an_orphaned_grandchild_is_adopted_and_ended() -> None:
    orphan, adopted, killed, left = python(
        """
import subprocess, sys
from app.system.processes import adopt_orphans, descendants, end_descendants
adopt_orphans()
orphan = subprocess.run([sys.executable, "-c", sys.argv[1]], capture_output=True, text=True, check=True).stdout
print(orphan.strip())
print([process.pid for process in descendants()])
print(end_descendants())
print(descendants())
""",
        LEAVES_AN_ORPHAN,
    )
    assert adopted == f"[{orphan}]"
    assert killed.startswith("['python")
    assert killed.endswith(f" ({orphan})']")
    assert left == "[]"
    assert gone(int(orphan))


def test_an_orphan_that_ended_is_reaped_and_no_zombie_stays() -> None:
    orphan, before, reaped, after, code = python(
        """
import os, signal, subprocess, sys
from app.system.processes import adopt_orphans, descendants, reap_orphans
adopt_orphans()
orphan = int(subprocess.run([sys.executable, "-c", sys.argv[1]], capture_output=True, text=True, check=True).stdout)
os.kill(orphan, signal.SIGKILL)
os.waitid(os.P_PID, orphan, os.WEXITED | os.WNOWAIT)
print(orphan)
print([process.status() for process in descendants()])
print(reap_orphans(0))
print(descendants())
own = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
os.waitid(os.P_PID, own.pid, os.WEXITED | os.WNOWAIT)
print(reap_orphans(own.pid), own.wait())
""",
        LEAVES_AN_ORPHAN,
    )
    assert (before, reaped, after) == ("['zombie']", f"[{orphan}]", "[]")
    assert code == "[] 7"


def test_without_adoption_an_orphan_is_out_of_reach() -> None:
    """The reason for all this; if it fails, the test above proves nothing."""
    orphan, adopted = python(
        """
import subprocess, sys
from app.system.processes import descendants
orphan = subprocess.run([sys.executable, "-c", sys.argv[1]], capture_output=True, text=True, check=True).stdout
print(orphan.strip())
print(descendants())
""",
        LEAVES_AN_ORPHAN,
    )
    process = psutil.Process(int(orphan))
    process.kill()
    psutil.wait_procs([process], timeout=5)
    assert adopted == "[]"


def test_a_process_that_ignores_signals_is_ended_and_zombies_are_not_waited_for() -> None:
    killed, code, seconds = python(
        """
import os, subprocess, sys, time
from app.system.processes import end_descendants
zombie = subprocess.Popen([sys.executable, "-c", ""])
os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
stubborn = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
stubborn.stdout.readline()
stubborn.stdout.close()
started = time.monotonic()
killed = end_descendants()
seconds = time.monotonic() - started
print([f"({stubborn.pid})" in name for name in killed])
# psutil may have reaped it before us; then its exit code is told as 0.
print(stubborn.wait())
print(seconds)
zombie.wait()
""",
        STUBBORN,
    )
    assert killed == "[True]"
    assert code in ("-9", "0")
    assert float(seconds) < 3


def test_children_of_children_are_ended_with_them() -> None:
    child, grandchild, killed = python(
        """
import subprocess, sys
from app.system.processes import end_descendants
parent = "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', sys.argv[1]]); print(c.pid); c.wait()"
child = subprocess.Popen([sys.executable, "-u", "-c", parent, sys.argv[1]], stdout=subprocess.PIPE, text=True)
lines = {child.stdout.readline().strip() for _ in range(2)}
child.stdout.close()
print(child.pid)
print(*(lines - {"ready"}))
print(end_descendants())
child.wait()
""",
        STUBBORN,
    )
    assert sorted(re.findall(r"\((\d+)\)", killed)) == sorted([child, grandchild])
    assert gone(int(grandchild))


@pytest.mark.parametrize(("code", "told"), [("raise SystemExit(3)", "3"), ("os.kill(os.getpid(), 9)", "137")])
def test_a_command_that_is_watched_over_tells_its_code_and_leaves_nothing(code: str, told: str) -> None:
    orphan, exit_code, left = python(
        """
import sys
from app.system.processes import descendants, watch_over
print(watch_over([sys.executable, "-c", sys.argv[1]], {"OF": "the caller"}, 5.0))
print(descendants())
""",
        f"import os\nassert 'PATH' not in os.environ and os.environ['OF']\n{LEAVES_AN_ORPHAN}\n{code}",
    )
    assert (exit_code, left) == (told, "[]")
    assert gone(int(orphan))


def test_a_stop_reaches_the_command_that_is_watched_over() -> None:
    assert python(
        """
import sys
from app.system.processes import watch_over
print(watch_over([sys.executable, "-c", sys.argv[1]], {}, 60.0))
""",
        "import os, signal\nos.kill(os.getppid(), signal.SIGTERM)\nsignal.pause()",
    ) == ["143"]


def test_nothing_to_end() -> None:
    assert python("from app.system.processes import end_descendants; print(end_descendants())") == ["[]"]


def test_a_child_dies_with_its_parent() -> None:
    [pid] = python(
        """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
child.stdout.close()
print(child.pid)
sys.stdout.flush()
import os
os._exit(0)
""",
        "import signal\nfrom app.system.processes import die_with_parent\n"
        "die_with_parent()\nprint('ready', flush=True)\nsignal.pause()\n",
    )
    _, alive = psutil.wait_procs([psutil.Process(int(pid))] if psutil.pid_exists(int(pid)) else [], timeout=5)
    assert all(gone(process.pid) for process in alive)


def test_elsewhere_than_on_linux_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.system import processes

    def no_library(name: None, **options: object) -> None:
        raise AssertionError("there is no prctl here")

    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("ctypes.CDLL", no_library)
    processes.adopt_orphans()
    processes.die_with_parent()
