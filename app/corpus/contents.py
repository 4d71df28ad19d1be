"""Tells what a file is by its first and last bytes."""

from typing import Any

from app.corpus.filesystem import Place
from app.errors import InvalidRequest

_LFS, _PDF = b"version https://git-lfs.github.com/spec/", b"%PDF-"
# Text that begins like one of these has no NUL byte.
_KINDS = {
    _LFS: "a Git LFS pointer and not the file itself: run `git lfs pull`",
    b"PAR1": "a Parquet file",
    b"PARE": "an encrypted Parquet file",
    b"ORC": "an ORC file",
    b"ARROW1": "an Arrow file",
    b"PK\x03\x04": "a ZIP archive, as .xlsx and .docx are: export it as CSV or text",
    b"\xd0\xcf\x11\xe0": "an old Office document, as .xls is: export it as CSV or text",
    _PDF: "a PDF document: export it as text",
    **dict.fromkeys((b"\x89PNG", b"\xff\xd8\xff"), "an image"),
    **dict.fromkeys(
        (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh", b"\x04\x22\x4d\x18"), "compressed: decompress it first"
    ),
    **dict.fromkeys((b"\xff\xfe\0\0", b"\0\0\xfe\xff"), "UTF-32 text: convert it to UTF-8"),
    **dict.fromkeys((b"\xff\xfe", b"\xfe\xff"), "UTF-16 text: convert it to UTF-8"),
}


def kind(file: Place) -> str | None:
    """What else than UTF-8 text a file is. Single NUL bytes don't tell: their rows are rejected."""
    with file.open() as stream:
        head = stream.read(4096)
    for magic, name in _KINDS.items():
        if head.startswith(magic) and (b"\0" in head or magic in (_LFS, _PDF) or not magic.isascii()):
            return name
    return "binary, or text that is not UTF-8" if head.count(0) * 10 > len(head) else None


def check_parquet(file: Place, stream: Any) -> None:
    """Raises InvalidRequest if it does not begin and end as a Parquet file does."""
    size, begins = stream.size(), stream.read(4) == b"PAR1"
    stream.seek(max(0, size - 4))
    ends = stream.read(4) == b"PAR1"
    stream.seek(0)
    if not begins or not ends:
        other = "empty" if not size else "one that is cut off" if begins else kind(file) or "something else"
        raise InvalidRequest(f"{file.path} is not a Parquet file, but {other}.")
