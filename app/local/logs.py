"""`python -m app logs`: what the replicas of the service at a port have written, also after it has stopped."""

import time
from collections.abc import Callable
from contextlib import suppress

from app.config.settings import process_environment
from app.local.service_folder import log_folder

POLL_S = 0.3
LAST_LINES = 200


def show(port: int, follow: bool, say: Callable[[str], None]) -> int:
    """Say the last lines of each file; with `follow`, go on until Ctrl-C, as the next service there begins too."""
    read: dict[str, int] = {}  # by name: the files move when their service stops
    folder = log_folder(port, process_environment())
    say(f"{folder}:" if folder else f"There are no logs of a service at port {port}.")
    with suppress(KeyboardInterrupt):
        while True:
            with suppress(FileNotFoundError):  # it moves just now
                for file in sorted(folder.glob("serve/*.log"), key=lambda log: log.stat().st_mtime) if folder else ():
                    with file.open("rb") as log:
                        log.seek(read.get(file.name, 0))
                        whole, end, _ = log.read().rpartition(b"\n")
                    read[file.name] = read.get(file.name, 0) + len(whole + end)
                    for line in whole.decode(errors="replace").splitlines()[-LAST_LINES:]:
                        say(f"{file.stem}: {line}")
            if not follow:
                return int(folder is None)
            time.sleep(POLL_S)
            folder = log_folder(port, process_environment())
    return 0
