"""One folder of a service: Ray's session and HAProxy's files while it runs, afterwards only its last logs.

Ray and HAProxy make Unix sockets in it, whose paths have 107 bytes at most, and HAProxy reads its path from a file
whose words end at a space. So it lies in the first place that is short and plain enough, often not TMPDIR.
"""

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# Ray adds 68 bytes, HAProxy 71: a node's id, and the name that a socket has at first.
LONGEST = 36
PLAIN = re.compile(rb"[A-Za-z0-9/._-]+")
KEPT_BYTES = 10 * 2**20
# Services of one port, at different addresses.
MOST = 10


@dataclass(slots=True)
class ServiceFolder:
    """Nobody else's while this process lives."""

    path: Path
    _lock: int

    @classmethod
    def take(cls, port: int, env: Mapping[str, str]) -> Self:
        """A folder with nothing in it but the logs of the last service there. What a killed one left is removed.

        Raises:
            OSError: No place will do.
        """
        for root in roots(env):
            with suppress(OSError):
                root.mkdir(mode=0o700, exist_ok=True)
                found = root.lstat()
                # In a place of everybody's, others may have made a folder of this name.
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                    continue
                root.chmod(0o700)
                taken = next(filter(None, map(cls._lock_at, _paths(root, port))), None)
                if taken is not None:
                    taken.tidy()
                    for other in root.iterdir():
                        if other != taken.path and (left := cls._lock_at(other)) is not None:
                            left.close()
                    return taken
        raise OSError(
            "no folder for its sockets: set RAY_TMPDIR to one that can be written, may hold programs, and has a path "
            f"of at most {LONGEST - len(f'/{_name()}/65535-9')} letters, digits, dots and dashes"
        )

    @classmethod
    def _lock_at(cls, path: Path) -> Self | None:
        path.mkdir(exist_ok=True)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):  # nobody has removed it meanwhile
                return cls(path, lock)
        os.close(lock)
        return None

    def tidy(self) -> None:
        """Leave of this service's files its last logs, and of all services' logs the last 10 MB."""
        if logs := sorted(self.path.glob("ray/session_2*/logs")):
            shutil.rmtree(self.path / "logs", ignore_errors=True)
            with suppress(OSError):
                logs[-1].rename(self.path / "logs")
        for left in self.path.glob("*"):
            if left.is_symlink() or not left.is_dir():
                left.unlink(missing_ok=True)
            elif left.name != "logs":
                shutil.rmtree(left, ignore_errors=True)
        _trim(self.path.parent.glob("*/logs/**/*"))

    def close(self) -> None:
        with suppress(OSError):
            self.tidy()
            if not any(file.is_file() for file in self.path.rglob("*")):
                shutil.rmtree(self.path)
        os.close(self._lock)


def roots(env: Mapping[str, str]) -> Iterator[Path]:
    """Where folders of services may lie, best first."""
    places = [env.get("RAY_TMPDIR", ""), env.get("TMPDIR", ""), "/tmp", "/var/tmp"]  # noqa: S108 - of last resort
    with suppress(FileNotFoundError):
        places.insert(2, tempfile.gettempdir())
    for place in dict.fromkeys(filter(None, places)):
        with suppress(OSError):
            root = Path(place).resolve() / _name()
            name, noexec = os.fsencode(root), os.statvfs(root.parent).f_flag & os.ST_NOEXEC
            if len(name) + len("/65535-9") <= LONGEST and PLAIN.fullmatch(name) and not noexec:
                yield root


def log_folder(port: int, env: Mapping[str, str]) -> Path | None:
    """Of the service at `port` that runs, or of the one that ran last."""
    found = [
        logs
        for root in roots(env)
        for path in _paths(root, port)
        for logs in (*path.glob("ray/session_2*/logs"), path / "logs")
        if logs.is_dir()
    ]
    return max(found, key=lambda logs: logs.stat().st_mtime, default=None)


def _name() -> str:
    return f"embed-{os.getuid()}"


def _paths(root: Path, port: int) -> list[Path]:
    return [root / f"{port}{end}" for end in ("", *map("-{}".format, range(2, MOST)))]


def _trim(files: Iterable[Path]) -> None:
    left = KEPT_BYTES
    regular = [file for file in files if file.is_file() and not file.is_symlink()]
    for file in sorted(regular, key=lambda file: file.stat().st_mtime, reverse=True):
        size = file.stat().st_size
        if size > left:
            with file.open("rb") as whole:
                whole.seek(size - left)
                end = whole.read()
            file.write_bytes(end)
        left -= min(size, left)
        if not file.stat().st_size:
            file.unlink()
