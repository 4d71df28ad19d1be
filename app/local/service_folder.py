"""One folder of a service: Ray's session and HAProxy's files while it runs, afterwards only its last logs. Their Unix
sockets have paths of 107 bytes at most, and HAProxy's configuration ends a word at a space: so it lies in the first
place that is short and plain enough, often not in TMPDIR."""

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

LONGEST = 36  # Ray adds 68 bytes, HAProxy 71: a node's id, and the name that a socket has at first
PLAIN = re.compile(rb"[A-Za-z0-9/._-]+")
KEPT_BYTES = 10 * 2**20
ENDS = ("", *map("-{}".format, range(2, 10)))  # services of one port, at different addresses


@dataclass(slots=True)
class ServiceFolder:
    """Nobody else's while this process lives."""

    path: Path
    _lock: int

    @classmethod
    def take(cls, port: int, env: Mapping[str, str]) -> Self:
        """A folder with only the logs of the last service there; what killed ones left is removed. Raises OSError."""
        for root in roots(env):
            with suppress(OSError):
                root.mkdir(mode=0o700, exist_ok=True)
                found = root.lstat()
                # In a place of everybody's, others may have made a folder of this name.
                if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
                    taken = next(filter(None, (cls._lock_at(root / f"{port}{end}") for end in ENDS)), None)
                    if taken is None:
                        continue
                    for left in filter(None, map(cls._lock_at, [*root.iterdir()])):
                        left.leave()
                    taken.tidy()
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
        self._sweep()
        _trim(self.path.parent.glob("*/logs/**/*"))

    def close(self) -> None:
        with suppress(OSError):
            self.tidy()
        self.leave()

    def _sweep(self) -> None:
        logs = self.path / "logs"
        for last in sorted(self.path.glob("ray/session_2*/logs")):
            shutil.rmtree(logs, ignore_errors=True)
            last.rename(logs)
        for left in self.path.iterdir():
            if left.is_symlink() or not left.is_dir():
                left.unlink(missing_ok=True)
            elif left != logs:
                shutil.rmtree(left, ignore_errors=True)

    def leave(self) -> None:
        """Give it back with its last logs, or none of it."""
        with suppress(OSError):
            self._sweep()
            if not any(file.is_file() for file in self.path.rglob("*")):
                shutil.rmtree(self.path)
        os.close(self._lock)


def roots(env: Mapping[str, str]) -> Iterator[Path]:
    """Where folders of services may lie, best first."""
    places = [env.get("RAY_TMPDIR"), env.get("TMPDIR"), "/tmp", "/var/tmp"]  # noqa: S108 - the last resort
    with suppress(FileNotFoundError):
        places.insert(2, tempfile.gettempdir())
    for place in dict.fromkeys(filter(None, places)):
        root = Path(place).resolve() / _name()
        name = os.fsencode(root)
        with suppress(OSError):
            noexec = os.statvfs(root.parent).f_flag & getattr(os, "ST_NOEXEC", 0)
            if len(name) + len("/65535-9") <= LONGEST and PLAIN.fullmatch(name) and not noexec:
                yield root


def log_folder(port: int, env: Mapping[str, str]) -> Path | None:
    """Of the service at `port` that runs, or of the one that ran last."""
    paths = [root / f"{port}{end}" for root in roots(env) for end in ENDS]
    found = [logs for path in paths for logs in (*path.glob("ray/session_2*/logs"), path / "logs") if logs.is_dir()]
    return max(found, key=lambda logs: logs.stat().st_mtime, default=None)


def _name() -> str:
    return f"embed-{os.getuid()}"


def _trim(files: Iterable[Path]) -> None:
    """Keep the last bytes of the newest files."""
    left = KEPT_BYTES
    regular = [file for file in files if file.is_file() and not file.is_symlink()]
    for file in sorted(regular, key=lambda file: file.stat().st_mtime, reverse=True):
        size = file.stat().st_size
        if 0 < left < size:
            file.write_bytes(file.read_bytes()[-left:])
        elif not left or not size:
            file.unlink()
        left -= min(size, left)
