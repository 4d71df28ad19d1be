"""EmbeddingResult: the service's outcomes in the order of the request."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from app.cache.entry import tokens_of, unpack, unpack_each
from app.errors import DeadlineExceeded, ServiceError
from app.images.decoder import DecodedImage
from app.service.encoder import Stages
from app.types import ModelInfo, Vector

T = TypeVar("T")


def successes(outcomes: Iterable[T | ServiceError]) -> list[T]:
    """All outcomes. Raises the first error among them."""
    done: list[T] = []
    for outcome in outcomes:
        if isinstance(outcome, ServiceError):
            raise outcome
        done.append(outcome)
    return done


@dataclass(slots=True)
class EmbeddingResult:
    """`hits[i]`: whether the i-th entry came from the cache."""

    info: ModelInfo
    entries: list[bytes | ServiceError]
    hits: list[bool]
    stages: Stages = field(default_factory=Stages)
    cache_ms: float = 0.0

    def table(self) -> tuple[Vector, list[int], list[int]]:
        """(n, d) float32 rows, token counts, indices of truncated inputs. Raises the error of the first failed item."""
        if not self.entries:
            return np.empty((0, self.info.dimensions), np.float32), [], []
        rows, tokens, truncated = unpack(successes(self.entries))
        return rows, tokens.tolist(), truncated.nonzero()[0].tolist()

    def rows(self) -> tuple[list[bytes], list[int], list[int]]:
        """As `table`, of a model whose rows differ in size: the bytes of each."""
        rows, tokens, truncated = unpack_each(successes(self.entries))
        return rows, tokens.tolist(), truncated.nonzero()[0].tolist()

    def counts(self) -> dict[str, object]:
        """The fields of the request log."""
        return {
            "model": self.info.id,
            "items": len(self.entries),
            "tokens": tokens_of(self.entries),
            "cache_hits": sum(self.hits),
        }

    def with_errors(self, decoded: "Sequence[DecodedImage | ServiceError]", decode_ms: float) -> "EmbeddingResult":
        """Insert the errors of images that could not be decoded at their indices."""
        rest = zip(self.entries, self.hits, strict=True)
        both = [next(rest) if isinstance(image, DecodedImage) else (image, False) for image in decoded]
        stages = replace(self.stages, decode_ms=decode_ms)
        return EmbeddingResult(self.info, [e for e, _ in both], [hit for _, hit in both], stages, self.cache_ms)

    def named(self, param: str, classes: tuple[type[ServiceError], ...] = (ServiceError,)) -> "EmbeddingResult":
        """Set the `param` of errors of these classes to `param.index` if they have none. That time was short is no
        item's fault."""
        for i, entry in enumerate(self.entries):
            if isinstance(entry, classes) and entry.param is None and not isinstance(entry, DeadlineExceeded):
                self.entries[i] = type(entry)(entry.message, f"{param}.{i}", entry.retry_after)
        return self
