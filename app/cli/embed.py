"""`embed`: a file through a running service, into one file of vectors."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from app.cli.rows import Rows, opened
from app.cli.session import talk
from app.client import AsyncEmbeddingClient, Embeddings, Images, Texts
from app.client.embeddings import check_space
from app.client.progress import OnProgress, bar
from app.config.settings import ClientSettings
from app.corpus.embedded_file import MODEL, SPACE
from app.corpus.rows import Piece
from app.corpus.vector_file import VectorFile, written
from app.errors import InvalidRequest, ServiceError


def run(options: argparse.Namespace, settings: ClientSettings) -> int:
    """The exit code, see `app.cli.session.talk`. A summary in JSON goes to stdout."""

    async def embed(client: AsyncEmbeddingClient) -> None:
        started = time.perf_counter()
        # First: a name that can't be written to is told before anything is read.
        with (
            written(Path(options.out)) as file,
            opened(options.source, options.column, options.format) as rows,
            bar(rows.total, "images" if rows.images else "texts", options.progress, delay_s=0) as on_progress,
        ):
            summary = await _embed(client, rows, file, options, on_progress)
        seconds = time.perf_counter() - started
        sys.stderr.write(f"{summary['rows']:,} rows in {seconds:.1f} s\n")
        sys.stdout.write(json.dumps(summary | {"out": options.out}, indent=2) + "\n")

    return talk(options, settings, embed)


async def _embed(
    client: AsyncEmbeddingClient, rows: Rows, file: VectorFile, options: argparse.Namespace, on_progress: OnProgress
) -> dict[str, Any]:
    first: Embeddings | None = None
    count = tokens = hits = truncated = skipped = 0
    for piece in rows.pieces():
        if piece.rejects and not options.skip_bad:
            raise rows.refuse(piece.rejects[0])
        skipped += len(piece.rejects)
        on_progress(len(piece.rejects))
        if not piece.origins:
            continue
        try:
            found = await client.run(_work(piece, rows, options), on_progress)
        except ServiceError as error:
            raise rows.located(error, piece) from error
        first = first or found
        check_space(first.space, found.space)
        file.write(piece.table, found.vectors, {MODEL: found.model, SPACE: found.space})
        count += len(found.vectors)
        tokens += found.tokens
        hits += found.cache_hits
        truncated += len(found.truncated)
    if first is None:
        raise InvalidRequest(f"{rows.name} has no row that can be embedded.")
    if first.note:
        sys.stderr.write(f"{first.note}\n")
    return {
        "rows": count,
        "skipped": skipped,
        "model": first.model,
        "space": first.space,
        "dimensions": first.dimensions,
        "outputType": options.output_type,
        "tokens": tokens,
        "truncated": truncated,
        "cacheHits": hits,
    }


def _work(piece: Piece, rows: Rows, options: argparse.Namespace) -> Texts | Images:
    if rows.images:
        return Images(piece.images, model=options.model, output_type=options.output_type)
    return Texts(piece.texts, model=options.model, output_type=options.output_type, input_type=options.input_type)
