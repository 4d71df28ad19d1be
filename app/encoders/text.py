"""Text models: token ids in, the model's own vectors out, whatever backend runs them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from app.config.args import ModelArgs
from app.config.model_names import ModelName
from app.config.settings import converted_models
from app.encoders import self_test, shapes
from app.encoders.backends import registry
from app.encoders.backends.contract import Graph, Inputs, Runner, RunOptions
from app.encoders.files import loading, sha256
from app.encoders.image_families import image_family
from app.encoders.late import Window, membership
from app.encoders.modules import routes
from app.encoders.pretrained import Pretrained, WithImages
from app.encoders.refusal import is_colbert, is_cross_encoder, is_sparse
from app.encoders.steps import SKIP_PROMPT, Step
from app.encoders.text_layout import first_module, text_layout
from app.encoders.tokenizer import Tokenizer
from app.encoders.weights import Weights, check, digest, resolve, weight_files
from app.errors import InvalidItem, ModelUnavailable, UnknownToken
from app.types import ModelInfo, Prompted, Rows, TextInput, TokenizedText, Vector
from app.words import Kind

# Part of every fingerprint: raise it when a change here makes other vectors of the same files.
VECTORS_VERSION = 1
T = TypeVar("T", bound="TextModel")


def load_text_model(
    args: ModelArgs, *, threads: int, offline: bool, streams: int = 1, latency_profile: bool = False
) -> "TextModel":
    """Load a sentence-transformers or plain transformers model; `streams` and `latency_profile` as in `RunOptions`.
    Raises ModelUnavailable if its weights are not available, it is no model of this kind, or it fails its self-test."""
    with loading(args.id):
        weights = resolve(args.id, args.revision, offline, args.allow_bin_weights)
        check_text_model(args, weights.directory)
        return load_routed(partial(_load, args, threads, streams, latency_profile), weights, args.allow_bin_weights)


def load_routed(load: Callable[..., "TextModel"], weights: Weights, allow_bin: bool) -> "TextModel":
    """The model that `load` makes of weights, with those of the tasks that have a way of their own."""
    model, ways = load(weights), {}
    for task in routes(weights.directory):
        check(weights.directory, allow_bin, task)
        files = weight_files(weights.directory, allow_bin, task)
        ways[task] = load(replace(weights, sha256=digest(files)), task)
    return RoutedModel(model, ways) if ways else model


def _load(
    args: ModelArgs, threads: int, streams: int, latency_profile: bool, weights: Weights, task: str | None = None
) -> "TextModel":
    cache = cache_folder(args)
    layout = text_layout(weights.directory, cache, task)
    first = layout.first
    if args.backend == "static" and not layout.static:
        raise ModelUnavailable(f"backend: static is for tables of token vectors; {args.id} is none. Use backend: auto.")
    graph = Graph(
        directory=str(weights.directory),
        folder=str(layout.folder),
        weights=weights.sha256,
        encoder="text",
        dimensions=layout.dimensions,
        pooling=layout.pooling,
        steps=layout.steps,
        allow_bin=args.allow_bin_weights,
        max_tokens=first.max_tokens,
        segments=first.segments,
        calibrated=str(first.tokenizer) if args.precision == "int8" and not layout.static else "",
    )
    skips = SKIP_PROMPT in layout.steps
    tokenizer = Tokenizer(
        first.tokenizer, first.max_tokens, layout.default_prompt, special=not layout.static, mark_prompt=skips
    )
    options = registry.options_for(args, threads, cache, streams, latency_profile)
    return assembled(
        *(TextModel, "text", weights, graph, tokenizer, first, options),
        *("static" if layout.static else registry.choose(args.backend, args.device),),
        [
            [layout.pooling, *map(asdict, layout.steps)],
            [first.max_tokens, layout.lower_case, layout.default_prompt],
            *filter(None, (first.segments,)),
        ],
        prompts=layout.prompts | args.prompts,
        normalized=layout.steps[-1:] == (Step("Normalize"),),
    )


def assembled(
    cls: type[T],
    kind: Kind,
    weights: Weights,
    graph: Graph,
    tokenizer: Tokenizer,
    first: Pretrained,
    options: RunOptions,
    backend: str,
    settings: Sequence[Any],
    tasks: Sequence[str] = (),
    **about: Any,
) -> T:
    """A model that has passed its self-test. `settings`: say, with the files, how inputs are read; `tasks`: whose texts
    are read each in a way of its own; `about`: more of its `ModelInfo`. Raises ModelUnavailable."""
    runner = registry.load(graph, options, backend)
    files = [file for file in (Path(graph.folder, "config.json"), first.tokenizer) if file.is_file()]
    info = ModelInfo(
        id=ModelName(weights.id).public,
        fingerprint=fingerprint(weights, runner.precision, files, *settings),
        dimensions=graph.dimensions,
        max_tokens=first.max_tokens,
        kinds=(kind,),
        backend=runner.name,
        precision=runner.precision,
        device=runner.device,
        revision=weights.revision,
        pooling=graph.pooling,
        cut=tokenizer.cut,
        note=" ".join(filter(None, (first.note, runner.note))) or None,
        **about,
    )
    info = replace(info, routes={task: f"{info.fingerprint} {task}" for task in tasks})
    model = cls(info, tokenizer, runner, first.pad_id, first.vocabulary)
    for exclusive in model.profiles:
        self_test.check(self_test.SelfTest(model.self_test(exclusive=exclusive)), weights, info, options.cache)
    return model


def check_text_model(args: ModelArgs, directory: Path) -> None:
    """Raises ModelUnavailable if a file is missing or damaged, or this is no text model that is served, as far as that
    shows without loading it."""
    check(directory, args.allow_bin_weights)
    if is_colbert(directory):
        raise ModelUnavailable(
            f"{args.id} is a ColBERT model, which makes one vector per token. Configure it in `token_models` "
            "(TOKEN_MODEL)."
        )
    if family := image_family(directory):
        raise ModelUnavailable(
            f"{args.id} is a {family.name} model: configure it as an image model; it reads texts there."
        )
    if is_cross_encoder(directory):
        raise ModelUnavailable(
            f"{args.id} is a cross-encoder or classifier: it scores texts and makes no vectors of them. "
            "Configure it in `rerank_models` (RERANK_MODEL)."
        )
    if is_sparse(directory):
        raise ModelUnavailable(
            f"{args.id} is a sparse encoder (SPLADE): its vectors are weights of tokens. "
            "Configure it in `sparse_models` (SPARSE_MODEL)."
        )
    first_module(directory)


class TextModel:
    """A tokenizer and the graph behind it. `lengths`: what texts are padded to, where shapes are fixed. `vocabulary`:
    how many tokens the graph has vectors for; 0 if that is not known. `filled`: every text is filled up to the model's
    length, and so. The tokenizer is thread-safe; `run` is called as a `Runner` is, and from no thread while `warm` is.
    """

    def __init__(
        self,
        info: ModelInfo,
        tokenizer: Tokenizer,
        runner: Runner,
        pad_id: int,
        vocabulary: int = 0,
        filled: WithImages | None = None,
    ) -> None:
        self.info = info
        self.streams = runner.streams
        self.profiles = runner.profiles
        self.lengths = (info.max_tokens,) if filled else shapes.lengths(info.max_tokens)
        self.tokenize, self.read, self.tokens = tokenizer, tokenizer.read, tokenizer.tokens
        self.chunks, self.windows, self.decode = tokenizer.chunks, tokenizer.windows, tokenizer.decode
        self._runner = runner
        self._pad_id = filled.pad_id if filled else pad_id
        self._filled = filled
        self._vocabulary = vocabulary

    def run(self, batch: Sequence[Sequence[int]], *, exclusive: bool = False) -> Rows:
        """Token ids, one sequence per text -> (n, dimensions), rows in the order given."""
        out = np.empty((len(batch), self.info.dimensions), np.float32)
        for start, rows in self.runs(batch, exclusive=exclusive):
            out[start : start + len(rows)] = rows
        return out

    def runs(self, batch: Sequence[Sequence[int]], *, exclusive: bool = False) -> Iterator[tuple[int, Rows]]:
        """What the graph makes of a batch, in parts: where each starts, and its rows until the next is asked for."""
        length = max((1, *map(len, batch)))
        if self._runner.fixed_shapes or self._filled:
            is_lone = exclusive and len(self.profiles) > 1 and not self._filled
            length = shapes.bucket(length, shapes.lengths_alone(self.info.max_tokens) if is_lone else self.lengths)
        start = 0
        for rows, padded in shapes.plan(len(batch), length, self._runner.fixed_shapes):
            ids, mask = self._padded(batch[start : start + rows], padded, length)
            yield start, self._runner(ids, mask, exclusive=exclusive)[:rows]
            start += rows

    def pool(self, window: Window) -> Vector:
        """The vectors of a window's chunks, by the mean of their tokens; never in two threads at once."""
        ids, mask = self._padded([window.ids], 1, shapes.bucket(len(window.ids), self.lengths))
        return self._runner.pool_spans(ids, mask, membership(window.spans, ids.shape[1]))[: len(window.spans)]

    def self_test(self, *, exclusive: bool = False) -> Vector:
        return self.run([text.ids for text in self.tokenize(self_test.TEXTS, "")], exclusive=exclusive)

    def warm(self, shapes: Sequence[tuple[int, int]]) -> None:
        """Compile (batch, length) shapes ahead of traffic."""
        self._runner.warm(self._padded([[self._pad_id] * length] * rows, rows, length) for rows, length in shapes)

    def _padded(self, batch: Sequence[Sequence[int]], rows: int, length: int) -> Inputs:
        ids = np.full((rows, length), self._pad_id, np.int32)
        mask = np.zeros((rows, length), np.int32)
        left = self._filled is not None and self._filled.left
        # Rows that only fill the shape attend to one token: over none, a softmax has no answer.
        mask[:, -1 if left else 0] = self.info.backend != "static"
        for row, sequence in enumerate(batch):
            at = slice(length - len(sequence), length) if left else slice(len(sequence))
            ids[row, at], mask[row, at] = sequence, 1
        if self._filled and not self._filled.masked:
            mask[:] = 1
        if (prompt := ids < 0).any():  # the pooling leaves it out
            ids[prompt], mask[prompt] = ~ids[prompt], 2
        # A backend would end with all that is beside it, or read whatever lies behind its table.
        if self._vocabulary and ids.max() >= self._vocabulary:
            raise UnknownToken(
                f"Token {ids.max()} of this item has no vector: {self.info.id} has {self._vocabulary} of them."
            )
        return ids, mask


class RoutedIds(tuple[int, ...]):
    """Token ids of a text whose task has a way of its own."""

    task: str


class RoutedModel(TextModel):
    """A router: texts of some tasks go through a model of their own, all others through `model`."""

    def __init__(self, model: TextModel, ways: Mapping[str, TextModel]) -> None:
        every = (model, *ways.values())
        if len({one.info.dimensions for one in every}) > 1:
            raise ModelUnavailable(f"The ways of {model.info.id}'s router make vectors of different dimensions.")
        self.info = replace(
            model.info,
            max_tokens=max(one.info.max_tokens for one in every),
            normalized=all(one.info.normalized for one in every),
            routes={task: way.info.fingerprint for task, way in ways.items()},
        )
        self.streams = min(one.streams for one in every)
        self.profiles = max((one.profiles for one in every), key=len)
        self.lengths = shapes.lengths(self.info.max_tokens)
        self.tokenize, self.tokens = model.tokenize, model.tokens
        self.chunks, self.decode = model.chunks, model.decode
        self.read = self._read
        self._model, self._ways = model, ways

    def run(self, batch: Sequence[Sequence[int]], *, exclusive: bool = False) -> Rows:
        tasks = [ids.task if isinstance(ids, RoutedIds) else "" for ids in batch]
        made: list[tuple[list[int], Rows]] = []
        for task in dict.fromkeys(tasks):
            places = [place for place, own in enumerate(tasks) if own == task]
            way = self._ways.get(task, self._model)
            made.append((places, way.run([batch[place] for place in places], exclusive=exclusive)))
        out: Rows = np.empty((len(batch), *made[0][1].shape[1:]), made[0][1].dtype)
        for places, rows in made:
            out[places] = rows
        return out

    def warm(self, shapes: Sequence[tuple[int, int]]) -> None:
        for one in (self._model, *self._ways.values()):
            one.warm([shape for shape in shapes if shape[1] <= one.info.max_tokens])

    def _read(self, inputs: Sequence[TextInput]) -> list[TokenizedText | InvalidItem]:
        return [self._read_one(one, one.task or "" if isinstance(one, Prompted) else "") for one in inputs]

    def _read_one(self, one: TextInput, task: str) -> TokenizedText | InvalidItem:
        (read,) = self._ways.get(task, self._model).read([one])
        if task in self._ways and isinstance(read, TokenizedText):
            ids = RoutedIds(read.ids)
            ids.task = task
            return replace(read, ids=ids)
        return read


def cache_folder(args: ModelArgs) -> Path:
    """Where converted models go."""
    return Path(args.cache_dir).expanduser() if args.cache_dir else converted_models()


def fingerprint(weights: Weights, precision: str, files: Sequence[Path], *settings: Any) -> str:
    """Identifies the vectors: weights, precision, files and settings that say how inputs are read."""
    digests = [sha256(file) for file in files]
    parts = [VECTORS_VERSION, weights.id, weights.revision, weights.sha256, precision, digests, settings]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
