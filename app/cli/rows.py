"""Reads the rows of a file, a folder or standard input, for the commands that call a service."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from app.config.args import Limits
from app.corpus.rows import Piece, Reject, pieces
from app.corpus.source import Format, Source, plan
from app.errors import InvalidItem, InvalidRequest, ServiceError

STDIN = "-"
PIECE_ROWS = 4096  # rows in memory at once: enough for a few requests
# The service checks the length of texts: its limits may differ from the defaults here.
_LIMITS = Limits(text_bytes=2**30)


@dataclass(frozen=True, slots=True)
class Rows:
    """`name`: the source's name in messages."""

    source: Source
    name: str
    copied: bool

    @property
    def images(self) -> bool:
        return self.source.format == "image"

    def pieces(self) -> Iterator[Piece]:
        """The rows in order, some thousand at a time."""
        for span in self.source.spans:
            yield from pieces(self.source, span, PIECE_ROWS, _LIMITS)

    def location(self, file: str, row: int | None) -> str:
        """A row's location for messages; that of a file if `row` is None."""
        if row is None:
            return file
        unit = "row" if self.source.format in ("parquet", "image", "json") else "line"
        return f"{self.name if self.copied else file}, {unit} {row}"

    def rejection(self, reject: Reject) -> InvalidItem:
        location = self.location(reject.source, reject.row)
        return InvalidItem(f"{location}: {reject.reason}. Correct it, or pass --skip-bad.")

    def with_location(self, error: ServiceError, piece: Piece) -> ServiceError:
        """An error that names an item of `piece`, with that item's location added to the message."""
        index = item_of(error)
        if index is None:
            return error
        located = InvalidItem(f"{self.location(*piece.origins[index])}: {error.message}", error.param)
        located.request_id = error.request_id
        return located


def item_of(error: ServiceError) -> int | None:
    """The index of the item that an error names."""
    field, _, index = (error.param or "").partition(".")
    return int(index) if field in ("texts", "images") and index.isdigit() else None


@contextmanager
def open_rows(name: str, column: str, format_: Format | None) -> Iterator[Rows]:
    """The rows of a path, or of standard input (`-`), which is copied to a temporary file; text lines by default there
    and in pipes. Raises InvalidRequest as `plan` does, or if there are no rows."""
    path = Path(name).expanduser()
    copied = name == STDIN or path.is_fifo()
    with tempfile.TemporaryDirectory(prefix="embedding-") as folder:
        actual, shown = name, name
        if copied:
            actual, format_ = str(Path(folder, "input")), format_ or "text"
            shown = "standard input" if name == STDIN else name
            opened = nullcontext(sys.stdin.buffer) if name == STDIN else path.open("rb")
            with Path(actual).open("wb") as file, opened as stream:
                shutil.copyfileobj(stream, file)
        try:
            source = plan(actual, column, PIECE_ROWS, format_)
        except InvalidRequest as error:
            raise InvalidRequest(error.message.replace(actual, shown)) from None
        if not source.rows:
            raise InvalidRequest(f"{shown} is empty.")
        yield Rows(source, shown, copied)
