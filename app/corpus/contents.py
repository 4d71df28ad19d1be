"""Tells what a file is by its first and last bytes."""

from typing import Any

from app.corpus.filesystem import Place
from app.errors import InvalidRequest

HEAD = 4096
_LFS = b"version https://git-lfs.github.com/spec/"
_PARQUET, _ENCRYPTED = b"PAR1", b"PARE"
# Where text begins like one of these, it has no NUL byte.
_KINDS = {
    _LFS: "a Git LFS pointer and not the file itself: run `git lfs pull`",
    _PARQUET: "a Parquet file",
    _ENCRYPTED: "an encrypted Parquet file",
    b"ORC": "an ORC file",
    b"ARROW1": "an Arrow file",
    b"Obj\x01": "an Avro file",
    b"\x93NUMPY": "a NumPy file",
    b"\x1f\x8b": "compressed with gzip: decompress it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: decompress it first",
    b"\xfd7zXZ": "compressed with xz: decompress it first",
    b"BZh": "compressed with bzip2: decompress it first",
    b"PK\x03\x04": "a ZIP archive, as .xlsx and .docx are: export it as CSV or text",
    b"\xd0\xcf\x11\xe0": "an old Office document, as .xls is: export it as CSV or text",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "an SQLite database",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\xff\xfe": "UTF-16 text: convert it to UTF-8",
    b"\xfe\xff": "UTF-16 text: convert it to UTF-8",
}


def check_text(file: Place, stream: Any) -> int:
    """The byte at which a text file's text begins: 3 behind a byte order mark, else 0.

    Raises:
        InvalidRequest: It is another kind of file. Single NUL bytes are no reason: their rows are rejected.
    """
    head = stream.read(HEAD)
    stream.seek(0)
    kind = kind_of(head)
    if kind is None and head.count(0) * 10 > len(head):
        kind = "binary, or text that is not UTF-8"
    if kind is not None:
        raise InvalidRequest(f"{file.shown} is {kind}.")
    return 3 if head.startswith(b"\xef\xbb\xbf") else 0


def check_parquet(file: Place, stream: Any) -> None:
    """Raises InvalidRequest if it does not begin and end as a Parquet file does."""
    size = stream.size()
    head = stream.read(HEAD)
    stream.seek(max(0, size - 4))
    tail = stream.read(4)
    stream.seek(0)
    if not size:
        raise InvalidRequest(f"{file.shown} is empty: it has 0 bytes, and a Parquet file at least 12.")
    if not head.startswith(_PARQUET):
        raise InvalidRequest(f"{file.shown} is {kind_of(head) or 'not a Parquet file'}.")
    if size < 12 or tail != _PARQUET:
        raise InvalidRequest(f"{file.shown} is cut off: it begins as a Parquet file and does not end as one.")


def kind_of(head: bytes) -> str | None:
    """What else than text a file is that begins like this."""
    for magic, kind in _KINDS.items():
        if head.startswith(magic) and (b"\0" in head or magic == _LFS or not magic.isascii()):
            return kind
    return None
