"""The worker: embeds spans, writes parts, and returns a receipt for each part. Idempotent."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from app.config.args import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, PART_ROWS, Limits, ModelArgs
from app.corpus import chunk_rows, parts
from app.corpus.filesystem import locate
from app.corpus.known_vectors import KnownVectors, finite
from app.corpus.model import CorpusModel, EncodedRows
from app.corpus.parts import PartStats
from app.corpus.rows import Piece, Reject, pieces
from app.corpus.source import VECTORS, Format, RowSpan, Source
from app.corpus.sparse_columns import NAMES as SPARSE
from app.errors import InvalidRequest
from app.service.chunks import ChunkRule
from app.vectors.quantization import Dtype, corpus_vectors, stated_range
from app.words import Kind

NOT_FINITE = "the model's vector is not finite: it holds NaN or infinity"


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """The settings of a run. `models`: the text model and the image model. `sparse`: the text model is a sparse
    encoder. `chunks`: how to cut texts; None: they are embedded whole."""

    column: str = "text"
    format: Format | None = None
    id_column: str | None = None
    models: tuple[ModelArgs, ModelArgs] = (ModelArgs(id=DEFAULT_TEXT_MODEL), ModelArgs(id=DEFAULT_IMAGE_MODEL))
    dtype: Dtype = "float32"
    dimensions: int | None = None
    part_rows: int = PART_ROWS
    threads: int = 1
    offline: bool = False
    strict: bool = False
    sparse: bool = False
    chunks: ChunkRule | None = None

    @property
    def written(self) -> tuple[str, ...]:
        """The columns that are added to those of the source."""
        return (*(chunk_rows.NAMES if self.chunks else ()), *(SPARSE if self.sparse else (VECTORS,)))


@dataclass(frozen=True, slots=True)
class CorpusJob:
    """The work of all workers. `folder`: where the parts are written."""

    source: Source
    folder: str
    options: CorpusOptions

    @property
    def kind(self) -> Kind:
        return "image" if self.source.format == "image" else "sparse" if self.options.sparse else "text"

    @property
    def chunks(self) -> parts.Chunks | None:
        return asdict(self.options.chunks) if self.options.chunks else None

    @property
    def model(self) -> ModelArgs:
        return self.options.models[self.kind == "image"]

    @property
    def content_column(self) -> str:
        """The output column that identifies the embedded content."""
        return "content_hash" if self.kind == "image" else self.source.column


@dataclass(frozen=True, slots=True)
class Output:
    """What a run's vectors are: the facts of its manifest that only a worker knows, since it has the model."""

    model: str
    fingerprint: str = ""
    dimensions: int = 0
    settings: str = ""
    range: list[float] | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Confirms that a part exists. `embedded`: items that the model has run; `truncated`: how many of them were;
    `written`: False if it existed before. `started` and `ended` are wall-clock seconds. In a strict run, `reject` is
    set and nothing is written."""

    part: str
    stats: PartStats
    output: Output
    started: float
    embedded: int = 0
    truncated: int = 0
    written: bool = False
    reject: str | None = None
    ended: float = field(default_factory=time.time)


class CorpusEncoder:
    """Holds the model and the vectors that existed when this worker started."""

    def __init__(self, job: CorpusJob, model: CorpusModel) -> None:
        full, options = model.info.dimensions, job.options
        if options.dimensions is not None and options.dimensions > full:
            raise InvalidRequest(f"{model.info.id} makes vectors of {full} dimensions, not {options.dimensions}.")
        dimensions = options.dimensions or full
        range_ = stated_range(dimensions, options.dtype)
        fingerprint = model.info.fingerprint
        settings = [fingerprint, options.dtype, dimensions, job.content_column, *([range_] if range_ else [])]
        settings += [job.kind] if options.sparse else []
        settings += [job.chunks, options.id_column] if options.chunks else []
        self._job = job
        self._options = options
        self._model = model
        self._output = Output(model.info.id, fingerprint, dimensions, parts.settings_key(*settings), range_)
        self._folder = locate(job.folder)
        if range_:
            parts.check_range(self._folder, dimensions, range_)
        own = [p for p in parts.parts(self._folder) if parts.settings_of(p.name) == self._output.settings]
        self._known = KnownVectors(own, job.content_column, SPARSE if options.sparse else (VECTORS,))
        if (rule := options.chunks) is not None:
            model.chunks([], rule.size, rule.overlap, rule.by, None, 0)  # raises what every piece would

    def __call__(self, span: RowSpan) -> Iterator[Receipt]:
        limits = chunk_rows.LIMITS if self._options.chunks else Limits()
        for piece in pieces(self._job.source, span, self._options.part_rows, limits):
            yield self._embed_piece(span, piece)

    def _embed_piece(self, span: RowSpan, piece: Piece) -> Receipt:
        started = time.time()
        if self._options.strict and piece.rejects:
            return self._stopped(piece.rejects[0], started)
        place = self._folder / parts.part_name(span.number, piece, self._output.settings)
        if place.exists():
            return Receipt(place.name, parts.read_stats(place), self._output, started)
        rows = len(piece.table) + len(piece.rejects)
        if self._options.chunks:
            piece = chunk_rows.cut(
                piece, self._options.chunks, self._model, self._job.source.column, self._options.id_column
            )
        piece, vectors, encoded, embedded = self._vectors(piece)
        if self._options.strict and piece.rejects:
            return self._stopped(piece.rejects[0], started, embedded)
        more = len(piece.table) + len(piece.rejects) - rows
        stats = PartStats(len(piece.table), len(piece.rejects), sum(encoded.tokens), more)
        facts = {parts.RANGE: self._output.range, parts.CHUNKS: self._job.chunks}
        parts.write_part(place, piece, vectors, stats, **facts)
        return Receipt(place.name, stats, self._output, started, embedded, encoded.truncated, written=True)

    def _stopped(self, reject: Reject, started: float, embedded: int = 0) -> Receipt:
        reason = f"{reject.source}, row {reject.row}: {reject.reason}"
        return Receipt("", PartStats(0, 1, 0), self._output, started, embedded, reject=reason)

    def _vectors(self, piece: Piece) -> tuple[Piece, Any, EncodedRows, int]:
        """The piece without the items that failed, its vectors, what the model made, and the number of items run."""
        contents: list[str] = piece.table[self._job.content_column].to_pylist()
        first = {content: i for i, content in reversed(list(enumerate(contents)))}
        unique = sorted(first.values())
        known = self._known.find([contents[i] for i in unique])
        new = [i for j, i in enumerate(unique) if j not in known]
        model, dimensions = self._model, self._output.dimensions
        if piece.images:
            encoded = model.images([piece.images[i] for i in new])
        else:
            encoded = model.texts([piece.texts[i] for i in new])
        not_finite = np.flatnonzero(~finite(encoded.rows))
        failed = dict.fromkeys(not_finite.tolist(), NOT_FINITE) | encoded.failed
        rows = encoded.rows.copy() if len(not_finite) else encoded.rows
        rows[not_finite] = b"" if self._options.sparse else 0
        fresh = rows
        if not self._options.sparse:
            fresh = corpus_vectors(rows, self._options.dtype, dimensions, normalized=model.info.normalized)
        vectors = np.zeros((len(contents), *fresh.shape[1:]), fresh.dtype)
        vectors[new] = fresh
        for j, vector in known.items():
            vectors[unique[j]] = vector
        vectors = vectors[[first[content] for content in contents]]
        if failed:
            reasons = {contents[new[j]]: reason for j, reason in failed.items()}
            keep = np.array([content not in reasons for content in contents])
            places = [f"chunk {n}: " for n in piece.table["chunk"].to_pylist()] if self._options.chunks else None
            more = [
                Reject(*piece.origins[i], f"{places[i] if places else ''}{reasons[contents[i]]}")
                for i in np.flatnonzero(~keep)
            ]
            piece = replace(piece, table=piece.table.filter(pa.array(keep)), rejects=[*piece.rejects, *more])
            vectors = vectors[keep]
        return piece, vectors, encoded, len(new) - len(failed)
