"""KeyFile: the keys from the settings and from a mounted file, reloaded when the file changes. No HTTP."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app.auth.api_keys import KeyRing, parse
from app.config.args import AccessArgs
from app.config.settings import AppArgs

logger = logging.getLogger(__name__)

MAX_BYTES = 4 * 2**20


class KeyFile:
    """Holds the keys as of the last reload. `clock`: Unix seconds.

    The file's content is compared every few seconds, because its modification time is unreliable: Kubernetes swaps a
    link to update a mounted Secret, editors replace files, and archives restore old times.

    `lines`: keys from the settings; `path`: a file with more. Raises OSError or ValueError if one can't be read.
    """

    def __init__(self, lines: Sequence[str], path: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._lines = tuple(lines)
        self._path = path
        self.clock = clock
        self._content = self._read()
        self.ring = self._parse(self._content)

    def reload(self) -> bool:
        """Read the file again; return whether the keys have changed. An unusable file is logged and ignored."""
        try:
            content = self._read()
            if content == self._content:
                return False
            ring = self._parse(content)
        except (OSError, ValueError) as error:
            # The log must not contain the path or the content: a line may hold a secret by mistake.
            reason = error.strerror if isinstance(error, OSError) else str(error)
            logger.error("the API key file can't be used, the old keys stay valid: %s", reason)
            return False
        self._content, self.ring = content, ring
        logger.info("the API keys have changed: %d live now", ring.live(self.clock()))
        return True

    async def watch(self, period_s: float) -> None:
        """Reload every `period_s` seconds until cancelled."""
        while True:
            await asyncio.sleep(period_s)
            # A hanging file system must not block the event loop.
            await asyncio.to_thread(self.reload)

    def _read(self) -> str:
        if self._path is None:
            return ""
        with self._path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8 text") from None

    def _parse(self, content: str) -> KeyRing:
        # The file's lines come first, so that line numbers in messages are the file's.
        return parse([*content.splitlines(), *self._lines], self.clock())


def open_key_file(args: AccessArgs) -> KeyFile:
    """Raises ValueError with a message for the operator."""
    path = Path(args.keys_file).expanduser() if args.keys_file else None
    try:
        return KeyFile(args.keys, path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"API keys can't be read from {path or '`access.keys`'}: {reason}") from None


def check(args: AppArgs) -> None:
    """Raises ValueError if authentication is on and no key is valid."""
    if args.asks_for_keys:
        key_file = open_key_file(args.access)
        if not key_file.ring.live(key_file.clock()):
            raise ValueError(
                "`auth` is `required` and there is no API key that has not expired. Create one with "
                "`python -m app key` and put its line into the file that API_KEYS_FILE (`access.keys_file`) names."
            )
