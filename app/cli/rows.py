"""Rows of a file, a folder or standard input for the commands that ask a service. Formats are `corpus_source`'s."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.config.args import Limits
from app.corpus.rows import Piece, Reject, pieces
from app.corpus.source import SUFFIXES, Format, Source, plan
from app.errors import InvalidItem, InvalidRequest, ServiceError

STDIN = "-"
# Rows read and held at once: some requests' worth.
PIECE_ROWS = 4096
# How long a text may be is for the service to say, whose limits may be others.
_LIMITS = Limits(text_bytes=2**30)
_ENDINGS: dict[Format, str] = {"text": ".txt", "jsonl": ".jsonl", "csv": ".csv", "parquet": ".parquet"}


@dataclass(frozen=True, slots=True)
class Rows:
    """`name`: what people call where they come from; `total`: how many, bad ones included."""

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
        """In order, some thousand rows each; one without rows that can be used is none."""
        for span in self.source.spans:
            yield from pieces(self.source, span, PIECE_ROWS, _LIMITS)

    def place(self, file: str, row: int) -> str:
        """A row in words."""
        unit = "row" if self.source.format in ("parquet", "image") else "line"
        return f"{self.name if self.renamed else file}, {unit} {row}"

    def refuse(self, reject: Reject) -> InvalidItem:
        return InvalidItem(f"{self.place(reject.source, reject.row)}: {reject.reason}. Mend it, or pass --skip-bad.")

    def located(self, error: ServiceError, piece: Piece) -> ServiceError:
        """An error that names an item of `piece`, with that item's place before its words."""
        field, _, index = (error.param or "").partition(".")
        if field not in ("texts", "images") or not index.isdigit():
            return error
        words = f"{self.place(*piece.origins[int(index)])}: {error.message}"
        found = InvalidItem(words, error.param)
        found.request_id = error.request_id
        return found


@contextmanager
def opened(name: str, column: str, given: Format | None) -> Iterator[Rows]:
    """The rows of a path, or of standard input (`-`), which is kept in a temporary file meanwhile.

    Args:
        given: The format; None: by the file's ending, text lines for stdin and endings not known.

    Raises:
        InvalidRequest: Nothing there, formats mixed, no such column, or no rows.
    """
    path = Path(name).expanduser()
    stream = name == STDIN or path.is_fifo()
    known = given is None and not stream and (path.is_dir() or path.suffix.lower() in SUFFIXES or not path.exists())
    with tempfile.TemporaryDirectory(prefix="embedding-") as folder:
        read, shown = name, name
        if not known:
            ending = Path(folder, f"input{_ENDINGS[given or 'text']}")
            if stream:
                shown = "standard input" if name == STDIN else name
                with ending.open("wb") as file, _stream(path, name) as stdin:
                    shutil.copyfileobj(stdin, file)
            else:
                ending.symlink_to(path.absolute())
            read = str(ending)
        try:
            source = plan(read, column, PIECE_ROWS)
        except InvalidRequest as error:
            raise InvalidRequest(error.message.replace(read, shown)) from None
        if not source.rows:
            raise InvalidRequest(f"{shown} is empty.")
        yield Rows(source, shown, renamed=not known)


def _stream(path: Path, name: str) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdin.buffer) if name == STDIN else path.open("rb")
