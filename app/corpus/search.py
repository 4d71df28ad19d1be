"""Exact nearest-neighbour search in a written corpus: dense vectors block by block as they are mapped into memory,
sparse ones part by part as they are read."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.config.args import ModelArgs
from app.config.model_names import ModelName
from app.config.settings import AppArgs
from app.corpus import npy
from app.corpus.filesystem import SCRATCH, Place, locate
from app.corpus.model import LoadModel, load_model
from app.corpus.parts import Manifest, read_manifest
from app.corpus.schema import python_rows
from app.corpus.source import VECTORS
from app.corpus.sparse_columns import NAMES as SPARSE
from app.corpus.sparse_columns import dot
from app.errors import InvalidRequest, SpaceMismatch
from app.system.atomic_file import replacing
from app.types import SimilarityMetric, Vector
from app.vectors.ragged import ranked, unpack_sparse
from app.vectors.similarity import Ranking, rank
from app.words import Kind

BLOCK_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class WrittenCorpus:
    """The memory-mapped vectors (n, d) of a corpus, and the parts with their rows. Sparse vectors stay in the parts."""

    manifest: Manifest
    folder: Place
    vectors: Any

    @property
    def is_sparse(self) -> bool:
        return self.manifest.kind == "sparse"

    @property
    def middle(self) -> float:
        """Added to an int8, it makes that proportional to the middle of its level: -1 stands for what is around 0."""
        return 1.0 if self.manifest.range else 0.0

    def rows(self, indices: list[int]) -> list[dict[str, Any]]:
        """The source columns of these rows, in the order of `indices`."""
        ends = list(accumulate(rows for _, rows in self.manifest.parts))
        vectors = {VECTORS, *(SPARSE if self.is_sparse else ())}
        found: list[dict[str, Any]] = []
        for index in indices:
            part = int(np.searchsorted(ends, index, side="right"))
            name, rows = self.manifest.parts[part]
            part_file = self.folder / name
            table = part_file.read_table([column for column in part_file.read_schema().names if column not in vectors])
            found += python_rows(table.slice(index - (ends[part] - rows), 1))
        return found


def open_corpus(destination: str) -> WrittenCorpus:
    """Open the output of `embed_corpus`; the first search of a Parquet folder writes its vectors to `_vectors-*.npy`.
    Raises InvalidRequest if it is not a finished corpus on a local disk."""
    folder = locate(npy.parts_folder(destination))
    if folder.local is None:
        raise InvalidRequest("Search maps vectors into memory: copy the corpus to a local disk first.")
    if not locate(destination).exists():
        raise InvalidRequest(f"{destination}: not found.")
    manifest = read_manifest(folder)
    if manifest.kind == "sparse":
        return WrittenCorpus(manifest, folder, None)
    path = Path(destination) if npy.is_npy(destination) else folder.local / f"_vectors-{manifest.key()}.npy"
    if not npy.is_npy(destination) and not path.exists():
        with replacing(path, SCRATCH) as scratch:
            with scratch.open("wb") as file:
                npy.write_matrix(file, folder, manifest)
            for old in folder.local.glob("_vectors-*.npy"):
                old.unlink()
    return WrittenCorpus(manifest, folder, np.load(path, mmap_mode="r"))


def encode_query(
    corpus: WrittenCorpus,
    query: str,
    args: AppArgs,
    threads: int,
    load: LoadModel = load_model,
    wanted: str | None = None,
) -> Vector:
    """The query's vector (d,), whole if it is sparse, by the corpus' model. `wanted`: where that is; default: the
    directory it was loaded from, or the model of its name. Raises SpaceMismatch if it has changed since the corpus was
    embedded."""
    manifest = corpus.manifest
    kind: Kind = "image" if manifest.kind == "image" else "sparse" if corpus.is_sparse else "text"
    model = load(model_of(manifest, args, wanted), kind, threads, args.offline)
    if model.info.fingerprint != manifest.fingerprint:
        raise SpaceMismatch(
            f"{manifest.model} has changed since the corpus was embedded, so its vectors can't be compared. Embed it "
            "again."
        )
    if corpus.is_sparse:
        indices, values = unpack_sparse(model.texts([query], "query").rows[0])
        return np.bincount(indices, values, manifest.dimensions).astype(np.float32)
    row: Vector = model.texts([query]).rows[0][: manifest.dimensions]
    return row


def model_of(manifest: Manifest, args: AppArgs, wanted: str | None) -> ModelArgs:
    configured = args.models("text", "image", "sparse")
    directory = manifest.directory if manifest.directory and Path(manifest.directory).is_dir() else None
    id_ = wanted or directory or manifest.model
    names = ((model, ModelName(model.id).public, str(Path(model.id).expanduser().absolute())) for model in configured)
    return next((model for model, *ids in names if id_ in ids), None) or args.entry(id_, configured)


def check_same_rows(dense: WrittenCorpus, sparse: WrittenCorpus, threads: int) -> None:
    """Raises InvalidRequest unless the rows of both are of the same texts, in the same parts: a row of one is then that
    of the other."""

    def texts(corpus: WrittenCorpus, part: str) -> Any:
        column = corpus.manifest.column
        return (corpus.folder / part).read_table([column])[column]

    def is_same(parts: tuple[tuple[str, int], tuple[str, int]]) -> bool:
        (name, rows), (other, others) = parts
        return rows == others and bool(texts(dense, name).equals(texts(sparse, other)))

    if not sparse.is_sparse or dense.manifest.kind != "text":
        raise InvalidRequest("--sparse names a corpus of a sparse model, beside one of a text model.")
    pairs = list(zip(dense.manifest.parts, sparse.manifest.parts, strict=False))
    with ThreadPoolExecutor(threads) as pool:
        same = dense.manifest.rows == sparse.manifest.rows and all(pool.map(is_same, pairs))
    if not same:
        raise InvalidRequest(
            f"The rows of {sparse.folder.path} are not those of {dense.folder.path}: embed the same source into both, "
            "with the same --part-rows and --chunks."
        )


def best(corpus: WrittenCorpus, query: Vector, top_k: int, threads: int) -> Ranking:
    """The `top_k` best rows: by cosine, or, of a sparse corpus, by dot product, without rows where that is 0. Best
    first, ties by index."""
    if not corpus.is_sparse:
        return nearest(query, corpus.vectors, top_k, threads, corpus.middle)
    with ThreadPoolExecutor(threads) as pool:
        tables = ((corpus.folder / name) for name, _ in corpus.manifest.parts)
        found = list(pool.map(lambda part: dot(part.read_table([*SPARSE]), query), tables))
    scores = np.concatenate([np.empty(0, np.float32), *found])
    indices = np.array(ranked(scores)[:top_k], np.int64)
    return Ranking(indices, scores[indices], "dot")


SPARE = 64  # lengths are 1 only as float32 goes: near duplicates of the best may pass it by that much


def nearest(query: Vector, vectors: Any, top_k: int, threads: int = 1, middle: float = 0.0) -> Ranking:
    """The `top_k` best by cosine, best first, ties by index. `vectors`: (n, d) float32 of length 1, float16 or int8, as
    `embed_corpus` writes them. `middle`: see `WrittenCorpus`."""
    # Rows of length 1 are found by their dot products, one pass less; those found are then put in order by cosine.
    metric: SimilarityMetric = "dot" if vectors.dtype == np.float32 else "cosine"
    unit = query / (np.linalg.norm(query) or 1.0)
    step = max(1, BLOCK_BYTES // (4 * vectors.shape[1] or 1))

    def best(start: int) -> NDArray[np.int64]:
        block = np.asarray(vectors[start : start + step], np.float32)
        block = block + np.float32(middle) if middle else block
        return np.sort(rank(unit, block, metric=metric, top_k=top_k + SPARE).indices) + start

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(best, range(0, len(vectors), step)))
    if not found:
        return Ranking(np.empty(0, np.int64), np.empty(0, np.float32), "cosine")
    indices = np.concatenate(found)
    ranking = rank(query, np.asarray(vectors[indices], np.float32) + np.float32(middle), top_k=top_k)
    return replace(ranking, indices=indices[ranking.indices])
