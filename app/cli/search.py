"""`search` in a file: embeds its lines through a running service and ranks them here; of a file that `embed` wrote,
only the query is embedded. `embed_corpus` searches written corpora."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from app.cli.embed import truncated_line
from app.cli.result_line import json_line
from app.cli.rows import STDIN, Rows, open_rows
from app.cli.session import run_with_client
from app.client import AsyncEmbeddingClient, Texts
from app.config.settings import ClientSettings
from app.corpus.rows import rejected_files
from app.corpus.schema import python_rows
from app.corpus.vector_file import EmbeddedFile, open_embedded_file
from app.errors import InvalidItem, InvalidRequest, ServiceError, SpaceMismatch
from app.types import Vector
from app.vectors.similarity import rank
from embeddings_client.embeddings import check_space
from embeddings_client.progress import OnProgress, bar


def is_file_of_lines(destination: str) -> bool:
    """Whether it is a file or standard input, and not a written corpus."""
    path = Path(destination).expanduser()
    return destination == STDIN or (path.exists() and not path.is_dir() and path.suffix != ".npy")


def run(options: argparse.Namespace, settings: ClientSettings) -> int:
    """Search and print the results; return the exit code of `app.cli.session.run_with_client`."""

    async def search(client: AsyncEmbeddingClient) -> None:
        started = time.perf_counter()
        if options.sparse:
            raise InvalidRequest("--sparse is for a corpus: run `embed-corpus` first.")
        file = open_embedded_file(options.destination)
        if file is not None:
            best, count = await _search_embedded(client, file, options), file.rows
        else:
            with open_rows(options.destination, options.column, options.format) as rows:
                if rows.images:
                    raise InvalidRequest("Images can only be searched in a corpus: run `embed-corpus` first.")
                with bar(rows.source.rows, "texts", options.progress, delay_s=0) as on_progress:
                    best, count = await _search_lines(client, rows, options, on_progress), rows.source.rows
        for score, row in best.rows:
            sys.stdout.write(_format_result(score, row, options) + "\n")
        sys.stderr.write(f"{count:,} rows in {time.perf_counter() - started:.1f} s\n")

    return run_with_client(options, settings, search)


class Best:
    """The nearest rows so far: (score, row), best first, ties in the order of the file."""

    def __init__(self, query: Vector, top_k: int) -> None:
        self.rows: list[tuple[float, dict[str, Any]]] = []
        self._vectors: Vector = np.empty((0, query.size), np.float32)
        self._query = query
        self._top_k = top_k

    def add(self, table: Any, vectors: Vector) -> None:
        """A `pyarrow.Table` of n rows and (n, d)."""
        new = np.sort(rank(self._query, vectors, top_k=self._top_k).indices)
        rows = [*(row for _, row in self.rows), *python_rows(table.take(new))]
        candidates = np.concatenate([self._vectors, vectors[new]])
        # Those of before first, in their order: equal ones stay in the order they came.
        best = rank(self._query, candidates, top_k=self._top_k)
        self.rows = [(float(score), rows[i]) for i, score in zip(best.indices.tolist(), best.scores, strict=True)]
        self._vectors = candidates[best.indices]


async def _search_lines(
    client: AsyncEmbeddingClient, rows: Rows, options: argparse.Namespace, on_progress: OnProgress
) -> Best:
    query = await client.run(Texts([options.query], model=options.model, input_type="query"))
    best = Best(query.vectors[0], options.top_k)
    unread = rejected_files(rows.source)
    skipped, first, truncated = len(unread), next(iter(unread), None), len(query.truncated)
    for piece in rows.pieces():
        skipped += len(piece.rejects)
        first = first or next(iter(piece.rejects), None)
        on_progress(len(piece.rejects))
        if not piece.texts:
            continue
        try:
            found = await client.run(Texts(piece.texts, model=options.model, input_type="document"), on_progress)
        except ServiceError as error:
            raise rows.with_location(error, piece) from error
        check_space(query.space, found.space)
        truncated += len(found.truncated)
        best.add(piece.table, found.vectors)
    if not best.rows:
        why = f": {rows.location(first.source, first.row)}: {first.reason}" if first is not None else ""
        raise InvalidItem(f"{rows.name} has no row that can be searched{why}.")
    skips = f"{skipped:,} rows could not be read and were skipped\n" if skipped else ""
    sys.stderr.write(skips + truncated_line(truncated))
    return best


async def _search_embedded(client: AsyncEmbeddingClient, file: EmbeddedFile, options: argparse.Namespace) -> Best:
    query = await client.run(Texts([options.query], model=options.model or file.model, input_type="query"))
    if query.space != file.space:
        message = f"{file.path} was embedded in space {file.space!r}, but the service uses {query.space!r}"
        raise SpaceMismatch(f"{message}: they can't be compared. Embed the file again.", "model")
    best = Best(query.vectors[0], options.top_k)
    for table, vectors in file.parts():
        best.add(table, vectors)
    return best


def _format_result(score: float, row: dict[str, Any], options: argparse.Namespace) -> str:
    text = row.get(options.column)
    # Rows without the column, such as those of images, are printed whole.
    if options.json or not isinstance(text, str):
        return json_line({"score": round(score, 6)}, row)
    return f"{score:.4f}  {' '.join(text.split())}"
