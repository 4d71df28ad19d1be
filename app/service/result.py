"""EmbeddingResult: what the service answers, outcomes in the caller's order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.cache.entry import unpack
from app.errors import ServiceError
from app.images.reader import DecodedImage
from app.service.encoder import Stages
from app.types import ModelInfo, Vector


@dataclass(slots=True)
class EmbeddingResult:
    """`hits[i]`: the i-th came from the cache."""

    info: ModelInfo
    entries: list[bytes | ServiceError]
    hits: list[bool]
    stages: Stages = field(default_factory=Stages)
    cache_ms: float = 0.0

    def table(self) -> tuple[Vector, list[int], list[int]]:
        """(n, d) float32 rows, token counts, indices of truncated inputs.

        Raises:
            ServiceError: That of the first failed item.
        """
        whole: list[bytes] = []
        for entry in self.entries:
            if isinstance(entry, ServiceError):
                raise entry
            whole.append(entry)
        rows, tokens, cut = unpack(whole)
        return rows, tokens.tolist(), cut.nonzero()[0].tolist()

    def counts(self) -> dict[str, object]:
        """For the log."""
        whole = [entry for entry in self.entries if isinstance(entry, bytes)]
        return {
            "model": self.info.id,
            "items": len(self.entries),
            "tokens": int(unpack(whole)[1].sum()) if whole else 0,
            "cache_hits": sum(self.hits),
        }

    def with_errors(self, read: "Sequence[DecodedImage | ServiceError]", decode_ms: float) -> "EmbeddingResult":
        """These outcomes, with those of the images that could not be read in their places."""
        rest = zip(self.entries, self.hits, strict=True)
        both = [next(rest) if isinstance(image, DecodedImage) else (image, False) for image in read]
        stages = replace(self.stages, decode_ms=decode_ms)
        return EmbeddingResult(self.info, [e for e, _ in both], [hit for _, hit in both], stages, self.cache_ms)

    def named(self, param: str, which: type[ServiceError] = ServiceError) -> "EmbeddingResult":
        """The same, each error of a class that names no field naming its item as `param.index`."""
        for i, entry in enumerate(self.entries):
            if isinstance(entry, which) and entry.param is None:
                self.entries[i] = type(entry)(entry.message, f"{param}.{i}", entry.retry_after)
        return self
