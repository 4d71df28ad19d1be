"""Sparse encoders (SPLADE, tables of token weights): a text in, the weights of few of the vocabulary's tokens out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from app.config.args import ModelArgs
from app.encoders import self_test
from app.encoders.backends import registry
from app.encoders.backends.contract import Graph
from app.encoders.backends.proof import comparable
from app.encoders.files import loading, read_json, reading, tensors
from app.encoders.modules import modules
from app.encoders.pretrained import Pretrained, pretrained, sentence_config
from app.encoders.refusal import architecture
from app.encoders.text import TextModel, assembled, cache_folder, load_routed
from app.encoders.text_layout import positions, settings
from app.encoders.tokenizer import Tokenizer
from app.encoders.weights import Weights, check, resolve
from app.errors import ModelUnavailable
from app.types import Rows, Vector
from app.vectors.ragged import pack_sparse, unpack_sparse

POOLINGS = {"max", "sum"}
ACTIVATIONS = {"relu", "log1p_relu"}
NO_END = 2**16
FOLDED = 256  # dimensions of what a self-test keeps


@dataclass(frozen=True, slots=True)
class SparseLayout:
    """`folder`: of the masked language model, or without `pooling` of a table with a weight for each token. `pooling`:
    SPLADE's strategy and activation. `most`: how many weights of a text are kept; 0 for all."""

    folder: Path
    first: Pretrained
    pooling: tuple[str, ...]
    most: int
    prompts: dict[str, str]
    default_prompt: str


class SparseModel(TextModel):
    """`most`: as in `SparseLayout`."""

    most: int = 0

    def run(self, batch: Sequence[Sequence[int]], *, exclusive: bool = False) -> Rows:
        """Token ids, one sequence per text -> the sparse vector of each, packed."""
        out = np.full(len(batch), b"", object)
        for start, rows in self.runs(batch, exclusive=exclusive):
            for place, row in enumerate(rows, start):
                out[place] = pack_sparse(row, self.most)
        return out

    def self_test(self, *, exclusive: bool = False) -> Vector:
        texts = [text.ids for text in self.tokenize(self_test.TEXTS, "")]
        rows = [unpack_sparse(row) for row in self.run(texts, exclusive=exclusive)]
        folded = [np.bincount(indices % FOLDED, values, FOLDED) for indices, values in rows]
        return comparable(np.array(folded, np.float32))


def load_sparse_model(
    args: ModelArgs, *, threads: int, offline: bool, streams: int = 1, latency_profile: bool = False
) -> TextModel:
    """Load a sparse encoder in sentence-transformers' layout, or a plain masked language model as SPLADE. Raises
    ModelUnavailable if its weights are not available, it is no model of this kind, or it fails its self-test."""
    with loading(args.id):
        weights = resolve(args.id, args.revision, offline, args.allow_bin_weights)
        check_sparse_model(args, weights.directory)
        return load_routed(partial(_load, args, threads, streams, latency_profile), weights, args.allow_bin_weights)


def _load(
    args: ModelArgs, threads: int, streams: int, latency_profile: bool, weights: Weights, task: str | None = None
) -> SparseModel:
    cache = cache_folder(args)
    layout = sparse_layout(weights.directory, cache, task)
    first = layout.first
    graph = Graph(
        directory=str(weights.directory),
        folder=str(layout.folder),
        weights=weights.sha256,
        encoder="sparse",
        dimensions=first.vocabulary,
        pooling=layout.pooling,
        allow_bin=args.allow_bin_weights,
        max_tokens=first.max_tokens,
        segments=first.segments,
    )
    tokenizer = Tokenizer(first.tokenizer, first.max_tokens, layout.default_prompt, special=bool(layout.pooling))
    options = registry.options_for(args, threads, cache, streams, latency_profile)
    model = assembled(
        *(SparseModel, "sparse", weights, graph, tokenizer, first, options),
        *(registry.choose(args.backend, args.device) if layout.pooling else "static",),
        [["sparse", *layout.pooling, layout.most, first.max_tokens, layout.default_prompt, first.segments]],
        prompts=layout.prompts | args.prompts,
    )
    model.most = layout.most
    return model


def check_sparse_model(args: ModelArgs, directory: Path) -> None:
    """Raises ModelUnavailable, as `check_text_model`."""
    check(directory, args.allow_bin_weights)
    _parts(directory, None)


def _parts(directory: Path, task: str | None) -> tuple[Path, tuple[str, ...]]:
    """The folder and the pooling of `SparseLayout`. Raises ModelUnavailable if this is no sparse encoder."""
    listed = modules(directory, task)
    (first, path), kinds = listed[0], [kind for kind, _ in listed]
    folder = directory / path
    if kinds == ["SparseStaticEmbedding"]:
        return folder, ()
    plain = len(listed) == 1 and not (directory / "modules.json").is_file()
    if plain and architecture(folder).endswith("ForMaskedLM"):
        return folder, ("max", "relu")
    if first not in ("Transformer", "MLMTransformer") or kinds[1:] != ["SpladePooling"]:
        raise ModelUnavailable(
            f"The model is no sparse encoder that is served ({', '.join(kinds)}): that is a masked language model with "
            "SpladePooling, or a SparseStaticEmbedding. Configure one of dense vectors in `text_models` (TEXT_MODEL)."
        )
    file = directory / listed[1][1] / "config.json"
    said = read_json(file) or {}
    with reading(file):
        pooling = str(said.get("pooling_strategy", "max")), str(said.get("activation_function", "relu"))
        if pooling[0] not in POOLINGS or pooling[1] not in ACTIVATIONS:
            raise ModelUnavailable(
                f"The model pools by {pooling[0]} of {pooling[1]}, which this service does not know."
            )
    return folder, pooling


def sparse_layout(directory: Path, cache: Path, task: str | None = None) -> SparseLayout:
    """Read a directory. Raises ModelUnavailable if it holds no sparse encoder that this service can run."""
    folder, pooling = _parts(directory, task)
    if pooling:
        sentence, file = sentence_config(folder)
        with reading(file):
            if "message" in (sentence.get("modality_config") or {}):
                raise ModelUnavailable("The model reads chats, which this service does not write.")
            first = pretrained(folder, cache, sentence)
        config = read_json(folder / "config.json") or {}
        first = replace(first, max_tokens=min(first.max_tokens, positions(folder, config), NO_END))
    else:
        first = _table(folder)
    prompts, default, _, _ = settings(directory, [], first.vocabulary)
    file = directory / "config_sentence_transformers.json"
    said = read_json(file) or {}
    with reading(file):
        most = int(said.get("max_active_dims") or 0)
    return SparseLayout(folder, first, pooling, most, prompts, default)


def _table(folder: Path) -> Pretrained:
    """A table with a weight for each token."""
    file, weights = folder / "tokenizer.json", folder / "model.safetensors"
    content = read_json(file)
    if content is None:
        raise ModelUnavailable("The model has no tokenizer.json; fetch it again.")
    found = tensors(weights)
    with reading(weights):
        size = found["weight"].shape[0]
    with reading(folder / "tokenizer_config.json"):
        said = read_json(folder / "tokenizer_config.json") or {}
        return Pretrained(file, size, int(min(said.get("model_max_length") or NO_END, NO_END)), 0, size, None)
