"""`embed`: embeds a file through a running service and writes one vector file."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from app.cli.rows import Rows, item_of, open_rows
from app.cli.session import run_with_client
from app.client import AsyncEmbeddingClient, Embeddings, Images, Texts
from app.config.settings import ClientSettings
from app.corpus.parts import RANGE
from app.corpus.rows import Piece, Reject, rejected_files
from app.corpus.vector_file import MODEL, SPACE, VectorFile, create_vector_file
from app.errors import InvalidItem, ServiceError
from embeddings_client.embeddings import check_space
from embeddings_client.progress import OnProgress, bar

SHOWN = 20  # skipped rows that are named


def run(options: argparse.Namespace, settings: ClientSettings) -> int:
    """Embed and print a JSON summary; return the exit code of `app.cli.session.run_with_client`."""

    async def embed(client: AsyncEmbeddingClient) -> None:
        started = time.perf_counter()
        skipped: list[str] = []
        try:
            # The output is opened first, so that an invalid name fails before any reading.
            with (
                create_vector_file(Path(options.out)) as file,
                open_rows(options.source, options.column, options.format) as rows,
                bar(rows.source.rows, "images" if rows.images else "texts", options.progress, delay_s=0) as on_progress,
            ):
                summary = await _embed(client, rows, file, options, on_progress, skipped)
        finally:
            more = [f"{len(skipped) - SHOWN:,} more"] if len(skipped) > SHOWN else []
            sys.stderr.writelines(f"Skipped {location}\n" for location in [*skipped[:SHOWN], *more])
        seconds = time.perf_counter() - started
        sys.stderr.write(f"{summary['rows']:,} rows in {seconds:.1f} s\n{truncated_line(summary['truncated'])}")
        sys.stdout.write(json.dumps(summary | {"out": options.out}, indent=2) + "\n")

    return run_with_client(options, settings, embed)


def truncated_line(count: int) -> str:
    """What people are told of texts of which the model has read a part."""
    return f"{count:,} texts were longer than the model reads and were truncated\n" if count else ""


async def _embed(
    client: AsyncEmbeddingClient,
    rows: Rows,
    file: VectorFile,
    options: argparse.Namespace,
    on_progress: OnProgress,
    skipped: list[str],
) -> dict[str, Any]:
    first: Embeddings | None = None
    count = tokens = hits = truncated = 0

    def skip(rejects: list[Reject]) -> None:
        if rejects and not options.skip_bad:
            raise rows.rejection(rejects[0])
        skipped.extend(f"{rows.location(reject.source, reject.row)}: {reject.reason}" for reject in rejects)
        on_progress(len(rejects))

    skip(rejected_files(rows.source))
    for whole in rows.pieces():
        skip(whole.rejects)
        pending = [whole]
        while pending:
            piece = pending.pop()
            if not piece.origins:
                continue
            left = [len(piece.origins)]

            def count_down(done: int, left: list[int] = left) -> None:
                left[0] -= done
                on_progress(done)

            try:
                found = await client.run(_operation(piece, rows, options), count_down)
            except ServiceError as error:
                refused, index = rows.with_location(error, piece), item_of(error)
                if index is None or not options.skip_bad:
                    raise refused from error
                skipped.append(str(refused))
                on_progress(1 + left[0] - len(piece.origins))
                pending += [piece.slice(index + 1), piece.slice(0, index)]
                continue
            first = first or found
            check_space(first.space, found.space)
            levels = {RANGE: json.dumps(found.range)} if found.range else {}
            file.write(piece.table, found.vectors, {MODEL: found.model, SPACE: found.space, **levels})
            count += len(found.vectors)
            tokens += found.tokens
            hits += found.cache_hits
            truncated += len(found.truncated)
    if first is None:
        raise InvalidItem(f"{rows.name} has no row that can be embedded.")
    if first.note:
        sys.stderr.write(f"{first.note}\n")
    return {
        "rows": count,
        "skipped": len(skipped),
        "model": first.model,
        "space": first.space,
        "dimensions": first.dimensions,
        "outputType": options.output_type,
        "tokens": tokens,
        "truncated": truncated,
        "cacheHits": hits,
        **({"range": list(first.range)} if first.range else {}),
        **({"hidden": rows.source.hidden} if rows.source.hidden else {}),
    }


def _operation(piece: Piece, rows: Rows, options: argparse.Namespace) -> Texts | Images:
    if rows.images:
        return Images(piece.images, model=options.model, output_type=options.output_type)
    return Texts(piece.texts, model=options.model, output_type=options.output_type, input_type=options.input_type)
