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
from app.corpus.source import SUFFIXES, Format, Source, plan
from app.errors import InvalidItem, InvalidRequest, ServiceError

STDIN = "-"
# Rows in memory at once: enough for a few requests.
PIECE_ROWS = 4096
# The service checks the length of texts: its limits may differ from the defaults here.
_LIMITS = Limits(text_bytes=2**30)
_SUFFIXES: dict[Format, str] = {"text": ".txt", "jsonl": ".jsonl", "csv": ".csv", "parquet": ".parquet"}


@dataclass(frozen=True, slots=True)
class Rows:
    """`name`: the source's name in messages; `total`: number of rows, including invalid ones."""

    source: Source
    name: str
    renamed: bool

    @property
    def total(self) -> int:
        return self.source.rows

    @property
    def images(self) -> bool:
        return self.source.format == "image"

    def pieces(self) -> Iterator[Piece]:
        """The rows in order, some thousand at a time."""
        for span in self.source.spans:
            yield from pieces(self.source, span, PIECE_ROWS, _LIMITS)

    def location(self, file: str, row: int) -> str:
        """A row's location for messages."""
        unit = "row" if self.source.format in ("parquet", "image") else "line"
        return f"{self.name if self.renamed else file}, {unit} {row}"

    def rejection(self, reject: Reject) -> InvalidItem:
        location = self.location(reject.source, reject.row)
        return InvalidItem(f"{location}: {reject.reason}. Correct it, or pass --skip-bad.")

    def with_location(self, error: ServiceError, piece: Piece) -> ServiceError:
        """An error that names an item of `piece`, with that item's location added to the message."""
        field, _, index = (error.param or "").partition(".")
        if field not in ("texts", "images") or not index.isdigit():
            return error
        located = InvalidItem(f"{self.location(*piece.origins[int(index)])}: {error.message}", error.param)
        located.request_id = error.request_id
        return located


@contextmanager
def open_rows(name: str, column: str, format_: Format | None) -> Iterator[Rows]:
    """The rows of a path, or of standard input (`-`), which is copied to a temporary file.

    The format is that of the file's suffix by default; text lines for stdin and unknown suffixes.

    Raises:
        InvalidRequest: The path or the column does not exist, formats are mixed, or there are no rows.
    """
    path = Path(name).expanduser()
    stream = name == STDIN or path.is_fifo()
    known = format_ is None and not stream and (path.is_dir() or path.suffix.lower() in SUFFIXES or not path.exists())
    with tempfile.TemporaryDirectory(prefix="embedding-") as folder:
        actual, shown = name, name
        if not known:
            with_suffix = Path(folder, f"input{_SUFFIXES[format_ or 'text']}")
            if stream:
                shown = "standard input" if name == STDIN else name
                opened = nullcontext(sys.stdin.buffer) if name == STDIN else path.open("rb")
                with with_suffix.open("wb") as file, opened as stdin:
                    shutil.copyfileobj(stdin, file)
            else:
                with_suffix.symlink_to(path.absolute())
            actual = str(with_suffix)
        try:
            source = plan(actual, column, PIECE_ROWS)
        except InvalidRequest as error:
            raise InvalidRequest(error.message.replace(actual, shown)) from None
        if not source.rows:
            raise InvalidRequest(f"{shown} is empty.")
        yield Rows(source, shown, renamed=not known)
