"""`embed`: embeds a file through a running service and writes one vector file."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from app.cli.rows import Rows, open_rows
from app.cli.session import run_with_client
from app.client import AsyncEmbeddingClient, Embeddings, Images, Texts
from app.config.settings import ClientSettings
from app.corpus.rows import Piece
from app.corpus.vector_file import MODEL, SPACE, VectorFile, create_vector_file
from app.errors import InvalidRequest, ServiceError
from embeddings_client.embeddings import check_space
from embeddings_client.progress import OnProgress, bar


def run(options: argparse.Namespace, settings: ClientSettings) -> int:
    """Embed and print a JSON summary; return the exit code of `app.cli.session.run_with_client`."""

    async def embed(client: AsyncEmbeddingClient) -> None:
        started = time.perf_counter()
        # The output is opened first, so that an invalid name fails before any reading.
        with (
            create_vector_file(Path(options.out)) as file,
            open_rows(options.source, options.column, options.format) as rows,
            bar(rows.total, "images" if rows.images else "texts", options.progress, delay_s=0) as on_progress,
        ):
            summary = await _embed(client, rows, file, options, on_progress)
        seconds = time.perf_counter() - started
        sys.stderr.write(f"{summary['rows']:,} rows in {seconds:.1f} s\n")
        sys.stdout.write(json.dumps(summary | {"out": options.out}, indent=2) + "\n")

    return run_with_client(options, settings, embed)


async def _embed(
    client: AsyncEmbeddingClient, rows: Rows, file: VectorFile, options: argparse.Namespace, on_progress: OnProgress
) -> dict[str, Any]:
    first: Embeddings | None = None
    count = tokens = hits = truncated = skipped = 0
    for piece in rows.pieces():
        if piece.rejects and not options.skip_bad:
            raise rows.rejection(piece.rejects[0])
        skipped += len(piece.rejects)
        on_progress(len(piece.rejects))
        if not piece.origins:
            continue
        try:
            found = await client.run(_operation(piece, rows, options), on_progress)
        except ServiceError as error:
            raise rows.with_location(error, piece) from error
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


def _operation(piece: Piece, rows: Rows, options: argparse.Namespace) -> Texts | Images:
    if rows.images:
        return Images(piece.images, model=options.model, output_type=options.output_type)
    return Texts(piece.texts, model=options.model, output_type=options.output_type, input_type=options.input_type)
