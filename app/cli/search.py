"""`search` in a file: its lines are embedded through a running service and ranked here; of a file that `embed` wrote,
only the query is.

Written corpora are `corpus_command`'s.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from app.cli.rows import STDIN, Rows, opened
from app.cli.session import talk
from app.client import AsyncEmbeddingClient, Texts
from app.client.embeddings import check_space
from app.client.progress import Tell, bar
from app.config.settings import ClientSettings
from app.corpus.embedded_file import EmbeddedFile, embedded_file
from app.errors import InvalidRequest, ServiceError, SpaceMismatch
from app.types import Vector
from app.vectors.similarity import rank


def is_of_lines(destination: str) -> bool:
    """Whether it is no written corpus but a file, or standard input."""
    path = Path(destination).expanduser()
    return destination == STDIN or (path.exists() and not path.is_dir() and path.suffix != ".npy")


def run(options: argparse.Namespace, settings: ClientSettings) -> int:
    """The exit code, see `app.cli.session.talk`."""

    async def search(client: AsyncEmbeddingClient) -> None:
        started = time.perf_counter()
        file = embedded_file(options.destination)
        if file is not None:
            best, count = await _stored(client, file, options), file.rows
        else:
            with opened(options.destination, options.column, options.format) as rows:
                if rows.images:
                    raise InvalidRequest("Images are searched in a corpus: run `embed-corpus` first.")
                with bar(rows.total, "texts", options.progress, delay_s=0) as tell:
                    best, count = await _lines(client, rows, options, tell), rows.total
        for score, row in best.rows:
            sys.stdout.write(_line(score, row, options) + "\n")
        sys.stderr.write(f"{count:,} rows in {time.perf_counter() - started:.1f} s\n")

    return talk(options, settings, search)


class Best:
    """The nearest rows so far: (score, row), best first, equal ones in the order they came."""

    def __init__(self, query: Vector, top_k: int) -> None:
        self.rows: list[tuple[float, dict[str, Any]]] = []
        self._vectors: Vector = np.empty((0, query.size), np.float32)
        self._query = query
        self._top_k = top_k

    def add(self, table: Any, vectors: Vector) -> None:
        """A `pyarrow.Table` of n rows and (n, d)."""
        new = np.sort(rank(self._query, vectors, top_k=self._top_k).indices)
        rows = [*(row for _, row in self.rows), *(table.slice(i, 1).to_pylist()[0] for i in new.tolist())]
        candidates = np.concatenate([self._vectors, vectors[new]])
        # Those of before first, in their order: equal ones stay in the order they came.
        best = rank(self._query, candidates, top_k=self._top_k)
        self.rows = [(float(score), rows[i]) for i, score in zip(best.indices.tolist(), best.scores, strict=True)]
        self._vectors = candidates[best.indices]


async def _lines(client: AsyncEmbeddingClient, rows: Rows, options: argparse.Namespace, tell: Tell) -> Best:
    query = await client.run(Texts([options.query], model=options.model, input_type="query"))
    best = Best(query.vectors[0], options.top_k)
    skipped = 0
    for piece in rows.pieces():
        skipped += len(piece.rejects)
        tell(len(piece.rejects))
        if not piece.texts:
            continue
        try:
            found = await client.run(Texts(piece.texts, model=options.model, input_type="document"), tell)
        except ServiceError as error:
            raise rows.located(error, piece) from error
        check_space(query.space, found.space)
        best.add(piece.table, found.vectors)
    if skipped:
        sys.stderr.write(f"{skipped:,} rows can't be read and were left out\n")
    return best


async def _stored(client: AsyncEmbeddingClient, file: EmbeddedFile, options: argparse.Namespace) -> Best:
    query = await client.run(Texts([options.query], model=options.model or file.model, input_type="query"))
    if query.space != file.space:
        words = f"{file.path} was embedded in {file.space!r}, and the service answers in {query.space!r}"
        raise SpaceMismatch(f"{words}: vectors of two models don't compare. Embed the file anew.", "model")
    best = Best(query.vectors[0], options.top_k)
    for table, vectors in file.parts():
        best.add(table, vectors)
    return best


def _line(score: float, row: dict[str, Any], options: argparse.Namespace) -> str:
    text = row.get(options.column)
    # Rows without the column, as those of images, are shown whole.
    if options.json or not isinstance(text, str):
        return json.dumps({"score": round(score, 6), **row}, ensure_ascii=False, default=str)
    return f"{score:.4f}  {' '.join(text.split())}"
