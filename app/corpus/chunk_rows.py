"""Cuts the texts of a piece: a row for each chunk, with its parent's id, its number and where it is in the parent."""

import sys
from dataclasses import replace

import pyarrow as pa

from app.config.args import Limits
from app.corpus.model import CorpusModel
from app.corpus.rows import Piece, Reject, rejection_reason
from app.service.chunks import ChunkRule

NAMES = ("parent", "chunk", "start", "end")
LIMITS = Limits(text_bytes=Limits().chunk_body)
"""Of a text that is cut; its chunks have those of a text."""


def cut(piece: Piece, rule: ChunkRule, model: CorpusModel, column: str, id_column: str | None) -> Piece:
    """The piece's chunks: its columns, the chunk in place of the text, and those of `NAMES`. A parent without an
    `id_column` is named by its file and row, as in the rejects. Raises InvalidRequest if the model reads fewer tokens
    than `rule` says."""
    rejects, texts, owners = [*piece.rejects], list[str](), list[int]()
    places: list[tuple[int, int, int]] = []
    spans = model.chunks(piece.texts, rule.size, rule.overlap, rule.by, None, sys.maxsize - 1)
    for owner, own in enumerate(spans):
        whole, origin = piece.texts[owner], piece.origins[owner]
        if not own:
            rejects.append(Reject(*origin, "holds nothing but white space", whole[:200]))
        for number, (start, end) in enumerate(own):
            if reason := rejection_reason(whole[start:end], Limits()):
                rejects.append(Reject(*origin, f"chunk {number} {reason}", whole[start : start + 200]))
                continue
            texts.append(whole[start:end])
            owners.append(owner)
            places.append((number, start, end))
    named = pa.array([f"{file}:{row}" for file, row in piece.origins], pa.string())
    table = piece.table.append_column(NAMES[0], named if id_column is None else piece.table[id_column])
    # Without the texts: each would be copied for each of its chunks.
    at = table.schema.get_field_index(column)
    table = table.set_column(at, column, pa.nulls(len(table), pa.string())).take(pa.array(owners, pa.int64()))
    table = table.set_column(at, column, pa.array(texts, pa.string()))
    for index, name in enumerate(NAMES[1:]):
        table = table.append_column(name, pa.array([place[index] for place in places], pa.int32()))
    return replace(piece, table=table, texts=texts, origins=[piece.origins[i] for i in owners], rejects=rejects)
