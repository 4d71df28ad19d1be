"""KeyBook: the keys of the settings and of a mounted file, read again when the file changes. No HTTP."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app.auth.api_keys import KeyRing, parse
from app.config.args import AccessArgs
from app.config.settings import AppArgs

logger = logging.getLogger(__name__)

MOST_BYTES = 4 * 2**20


class KeyBook:
    """Knows the keys as of the last look at the file.

    Kubernetes swaps a mounted Secret by a link, editors replace files, and a file's time may be that of its archive:
    so the content is compared, every few seconds, and not its time alone.

    Args:
        lines: Keys of the settings, as lines.
        path: A file of further lines; None for none.
        clock: Unix seconds.

    Raises:
        OSError, ValueError: The file can't be read, or a line is wrong.
    """

    def __init__(self, lines: Sequence[str], path: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._lines = tuple(lines)
        self._path = path
        self.clock = clock
        self._content = self._read()
        self.ring = self._parse(self._content)

    def look(self) -> bool:
        """Read the file; whether there are other keys now. What can't be used changes nothing, and is logged."""
        try:
            content = self._read()
            if content == self._content:
                return False
            ring = self._parse(content)
        except (OSError, ValueError) as error:
            # Its path and its content stay out of the log: a line may hold what should not be there.
            reason = error.strerror if isinstance(error, OSError) else str(error)
            logger.error("the file of API keys can't be used, the keys stay as they were: %s", reason)
            return False
        self._content, self.ring = content, ring
        logger.info("the API keys have changed: %d live now", ring.live(self.clock()))
        return True

    async def watch(self, period_s: float) -> None:
        """Look every `period_s` seconds until cancelled."""
        while True:
            await asyncio.sleep(period_s)
            # A file system may hang; the requests must not.
            await asyncio.to_thread(self.look)

    def _read(self) -> str:
        if self._path is None:
            return ""
        with self._path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8 text") from None

    def _parse(self, content: str) -> KeyRing:
        # Numbers in messages are the file's: the settings' lines come after them.
        return parse([*content.splitlines(), *self._lines], self.clock())


def open_book(args: AccessArgs) -> KeyBook:
    """Raises ValueError, in words for the operator."""
    path = Path(args.keys_file).expanduser() if args.keys_file else None
    try:
        return KeyBook(args.keys, path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"API keys can't be read from {path or '`access.keys`'}: {reason}") from None


def check(args: AppArgs) -> None:
    """Raises ValueError when keys are asked for and nobody could have one."""
    if args.asks_for_keys:
        book = open_book(args.access)
        if not book.ring.live(book.clock()):
            raise ValueError(
                "`auth` is `required` and there is no API key that has not expired. Make one with `python -m app key` "
                "and put its line into the file that API_KEYS_FILE (`access.keys_file`) names."
            )
