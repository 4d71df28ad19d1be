"""Reading back a Parquet file that `embed` wrote: its rows, its vectors, and the model that they are of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.corpus.known_vectors import matrix
from app.corpus.source import VECTORS
from app.errors import InvalidRequest
from app.types import Vector

MODEL, SPACE = "embedding_model", "embedding_space"
_ROWS = 4096


@dataclass(frozen=True, slots=True)
class EmbeddedFile:
    path: Path
    rows: int
    model: str
    space: str

    def parts(self) -> Iterator[tuple[Any, Vector]]:
        """A table of the other columns and (n, d) float32, some thousand rows at a time, in order."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_ROWS):
                table = pa.Table.from_batches([batch])
                yield table.drop_columns([VECTORS]), matrix(table)


def embedded_file(name: str) -> EmbeddedFile | None:
    """None for any other file.

    Raises:
        InvalidRequest: Its vectors are not the model's own float32.
    """
    path = Path(name).expanduser()
    if not path.is_file() or path.suffix.lower() not in (".parquet", ".pq"):
        return None
    try:
        schema, rows = pq.read_schema(path), pq.read_metadata(path).num_rows
    except pa.ArrowInvalid as error:
        raise InvalidRequest(f"{name} is no Parquet file: {error}") from None
    about = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items() if key != b"ARROW:schema"}
    if VECTORS not in schema.names or not {MODEL, SPACE} <= set(about):
        return None
    if schema.field(VECTORS).type.value_type != pa.float32():
        raise InvalidRequest(f"{name} holds {schema.field(VECTORS).type.value_type} vectors; search needs float32.")
    return EmbeddedFile(path, rows, about[MODEL], about[SPACE])
