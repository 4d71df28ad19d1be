"""The worker: embeds spans, writes parts, and returns a receipt for each part. Idempotent."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from app.config.args import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, PART_ROWS, Limits, ModelArgs
from app.corpus import parts
from app.corpus.filesystem import locate
from app.corpus.known_vectors import KnownVectors
from app.corpus.model import CorpusModel
from app.corpus.parts import PartStats
from app.corpus.rows import Piece, Reject, pieces
from app.corpus.source import Format, RowSpan, Source
from app.errors import InvalidRequest
from app.types import Modality
from app.vectors.quantization import Dtype, corpus_vectors, stated_range

NOT_FINITE = "the model's vector is not finite: it holds NaN or infinity"


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """The settings of a run. `models`: the text model and the image model."""

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


@dataclass(frozen=True, slots=True)
class CorpusJob:
    """The work of all workers. `folder`: where the parts are written."""

    source: Source
    folder: str
    options: CorpusOptions

    @property
    def kind(self) -> Modality:
        return "image" if self.source.format == "image" else "text"

    @property
    def model(self) -> ModelArgs:
        return self.options.models[self.kind == "image"]

    @property
    def content_column(self) -> str:
        """The output column that identifies the embedded content."""
        return "content_hash" if self.kind == "image" else self.source.column


@dataclass(frozen=True, slots=True)
class Receipt:
    """Confirms that a part exists. `embedded`: items that the model has run; `written`: False if it existed before.

    In a strict run, `reject` is set and nothing is written. `started` and `ended` are wall-clock seconds.
    """

    part: str
    stats: PartStats
    embedded: int
    written: bool
    started: float
    ended: float
    model: str
    fingerprint: str
    dimensions: int
    settings: str
    range: list[float] | None = None
    reject: str | None = None


class CorpusEncoder:
    """Holds the model and the vectors that existed when this worker started."""

    def __init__(self, job: CorpusJob, model: CorpusModel) -> None:
        full, options = model.info.dimensions, job.options
        if options.dimensions is not None and options.dimensions > full:
            raise InvalidRequest(f"{model.info.id} makes vectors of {full} dimensions, not {options.dimensions}.")
        self._job = job
        self._options = options
        self._model = model
        self._dimensions = options.dimensions or full
        self._range = stated_range(self._dimensions, options.dtype)
        settings = [model.info.fingerprint, options.dtype, self._dimensions, job.content_column]
        self._settings = parts.settings_key(*settings, *([self._range] if self._range else []))
        self._folder = locate(job.folder)
        if self._range:
            parts.check_range(self._folder, self._dimensions, self._range)
        own = [p for p in parts.parts(self._folder) if parts.settings_of(p.name) == self._settings]
        self._known = KnownVectors(own, job.content_column)

    def __call__(self, span: RowSpan) -> Iterator[Receipt]:
        for piece in pieces(self._job.source, span, self._options.part_rows, Limits()):
            yield self._embed_piece(span, piece)

    def _embed_piece(self, span: RowSpan, piece: Piece) -> Receipt:
        started = time.time()
        if self._options.strict and piece.rejects:
            return self._receipt("", PartStats(0, 1, 0), 0, False, started, piece.rejects[0])
        name = parts.part_name(span.number, piece, self._settings)
        place = self._folder / name
        if place.exists():
            return self._receipt(name, parts.read_stats(place), 0, False, started)
        piece, vectors, tokens, embedded = self._vectors(piece)
        if self._options.strict and piece.rejects:
            return self._receipt("", PartStats(0, 1, 0), embedded, False, started, piece.rejects[0])
        stats = PartStats(len(piece.table), len(piece.rejects), tokens)
        parts.write_part(place, piece, vectors, stats, self._range)
        return self._receipt(name, stats, embedded, True, started)

    def _vectors(self, piece: Piece) -> tuple[Piece, Any, int, int]:
        """The piece without the items that failed, its vectors, and the number of tokens and items run."""
        contents: list[str] = piece.table[self._job.content_column].to_pylist()
        first = {content: i for i, content in reversed(list(enumerate(contents)))}
        unique = sorted(first.values())
        known = self._known.find([contents[i] for i in unique])
        new = [i for j, i in enumerate(unique) if j not in known]
        inputs: list[Any] = [*(piece.images or piece.texts)]
        model = self._model
        encoded = (model.images if piece.images else model.texts)([inputs[i] for i in new])
        not_finite = np.flatnonzero(~np.isfinite(encoded.rows).all(axis=1))
        failed = dict.fromkeys(not_finite.tolist(), NOT_FINITE) | encoded.failed
        rows = encoded.rows.copy() if len(not_finite) else encoded.rows
        rows[not_finite] = 0
        fresh = corpus_vectors(rows, self._options.dtype, self._dimensions, normalized=model.info.normalized)
        vectors = np.zeros((len(contents), self._dimensions), fresh.dtype)
        vectors[new] = fresh
        for j, vector in known.items():
            vectors[unique[j]] = vector
        vectors = vectors[[first[content] for content in contents]]
        if failed:
            reasons = {contents[new[j]]: reason for j, reason in failed.items()}
            keep = np.array([content not in reasons for content in contents])
            more = [Reject(*piece.origins[i], reasons[contents[i]]) for i in np.flatnonzero(~keep)]
            piece = replace(piece, table=piece.table.filter(pa.array(keep)), rejects=[*piece.rejects, *more])
            vectors = vectors[keep]
        return piece, vectors, sum(encoded.tokens), len(new) - len(failed)

    def _receipt(
        self, name: str, stats: PartStats, embedded: int, written: bool, started: float, reject: Reject | None = None
    ) -> Receipt:
        info = self._model.info
        return Receipt(
            part=name,
            stats=stats,
            embedded=embedded,
            written=written,
            started=started,
            ended=time.time(),
            model=info.id,
            fingerprint=info.fingerprint,
            dimensions=self._dimensions,
            settings=self._settings,
            range=self._range,
            reject=f"{reject.source}, row {reject.row}: {reject.reason}" if reject else None,
        )
