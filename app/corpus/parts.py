"""The written corpus, which is its own ledger: a part's name says what it holds, and it is there whole or not at all.

`part-<span>-<piece>-<settings>-<content>.parquet`: settings are the model's fingerprint, type and dimensions,
content a hash of the source's rows. A row's part exists under the name it must have, or the row is still to do.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from app.corpus.filesystem import Place
from app.corpus.rows import Piece
from app.corpus.source import VECTORS
from app.errors import InvalidRequest

MANIFEST, SUMMARY, REJECTS = "_manifest.json", "_summary.json", "_rejects.jsonl"
_NAME = re.compile(r"part-\d{6,}-\d{4,}-(?P<settings>[0-9a-f]{12})-[0-9a-f]{24}\.parquet")
_REJECTS, _FACTS = b"embed_rejects", b"embed_facts"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of a part: rows in it, rows left out, tokens of its rows."""

    rows: int
    rejects: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished run says of the whole."""

    model: str
    fingerprint: str
    kind: str
    column: str
    dtype: str
    dimensions: int
    settings: str
    parts: list[tuple[str, int]]

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.parts)

    def key(self) -> str:
        """Names exactly these vectors."""
        return hashlib.blake2b(json.dumps(self.parts).encode(), digest_size=8).hexdigest()


def settings_key(*settings: object) -> str:
    """Vectors of equal rows are equal under equal keys."""
    return hashlib.blake2b(json.dumps(settings).encode(), digest_size=6).hexdigest()


def part_name(span: int, piece: Piece, settings: str) -> str:
    """The name under which this piece is written, from what is in it alone."""
    sink = pa.BufferOutputStream()
    table = piece.table.combine_chunks()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content = hashlib.blake2b(sink.getvalue(), digest_size=12)
    content.update(_as_json(piece))
    return f"part-{span:06d}-{piece.number:04d}-{settings}-{content.hexdigest()}.parquet"


def settings_of(name: str) -> str | None:
    """The settings in a part's name; None for a file that is no part."""
    match = _NAME.fullmatch(name)
    return match["settings"] if match else None


def write_part(place: Place, piece: Piece, vectors: Any, facts: Facts) -> int:
    """One file, all or nothing. `vectors` is (n, d); returns the bytes written."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    table = piece.table.append_column(VECTORS, column)
    own = {_REJECTS: _as_json(piece), _FACTS: orjson.dumps(asdict(facts))}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **own})
    sink = pa.BufferOutputStream()
    # Vectors don't compress; a dictionary of them would only cost time.
    others = list(piece.table.column_names)
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=others)
    data = sink.getvalue()
    place.write(data)
    return int(data.size)


def facts_of(place: Place) -> Facts:
    with place.open() as file:
        return Facts(**orjson.loads(pq.read_schema(file).metadata[_FACTS]))


def rejects_of(place: Place) -> list[dict[str, Any]]:
    with place.open() as file:
        found: list[dict[str, Any]] = orjson.loads(pq.read_schema(file).metadata[_REJECTS])
        return found


def parts(folder: Place) -> list[Place]:
    """What is written so far.

    Raises:
        InvalidRequest: The folder holds files that this did not write.
    """
    files = folder.files()
    strangers = [file.name for file in files if settings_of(file.name) is None]
    if strangers:
        raise InvalidRequest(f"{folder.path} holds other files ({strangers[0]}); choose an empty or a new folder.")
    return files


def finish(folder: Place, manifest: Manifest, rejected: Iterable[str]) -> None:
    """Tell readers what counts, then remove what no longer does. `rejected`: parts whose rows were not all good."""
    lines = [orjson.dumps(reject) for name in rejected for reject in rejects_of(folder / name)]
    (folder / REJECTS).write(b"".join(line + b"\n" for line in lines))
    (folder / MANIFEST).write(orjson.dumps(asdict(manifest)))
    current = {name for name, _ in manifest.parts}
    for part in parts(folder):
        if part.name not in current:
            part.delete()
    for scratch in folder.scratch():
        scratch.delete()


def read_manifest(folder: Place) -> Manifest:
    """Of the last finished run.

    Raises:
        InvalidRequest: No run has finished here.
    """
    try:
        data = orjson.loads((folder / MANIFEST).read())
    except FileNotFoundError as error:
        raise InvalidRequest(f"{folder.path} is no finished corpus; run `embed-corpus` (again) first.") from error
    return Manifest(**{**data, "parts": [(name, rows) for name, rows in data["parts"]]})


def _as_json(piece: Piece) -> bytes:
    return orjson.dumps([reject.to_dict() for reject in piece.rejects])
