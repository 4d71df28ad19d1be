"""Text models: token ids in, the model's own vectors out, whatever backend runs them."""

import hashlib
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from app.config.args import ModelArgs
from app.config.model_names import ModelName
from app.config.settings import converted_models
from app.encoders import self_test, shapes
from app.encoders.backends import contract
from app.encoders.backends.contract import Graph, Runner
from app.encoders.model_config import model_type, text_layout
from app.encoders.tokenizer import Tokenizer
from app.encoders.weights import Weights, resolve
from app.errors import InvalidItem, ModelUnavailable
from app.types import ModelInfo, TextInput, Token, TokenizedText, Vector

# Part of every fingerprint: raise it when a change here makes other vectors of the same files.
VECTORS_VERSION = 1


def load_text_model(
    args: ModelArgs, *, threads: int, offline: bool, streams: int = 1, or_alone: bool = False
) -> "TextTower":
    """Load a sentence-transformers or plain transformers model.

    Args:
        streams: Runs at once, where the backend can: they share the threads.
        or_alone: `run_alone` has all threads, whatever the streams. A large model may get no streams then.

    Raises:
        ModelUnavailable: Its weights can't be had, it is no model of this kind, or it fails its self-test.
    """
    weights = resolve(args.id, args.revision, offline, args.allow_bin_weights)
    if model_type(weights.directory) == "clip":
        raise ModelUnavailable(f"{args.id} is a CLIP model: configure it as an image model; it reads texts there.")
    layout = text_layout(weights.directory)
    cache = cache_folder(args)
    graph = Graph(
        directory=str(weights.directory),
        folder=str(layout.folder),
        weights=weights.sha256,
        tower="text",
        dimensions=layout.dimensions,
        pooling=layout.pooling,
        steps=layout.steps,
        allow_bin=args.allow_bin_weights,
    )
    file = tokenizer_file(layout.folder, cache)
    prompts = layout.prompts | args.prompts
    tokenizer = Tokenizer(file, layout.max_tokens, layout.lower_case, layout.default_prompt)
    options = contract.options_for(args, threads, cache, streams, or_alone)
    runner = contract.load(graph, options, contract.choose(args.backend, args.device))
    info = ModelInfo(
        id=ModelName(weights.id).public,
        fingerprint=fingerprint(
            weights,
            runner.precision,
            [layout.folder / "config.json", file],
            [layout.pooling, *graph.to_dict()["steps"]],
            [layout.max_tokens, layout.lower_case, layout.default_prompt],
        ),
        dimensions=layout.dimensions,
        max_tokens=layout.max_tokens,
        kinds=("text",),
        backend=runner.name,
        precision=runner.precision,
        device=runner.device,
        revision=weights.revision,
        prompts=prompts,
        normalized=layout.normalized,
        pooling=layout.pooling,
    )
    tower = TextTower(info, tokenizer, runner, layout.pad_id)
    for made in tower.golden():
        self_test.prove(self_test.SelfTest(made), weights, info, cache)
    return tower


class TextTower:
    """A tokenizer and the graph behind it: a `TextModel`. `lengths`: what texts are padded to, where shapes are fixed.

    `tokenize` is thread-safe; `run` is called from at most `streams` threads at a time, and from none while `warm` is.
    """

    def __init__(self, info: ModelInfo, tokenizer: Tokenizer, runner: Runner, pad_id: int) -> None:
        self.info = info
        self.streams = runner.streams
        self.lengths = shapes.lengths(info.max_tokens)
        self._tokenizer = tokenizer
        self._runner = runner
        self._pad_id = pad_id

    def tokenize(self, texts: Sequence[str], prompt: str | None = None) -> list[TokenizedText]:
        """Texts -> ids, in order.

        Args:
            prompt: Put before every text; None for the model's own default prompt, "" for none.
        """
        return self._tokenizer(texts, prompt)

    def read(self, inputs: Sequence[TextInput]) -> list[TokenizedText | InvalidItem]:
        """Inputs of every kind -> ids or an error, in order."""
        return self._tokenizer.read(inputs)

    def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        """What each text is made of, uncut."""
        return self._tokenizer.tokens(texts, prompt, special)

    def run(self, batch: Sequence[Sequence[int]]) -> Vector:
        return self._run(self._runner, batch)

    def run_alone(self, batch: Sequence[Sequence[int]]) -> Vector:
        """As `run`, soonest done where nothing else runs."""
        return self._run(self._runner.alone, batch)

    def _run(self, runner: Runner, batch: Sequence[Sequence[int]]) -> Vector:
        out = np.empty((len(batch), self.info.dimensions), np.float32)
        if not batch:
            return out
        longest = max(map(len, batch))
        if runner.fixed_shapes:
            length = shapes.bucket(longest, self.lengths)
            plan = shapes.pieces(len(batch), length)
        else:
            length, plan = longest, ((len(batch), len(batch)),)
        start = 0
        for rows, padded in plan:
            ids, mask = self._padded(batch[start : start + rows], padded, length)
            out[start : start + rows] = runner(ids, mask)[:rows]
            start += rows
        return out

    def golden(self) -> list[Vector]:
        """What it makes of the self-test's texts, in each form that it has."""
        batch = [text.ids for text in self.tokenize(self_test.TEXTS, "")]
        return [self.run(batch), *([self.run_alone(batch)] if self._runner.alone is not self._runner else [])]

    def warm(self, shapes: Sequence[tuple[int, int]]) -> None:
        """Make the kernels of these shapes: every stream has its own."""
        together = threading.Barrier(self.streams)

        def run(runner: Runner, rows: int, length: int, together: threading.Barrier) -> None:
            inputs = self._padded([[self._pad_id] * length] * rows, rows, length)
            together.wait()
            runner(*inputs)

        with ThreadPoolExecutor(self.streams) as threads:
            for rows, length in shapes:
                each = [threads.submit(run, self._runner, rows, length, together) for _ in range(self.streams)]
                for one in each:
                    one.result()
                if rows == 1 and self._runner.alone is not self._runner:
                    run(self._runner.alone, rows, length, threading.Barrier(1))
        self._runner.warmed()

    def _padded(self, batch: Sequence[Sequence[int]], rows: int, length: int) -> tuple[Any, Any]:
        ids = np.full((rows, length), self._pad_id, np.int32)
        mask = np.zeros((rows, length), np.int32)
        # Rows that only fill the shape attend to one token: over none, a softmax has no answer.
        mask[:, 0] = 1
        for row, sequence in enumerate(batch):
            ids[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        return ids, mask


def cache_folder(args: ModelArgs) -> Path:
    """Where converted models go."""
    return Path(args.cache_dir).expanduser() if args.cache_dir else converted_models()


def tokenizer_file(folder: Path, cache: Path) -> Path:
    """The model's tokenizer.json; made once, with transformers, for a directory that has none."""
    if (folder / "tokenizer.json").is_file():
        return folder / "tokenizer.json"
    state = hashlib.sha256()
    for file in sorted(folder.glob("*")):
        if file.suffix in {".txt", ".json", ".model"}:
            state.update(file.name.encode() + file.read_bytes())
    made = cache / f"tokenizer-{state.hexdigest()[:24]}.json"
    if not made.is_file():
        from app.encoders.backends import torch_runner

        cache.mkdir(parents=True, exist_ok=True)
        scratch = made.with_suffix(f".{id(state)}.tmp")
        torch_runner.save_tokenizer(folder, scratch)
        scratch.replace(made)
    return made


def fingerprint(weights: Weights, precision: str, files: Sequence[Path], *settings: Any) -> str:
    """Identifies the vectors: weights, precision, files and settings that say how inputs are read."""
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    parts = [VECTORS_VERSION, weights.id, weights.revision, weights.sha256, precision, digests, settings]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
