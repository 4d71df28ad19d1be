"""The parts of a written corpus. A part's name identifies its content, and parts are written atomically.

`part-<span>-<piece>-<settings>-<content>.parquet`: <settings> is a hash of the model's fingerprint, type and
dimensions, <content> a hash of the source's rows. So a run is resumed without a journal: rows whose part does not exist
under its expected name still have to be embedded.
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
class PartStats:
    """Rows in a part, rows left out of it, and tokens of its rows."""

    rows: int
    rejects: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Describes the complete output of a finished run."""

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
        """Identifies exactly these vectors."""
        return hashlib.blake2b(json.dumps(self.parts).encode(), digest_size=8).hexdigest()


def settings_key(*settings: object) -> str:
    """Equal rows have equal vectors if their keys are equal."""
    return hashlib.blake2b(json.dumps(settings).encode(), digest_size=6).hexdigest()


def part_name(span: int, piece: Piece, settings: str) -> str:
    """The name of a piece's part, which depends only on the piece's content."""
    sink = pa.BufferOutputStream()
    table = piece.table.combine_chunks()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content = hashlib.blake2b(sink.getvalue(), digest_size=12)
    content.update(_as_json(piece))
    return f"part-{span:06d}-{piece.number:04d}-{settings}-{content.hexdigest()}.parquet"


def settings_of(name: str) -> str | None:
    """The settings key in a part's name; None if the file is not a part."""
    match = _NAME.fullmatch(name)
    return match["settings"] if match else None


def write_part(place: Place, piece: Piece, vectors: Any, stats: PartStats) -> int:
    """Write one part atomically. `vectors` is (n, d); returns the number of bytes."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    table = piece.table.append_column(VECTORS, column)
    own = {_REJECTS: _as_json(piece), _FACTS: orjson.dumps(asdict(stats))}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **own})
    sink = pa.BufferOutputStream()
    # Vectors do not compress, so a dictionary of them would only cost time.
    others = list(piece.table.column_names)
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=others)
    data = sink.getvalue()
    place.write(data)
    return int(data.size)


def read_stats(place: Place) -> PartStats:
    with place.open() as file:
        return PartStats(**orjson.loads(pq.read_schema(file).metadata[_FACTS]))


def read_rejects(place: Place) -> list[dict[str, Any]]:
    with place.open() as file:
        found: list[dict[str, Any]] = orjson.loads(pq.read_schema(file).metadata[_REJECTS])
        return found


def parts(folder: Place) -> list[Place]:
    """The parts written so far.

    Raises:
        InvalidRequest: The folder contains other files.
    """
    files = folder.files()
    others = [file.name for file in files if settings_of(file.name) is None]
    if others:
        raise InvalidRequest(f"{folder.path} contains other files ({others[0]}); choose an empty or a new folder.")
    return files


def finish(folder: Place, manifest: Manifest, rejected: Iterable[str]) -> None:
    """Write the manifest, then delete parts that are not in it. `rejected`: parts from which rows were left out."""
    lines = [orjson.dumps(reject) for name in rejected for reject in read_rejects(folder / name)]
    (folder / REJECTS).write(b"".join(line + b"\n" for line in lines))
    (folder / MANIFEST).write(orjson.dumps(asdict(manifest)))
    current = {name for name, _ in manifest.parts}
    for part in parts(folder):
        if part.name not in current:
            part.delete()
    for scratch in folder.scratch():
        scratch.delete()


def read_manifest(folder: Place) -> Manifest:
    """The manifest of the last finished run.

    Raises:
        InvalidRequest: No run has finished here.
    """
    try:
        data = orjson.loads((folder / MANIFEST).read())
    except FileNotFoundError as error:
        raise InvalidRequest(f"{folder.path} is not a finished corpus; run `embed-corpus` (again) first.") from error
    return Manifest(**{**data, "parts": [(name, rows) for name, rows in data["parts"]]})


def _as_json(piece: Piece) -> bytes:
    return orjson.dumps([reject.to_dict() for reject in piece.rejects])
