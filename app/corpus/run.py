"""`embed_corpus`: embeds a corpus into a folder of vectors. The caller chooses how workers are run."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from app.corpus import npy, parts
from app.corpus.filesystem import locate
from app.corpus.model import LoadModel, load_model
from app.corpus.parts import MANIFEST, REJECTS, SUMMARY, Manifest
from app.corpus.rows import rejected_files
from app.corpus.source import RowSpan, Source, plan
from app.corpus.worker import CorpusEncoder, CorpusJob, Output, Receipt
from app.corpus.worker import CorpusOptions as CorpusOptions
from app.errors import InvalidItem, InvalidRequest

Execute = Callable[[CorpusJob, Sequence[RowSpan]], Generator[Receipt]]


@dataclass(slots=True)
class Progress:
    """Counts parts by their receipts. A part counts once, however often it is reported. The caller owns the clock.
    `total`, `seen` and `done_before` count rows of the source."""

    total: int
    now: float
    rows: int = 0
    rejects: int = 0
    tokens: int = 0
    embedded: int = 0
    truncated: int = 0
    seen: int = 0
    done_before: int = 0
    first: float | None = None
    last: float = 0.0
    receipts: dict[str, Receipt] = field(default_factory=dict)

    def add(self, receipt: Receipt) -> None:
        if receipt.part in self.receipts:
            return
        self.receipts[receipt.part] = receipt
        self.rows += receipt.stats.rows
        self.rejects += receipt.stats.rejects
        seen = receipt.stats.rows + receipt.stats.rejects - receipt.stats.more
        self.seen += seen
        if not receipt.written:
            self.done_before += seen
            return
        self.tokens += receipt.stats.tokens
        self.embedded += receipt.embedded
        self.truncated += receipt.truncated
        self.first = receipt.started if self.first is None else min(self.first, receipt.started)
        self.last = max(self.last, receipt.ended)

    @property
    def working_s(self) -> float:
        """Seconds from the first part's start to the last part's end, without the start of Ray and the model."""
        return self.last - self.first if self.first is not None else 0.0

    def line(self, now: float) -> str:
        """One line of progress. `now` is on the same clock as `self.now`."""
        seen = self.seen
        fresh = seen - self.done_before
        seconds = max(self.working_s, 1e-9)
        rate = fresh / seconds if fresh else 0.0
        left = f"ETA {duration((self.total - seen) / rate)}" if rate else "already there"
        share = 100 * seen / self.total if self.total else 100.0
        return (
            f"{seen:,}/{self.total:,} rows {share:.1f}%  {rate:,.0f} rows/s  "
            f"{self.tokens / seconds if fresh else 0:,.0f} tokens/s  {left}  "
            f"{self.rejects:,} rejects  {duration(now - self.now)} so far"
        )


def duration(seconds: float) -> str:
    whole = round(max(0.0, seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{whole % 60:02}s" if minutes else f"{whole}s"


def in_process(load: LoadModel = load_model) -> Execute:
    """Run all spans one after the other in this process, without Ray."""

    def execute(job: CorpusJob, spans: Sequence[RowSpan]) -> Generator[Receipt]:
        encoder = CorpusEncoder(job, load(job.model, job.kind, job.options.threads, job.options.offline))
        for span in spans:
            yield from encoder(span)

    return execute


def embed_corpus(
    source: str,
    destination: str,
    options: CorpusOptions,
    execute: Execute,
    on_progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Embed the rows that are not embedded yet. Returns the summary, which is also written to `_summary.json`.
    `destination`: a folder for Parquet, or a file ending in `.npy` (`app.corpus.npy`). `execute` runs the spans in any
    order, and may run one several times.

    Raises InvalidRequest if source, column or destination is invalid, and writes nothing; InvalidItem if a row is
    invalid and the run is strict (the parts written so far are kept) or all rows are (only `_rejects.jsonl` is
    written).
    """
    began = time.time()
    planned = plan(source, options.column, options.part_rows, options.format, options.written, options.id_column)
    _check(planned, destination, options)
    folder = locate(npy.parts_folder(destination))
    folder.make_folder()
    job = CorpusJob(planned, npy.parts_folder(destination), options)
    parts.check_chunks(folder, job.chunks)  # raises as well if the folder contains other files
    files = rejected_files(planned)
    if files and options.strict:
        raise InvalidItem(f"Stopped at a file that can't be read (--strict): {files[0].source}: {files[0].reason}.")
    progress = Progress(planned.rows, began, rejects=len(files), seen=len(files), done_before=len(files))
    # Closed here, so that a run that stops early ends before the Ray cluster that it runs on.
    with closing(execute(job, planned.spans)) if planned.spans else nullcontext(()) as receipts:
        for receipt in receipts:
            if receipt.reject is not None:
                raise InvalidItem(f"Stopped at the first invalid row (--strict): {receipt.reject}.")
            progress.add(receipt)
            on_progress(progress.line(time.time()))
    manifest = _manifest(job, progress.receipts.values())
    parts.write_rejects(folder, files, [r.part for r in progress.receipts.values() if r.stats.rejects])
    if progress.rejects and not manifest.rows:
        for name, _ in manifest.parts:
            (folder / name).delete()
        raise InvalidItem(f"All {progress.rejects:,} rows were rejected: {folder.path}/{REJECTS} says why.")
    parts.finish(folder, manifest)
    written = [*(part.path for part in parts.parts(folder)), (folder / MANIFEST).path]
    total = sum(info.size for info in folder.filesystem.get_file_info(written))
    if npy.is_npy(destination):
        total += npy.write(locate(destination), folder, manifest, options.id_column)
    summary = _summary(manifest, progress, time.time() - began, total)
    if planned.hidden:
        summary["hidden"] = list(planned.hidden)
    (folder / SUMMARY).write(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return summary


def _check(source: Source, destination: str, options: CorpusOptions) -> None:
    """Raises InvalidRequest for what the options say that can't be done with this source."""
    if source.format == "image" and (options.sparse or options.chunks):
        raise InvalidRequest(f"{source.uri} holds images; chunks and sparse vectors are of texts.")
    if options.sparse and (options.dtype != "float32" or options.dimensions is not None):
        raise InvalidRequest("Sparse vectors are written whole, as float32: omit --dtype and --dimensions.")
    if options.sparse and npy.is_npy(destination):
        raise InvalidRequest("Sparse vectors are list columns of Parquet: give --out the name of a folder.")


def _manifest(job: CorpusJob, receipts: Iterable[Receipt]) -> Manifest:
    ordered = sorted(receipts, key=lambda receipt: receipt.part)
    output = ordered[0].output if ordered else Output(job.model.id)
    directory = Path(job.model.id).expanduser()
    return Manifest(
        **asdict(output),
        kind=job.kind,
        column=job.source.column,
        dtype=job.options.dtype,
        parts=[(receipt.part, receipt.stats.rows) for receipt in ordered],
        directory=str(directory.absolute()) if directory.is_dir() else None,
        chunks=job.chunks,
    )


def _summary(manifest: Manifest, progress: Progress, seconds: float, total: int) -> dict[str, Any]:
    """`rows` counts the whole output; `embedded`, `tokens`, `truncated`, `working_seconds` and the rates are of this
    run only."""
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
        "truncated": progress.truncated,
        "seconds": round(seconds, 3),
        "working_seconds": round(working, 3),
        "vectors_per_s": round(progress.embedded / working, 1) if working else 0.0,
        "tokens_per_s": round(progress.tokens / working, 1) if working else 0.0,
        "bytes": total,
    }
