"""`python -m app logs`: what the replicas of the service at a port have written, also after it has stopped."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.config.settings import process_environment
from app.local.service_folder import log_folder

POLL_S = 0.3
LAST_LINES = 200


def show(port: int, follow: bool, say: Callable[[str], None]) -> int:
    """Say the last lines of each file; with `follow`, go on until Ctrl-C, as the next service there begins too."""
    folder = log_folder(port, process_environment())
    if folder is None and not follow:
        say(f"There are no logs of a service at port {port}.")
        return 1
    read: dict[str, int] = {}
    if folder is not None:
        say(f"{folder}:")
    with suppress(KeyboardInterrupt):
        while True:
            for file, lines in _news(folder, read):
                for line in lines[-LAST_LINES:]:
                    say(f"{file.stem}: {line}")
            if not follow:
                break
            time.sleep(POLL_S)
            folder = log_folder(port, process_environment())
    return 0


def _news(folder: Path | None, read: dict[str, int]) -> list[tuple[Path, list[str]]]:
    """Whole lines beyond what was `read`, by file, the oldest file first."""
    news = []
    for file in sorted(folder.glob("serve/*.log"), key=lambda log: log.stat().st_mtime) if folder else ():
        with file.open("rb") as log:
            log.seek(read.get(file.name, 0))
            whole = log.read().rpartition(b"\n")[0]
        if whole:
            # By name: the files move when their service stops.
            read[file.name] = read.get(file.name, 0) + len(whole) + 1
            news.append((file, whole.decode(errors="replace").splitlines()))
    return news
