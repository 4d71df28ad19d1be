"""The parts of a written corpus: `part-<span>-<piece>-<settings>-<content>.parquet`. <settings> is a hash of the
model's fingerprint, type and dimensions, <content> one of the source's rows. So a run is resumed without a journal:
rows whose part does not exist under its expected name still have to be embedded."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from app.corpus.filesystem import SCRATCH, Place
from app.corpus.known_vectors import with_vectors
from app.corpus.rows import Piece, Reject
from app.corpus.source import VECTORS
from app.errors import InvalidRequest

MANIFEST, SUMMARY, REJECTS = "_manifest.json", "_summary.json", "_rejects.jsonl"
_NAME = re.compile(r"part-\d{6,}-\d{4,}-(?P<settings>[0-9a-f]{12})-[0-9a-f]{24}\.parquet")
RANGE, CHUNKS = "embedding_range", "embed_chunks"  # in the metadata of Parquet
_REJECTS, _FACTS = b"embed_rejects", b"embed_facts"
Chunks = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PartStats:
    """Rows in a part, rows left out of it, and tokens of its rows. `more`: rows of both beyond those of the source, of
    texts that were cut into chunks."""

    rows: int
    rejects: int
    tokens: int
    more: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """Describes the output of a finished run. `kind`: what the model reads, or `sparse`. `range`: of int8. `directory`:
    of a model that was given as one. `chunks`: how texts were cut, if they were."""

    model: str
    fingerprint: str
    kind: str
    column: str
    dtype: str
    dimensions: int
    settings: str
    parts: list[tuple[str, int]]
    range: list[float] | None = None
    directory: str | None = None
    chunks: Chunks | None = None

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
    content.update(_as_json(piece.rejects))
    return f"part-{span:06d}-{piece.number:04d}-{settings}-{content.hexdigest()}.parquet"


def settings_of(name: str) -> str | None:
    """The settings key in a part's name; None if the file is not a part."""
    match = _NAME.fullmatch(name)
    return match["settings"] if match else None


def write_part(place: Place, piece: Piece, vectors: Any, stats: PartStats, **facts: Any) -> None:
    """`vectors` is (n, d) or n packed ones; `facts`: more for the metadata, if not None: `RANGE` of int8, `CHUNKS`."""
    table = with_vectors(piece.table, vectors)
    own = {_REJECTS: _as_json(piece.rejects), _FACTS: orjson.dumps(asdict(stats))}
    own |= {name.encode(): orjson.dumps(value) for name, value in facts.items() if value is not None}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **own})
    with place.writing() as file:
        # Vectors do not compress, so a dictionary of them would only cost time.
        pq.write_table(table, file, compression="zstd", compression_level=1, use_dictionary=piece.table.column_names)


def read_stats(place: Place) -> PartStats:
    return PartStats(**_read_metadata(place, _FACTS))


def _read_metadata(place: Place, key: bytes) -> Any:
    return orjson.loads(place.read_schema().metadata[key])


def parts(folder: Place) -> list[Place]:
    """The parts written so far. Raises InvalidRequest if the folder contains other files."""
    files = [file for file in folder.files() if not file.is_hidden(folder.path)]
    others = [file.name for file in files if settings_of(file.name) is None]
    if others:
        raise InvalidRequest(f"{folder.path} contains other files ({others[0]}); choose an empty or a new folder.")
    return files


def check_range(folder: Place, dimensions: int, range_: list[float]) -> None:
    """Raises InvalidRequest if a folder holds int8 vectors of another range: both would look alike to a reader."""
    manifests, schemas = _earlier(folder)
    int8 = pa.list_(pa.int8(), dimensions)
    alike = [schema for schema in schemas if VECTORS in schema.names and schema.field(VECTORS).type == int8]
    found = [m.range for m in manifests if (m.dtype, m.dimensions) == ("int8", dimensions)]
    found += [orjson.loads(schema.metadata.get(RANGE.encode(), b"null")) for schema in alike]
    if other := [each or "that earlier versions used" for each in found if each != range_]:
        raise InvalidRequest(f"{folder.path} holds int8 of the range {other[0]}, not {range_}: choose a new folder.")


def check_chunks(folder: Place, chunks: Chunks | None) -> None:
    """Raises InvalidRequest if a folder holds rows that were cut in another way: which row is whose would be lost."""
    manifests, schemas = _earlier(folder)
    found = [m.chunks for m in manifests]
    found += [orjson.loads(schema.metadata.get(CHUNKS.encode(), b"null")) for schema in schemas]
    if other := [each for each in found if each != chunks]:
        holds, asked = (f"chunks of {each}" if each else "whole texts" for each in (other[0], chunks))
        raise InvalidRequest(f"{folder.path} holds {holds}, not {asked}: choose a new folder.")


def _earlier(folder: Place) -> tuple[list[Manifest], list[Any]]:
    """The manifest of the last finished run, if there is one, and the schema of one part of each run."""
    manifests = [read_manifest(folder)] if (folder / MANIFEST).exists() else []
    one_of_each_run = {settings_of(part.name): part for part in parts(folder)}.values()
    return manifests, [part.read_schema() for part in one_of_each_run]


def write_rejects(folder: Place, files: Sequence[Reject], rejected: Iterable[str]) -> None:
    """`files`: those that can't be read. `rejected`: parts from which rows were left out."""
    rows = [reject for name in rejected for reject in _read_metadata(folder / name, _REJECTS)]
    (folder / REJECTS).write(b"".join(orjson.dumps(reject) + b"\n" for reject in [*files, *rows]))


def finish(folder: Place, manifest: Manifest) -> None:
    """Write the manifest, then delete parts that are not in it."""
    (folder / MANIFEST).write(orjson.dumps(asdict(manifest)))
    current = {name for name, _ in manifest.parts}
    for file in folder.files():
        if file.name.startswith(SCRATCH) or (settings_of(file.name) and file.name not in current):
            file.delete()


def read_manifest(folder: Place) -> Manifest:
    """The manifest of the last finished run. Raises InvalidRequest if no run has finished here."""
    try:
        data = orjson.loads((folder / MANIFEST).read())
    except FileNotFoundError as error:
        raise InvalidRequest(f"{folder.path} is not a finished corpus; run `embed-corpus` (again) first.") from error
    return Manifest(**{**data, "parts": [(name, rows) for name, rows in data["parts"]]})


def _as_json(rejects: Sequence[Reject]) -> bytes:
    return orjson.dumps([asdict(reject) for reject in rejects])
