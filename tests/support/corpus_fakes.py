"""A corpus model that counts what it is asked, and a driver that dies on the way."""

import hashlib
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq

from app.config.args import ModelArgs
from app.corpus.model import EncodedRows, LoadModel
from app.corpus.run import Execute, in_process
from app.corpus.source import RowSpan
from app.corpus.worker import CorpusJob, Receipt
from app.errors import InvalidRequest
from app.types import ModelInfo, Span, TokenizedText, Vector
from app.vectors.ragged import pack_sparse
from app.words import ChunkBy, Kind

Embed = Callable[..., dict[str, Any]]
DIMENSIONS = 8


def vector(content: bytes) -> Vector:
    """What the fake makes of a content, of length 1."""
    seed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
    row = np.random.default_rng(seed).standard_normal(DIMENSIONS, dtype=np.float32)
    return np.asarray(row / np.linalg.norm(row), np.float32)


@dataclass
class CountingModel:
    """Makes `vector`s three times as long; fails on what contains `poison`. `odd`: a number of what contains that."""

    fingerprint: str = "fake-1"
    odd: float = 0.0
    seen: list[str] = field(default_factory=list)
    normalized: ClassVar[bool] = False

    @property
    def info(self) -> ModelInfo:  # a new one each time: tests change the fingerprint
        return ModelInfo(
            "fake", self.fingerprint, DIMENSIONS, 256, ("text",), "fake", "f32", normalized=self.normalized
        )

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        return [TokenizedText(range(len(text.split())), "long" in text) for text in texts]

    def chunks(
        self, texts: Sequence[str], size: int | None, overlap: int, by: ChunkBy, prompt: str | None, most: int
    ) -> list[list[Span]]:
        """As many words as `size`, 4 if it says nothing; `by` and `most` are not looked at."""
        size = size or 4
        if size > 256:
            raise InvalidRequest("`size` must be at most 256.", "size")
        words = [[match.span() for match in re.finditer(r"\S+", text)] for text in texts]
        return [[(own[i][0], own[i : i + size][-1][1]) for i in range(0, len(own), size - overlap)] for own in words]

    def texts(self, texts: Sequence[str], task: str = "document") -> EncodedRows:
        self.seen.extend(texts)
        return self._encoded([text.encode() for text in texts])

    def images(self, files: Sequence[bytes]) -> EncodedRows:
        self.seen.extend(file.hex() for file in files)
        return self._encoded(files)

    def _encoded(self, contents: Sequence[bytes]) -> EncodedRows:
        rows = np.zeros((len(contents), DIMENSIONS), np.float32)
        for i, content in enumerate(contents):
            rows[i] = (1 if self.normalized else 3) * vector(content)
            if b"odd" in content:
                rows[i, 3] = self.odd
        failed = {i: "the model failed on it" for i, content in enumerate(contents) if b"poison" in content}
        return EncodedRows(
            rows,
            [len(content.split()) for content in contents],
            failed,
            sum(b"long" in content for content in contents),
        )

    def load(self, args: ModelArgs, kind: Kind, threads: int, offline: bool) -> "CountingModel":
        return self


@dataclass
class CountingSparseModel(CountingModel):
    """Of a text its words' lengths, each at the place of its first letter, as a query twice that; `odd` as there."""

    kinds_loaded: list[Kind] = field(default_factory=list)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("sparse", self.fingerprint, 26, 256, ("sparse",), "fake", "f32")

    def texts(self, texts: Sequence[str], task: str = "document") -> EncodedRows:
        self.seen.extend(texts)
        rows = np.full(len(texts), b"", object)
        for i, text in enumerate(texts):
            row = np.zeros(26, np.float32)
            for word in text.split():
                if word[0].isalpha():
                    row[ord(word[0]) - ord("a")] = self.odd if word == "odd" else len(word) * (1 + (task == "query"))
            rows[i] = pack_sparse(row)
        failed = {i: "the model failed on it" for i, text in enumerate(texts) if "poison" in text}
        return EncodedRows(rows, [len(text.split()) for text in texts], failed)

    def load(self, args: ModelArgs, kind: Kind, threads: int, offline: bool) -> "CountingModel":
        self.kinds_loaded.append(kind)
        return self


class DriverDied(Exception):
    pass


def dying_after(parts: int, load: LoadModel) -> Execute:
    """In process, until so many parts are written."""

    def execute(job: CorpusJob, spans: Sequence[RowSpan]) -> Generator[Receipt]:
        for count, receipt in enumerate(in_process(load)(job, spans), 1):
            yield receipt
            if count == parts:
                raise DriverDied

    return execute


def written(folder: Path) -> list[dict[str, Any]]:
    """Every row of the output as any Parquet reader sees the folder."""
    rows: list[dict[str, Any]] = pq.read_table(folder).to_pylist()
    return rows
