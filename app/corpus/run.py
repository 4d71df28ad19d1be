"""`embed_corpus`: from a corpus to a folder of vectors. Who runs the workers is the caller's choice."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import orjson

from app.config.args import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, PART_ROWS, ModelArgs
from app.corpus import npy, parts
from app.corpus.filesystem import Place, locate
from app.corpus.model import LoadModel, load_model
from app.corpus.parts import MANIFEST, SUMMARY, Manifest
from app.corpus.progress import Progress
from app.corpus.source import Span, plan
from app.corpus.worker import CorpusEncoder, CorpusJob, Receipt
from app.errors import InvalidItem
from app.vectors.corpus_vectors import Dtype

Execute = Callable[[CorpusJob, Sequence[Span]], Generator[Receipt]]


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """How a corpus is embedded. `models`: the one for texts and the one for images."""

    column: str = "text"
    id_column: str | None = None
    models: tuple[ModelArgs, ModelArgs] = (ModelArgs(id=DEFAULT_TEXT_MODEL), ModelArgs(id=DEFAULT_IMAGE_MODEL))
    dtype: Dtype = "float32"
    dimensions: int | None = None
    part_rows: int = PART_ROWS
    threads: int = 1
    offline: bool = False
    strict: bool = False


def in_process(load: LoadModel = load_model) -> Execute:
    """Run everything here, one span after the other, without Ray."""

    def execute(job: CorpusJob, spans: Sequence[Span]) -> Generator[Receipt]:
        encoder = CorpusEncoder(job, load(job.model, job.kind, job.threads, job.offline))
        for span in spans:
            yield from encoder(span)

    return execute


def embed_corpus(
    source: str,
    destination: str,
    options: CorpusOptions,
    execute: Execute,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Embed what is not embedded yet; the summary, which is also written to `_summary.json`.

    Args:
        source: File or folder: Parquet, JSONL, CSV, text lines or images.
        destination: A folder for Parquet, or a file ending in `.npy`; see `app.corpus.npy` for what lies beside that.
        execute: Runs the spans, in any order, as often as it must.
        tell: Takes a line of progress after every part.

    Raises:
        InvalidRequest: The source, the column or the destination won't do; nothing was written.
        InvalidItem: A row is bad and the run is strict; parts written before stay.
        ModelUnavailable: The model can't be loaded.
    """
    began = time.time()
    planned = plan(source, options.column, options.part_rows)
    folder = locate(npy.parts_folder(destination))
    folder.make_folder()
    parts.parts(folder)  # refuses a folder that is somebody else's
    job = CorpusJob(
        source=planned,
        folder=npy.parts_folder(destination),
        model=options.models[planned.format == "image"],
        dtype=options.dtype,
        dimensions=options.dimensions,
        part_rows=options.part_rows,
        threads=options.threads,
        offline=options.offline,
        strict=options.strict,
    )
    progress = Progress(planned.rows, began)
    # Closed here, where it runs: a run that stops early ends before whatever it ran on does.
    with closing(execute(job, planned.spans)) if planned.spans else nullcontext(()) as receipts:
        for receipt in receipts:
            if receipt.reject is not None:
                raise InvalidItem(f"Stopped at the first bad row (--strict): {receipt.reject}.")
            progress.add(receipt)
            tell(progress.line(time.time()))
    manifest = _manifest(job, progress.receipts.values())
    parts.finish(folder, manifest, [r.part for r in progress.receipts.values() if r.rejects])
    total = _bytes(folder)
    if npy.is_npy(destination):
        total += npy.write(locate(destination), folder, manifest, options.id_column)
    summary = _summary(manifest, progress, time.time() - began, total)
    (folder / SUMMARY).write(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return summary


def _manifest(job: CorpusJob, receipts: Iterable[Receipt]) -> Manifest:
    ordered = sorted(receipts, key=lambda receipt: receipt.part)
    about = ordered[0] if ordered else None
    return Manifest(
        model=about.model if about else job.model.id,
        fingerprint=about.fingerprint if about else "",
        kind=job.kind,
        column=job.source.column,
        dtype=job.dtype,
        dimensions=about.dimensions if about else 0,
        settings=about.settings if about else "",
        parts=[(receipt.part, receipt.rows) for receipt in ordered],
    )


def _summary(manifest: Manifest, progress: Progress, seconds: float, total: int) -> dict[str, Any]:
    """`rows` is what is in the output; `embedded`, `tokens`, `working_seconds` and the rate are of this run alone."""
    working = progress.working_s
    return {
        "model": manifest.model,
        "fingerprint": manifest.fingerprint,
        "dimensions": manifest.dimensions,
        "dtype": manifest.dtype,
        "rows": manifest.rows,
        "rejects": progress.rejects,
        "embedded": progress.embedded,
        "parts": len(manifest.parts),
        "parts_written": sum(receipt.written for receipt in progress.receipts.values()),
        "tokens": progress.tokens,
        "seconds": round(seconds, 3),
        "working_seconds": round(working, 3),
        "vectors_per_s": round(progress.embedded / working, 1) if working else 0.0,
        "tokens_per_s": round(progress.tokens / working, 1) if working else 0.0,
        "bytes": total,
    }


def _bytes(folder: Place) -> int:
    infos = folder.filesystem.get_file_info([part.path for part in folder.files()] + [(folder / MANIFEST).path])
    return sum(info.size for info in infos)
