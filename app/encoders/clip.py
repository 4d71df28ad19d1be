"""CLIP: a text model and an image model whose vectors compare."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app.config.args import ModelArgs
from app.config.model_names import ModelName
from app.encoders import self_test, shapes
from app.encoders.backends import registry
from app.encoders.backends.contract import Graph, Runner
from app.encoders.files import loading, read_json
from app.encoders.pretrained import pretrained
from app.encoders.text import TextModel, cache_folder, fingerprint
from app.encoders.tokenizer import Tokenizer
from app.encoders.weights import check, resolve
from app.errors import ModelUnavailable
from app.images.preprocessing import Preprocessing
from app.types import ModelInfo, Vector


class ImageModel:
    """Preprocessing and the graph behind it; `run` and `warm` are called from one thread at a time."""

    def __init__(self, info: ModelInfo, preprocessing: Preprocessing, runner: Runner, tokens: int) -> None:
        self.info = info
        self.profiles = runner.profiles
        self.preprocessing = preprocessing
        self._runner = runner
        self._plan = partial(shapes.plan, length=tokens, fixed=runner.fixed_shapes)

    def run(self, pixels: Sequence[Vector], *, exclusive: bool = False) -> Vector:
        """(3, height, width) each -> (n, dimensions), rows in the order given."""
        out = np.empty((len(pixels), self.info.dimensions), np.float32)
        start = 0
        for rows, padded in self._plan(len(pixels)):
            batch = np.zeros((padded, 3, *self.preprocessing.output_size), np.float32)
            for row, image in enumerate(pixels[start : start + rows]):
                batch[row] = image
            out[start : start + rows] = self._runner(batch, exclusive=exclusive)[:rows]
            start += rows
        return out

    def self_test(self) -> Vector:
        crops = self_test.images(self.preprocessing.output_size)
        return self.run([self.preprocessing.normalize(crop) for crop in crops])

    def warm(self, max_batch: int) -> None:
        """Compile every batch size that up to `max_batch` images can need."""
        # A backend without fixed shapes needs no more than to have run once.
        most = max_batch if self._runner.fixed_shapes else 1
        sizes = sorted({padded for n in range(1, most + 1) for _, padded in self._plan(n)})
        self._runner.warm((np.zeros((size, 3, *self.preprocessing.output_size), np.float32),) for size in sizes)


@dataclass(frozen=True, slots=True)
class ClipModel:
    """Both models of one CLIP; they share `info`."""

    text: TextModel
    image: ImageModel

    @property
    def info(self) -> ModelInfo:
        return self.text.info


def check_clip_model(args: ModelArgs, directory: Path) -> dict[str, Any]:
    """A CLIP's configuration. Raises ModelUnavailable, as `check_text_model`."""
    check(directory, args.allow_bin_weights)
    config: dict[str, Any] = read_json(directory / "config.json") or {}
    if (kind := config.get("model_type")) != "clip":
        raise ModelUnavailable(f"{args.id} is not a CLIP model (its model_type is {kind!r}).")
    return config


def load_clip_model(args: ModelArgs, *, threads: int, offline: bool) -> ClipModel:
    """Load a CLIP in the transformers layout. Raises ModelUnavailable if its weights are not available, it is no CLIP,
    or it fails its self-test."""
    with loading(args.id):
        weights = resolve(args.id, args.revision, offline, args.allow_bin_weights)
        folder = weights.directory
        config = check_clip_model(args, folder)
        # Files written long ago say only what differs from the defaults of CLIP ViT-B/32.
        vision, language = config.get("vision_config") or {}, config.get("text_config") or {}
        dimensions = int(config.get("projection_dim", 512))
        max_tokens = int(language.get("max_position_embeddings", 77))
        cache = cache_folder(args)
        own, shared = (read_json(folder / name) for name in ("preprocessor_config.json", "processor_config.json"))
        preprocessing = Preprocessing.read(own, shared)
        height, width = preprocessing.output_size
        if {height, width} != {int(vision.get("image_size", 224))}:
            raise ModelUnavailable(
                f"{args.id} reads images of {vision.get('image_size')}, its files make {height} x {width}."
            )
        options = registry.options_for(args, threads, cache)
        name = registry.choose(args.backend, args.device)

        graph = Graph(
            directory=str(folder),
            folder=str(folder),
            weights=weights.sha256,
            encoder="clip_text",
            dimensions=dimensions,
            allow_bin=args.allow_bin_weights,
            max_tokens=max_tokens,
        )
        graphs = graph, replace(graph, encoder="clip_image", image_size=(height, width))
        # sentence-transformers has no say in how a CLIP's texts are read.
        tokenizer = pretrained(folder, cache, {}).tokenizer
        texts, images = (registry.load(graph, options, name) for graph in graphs)
        if (texts.name, texts.precision) != (images.name, images.precision):
            # They share `info`: what one of them can't do, neither does.
            options, name = replace(options, precision="f32"), "torch" if "torch" in (texts.name, images.name) else name
            note = texts.note or images.note
            texts, images = (registry.load(graph, options, name) for graph in graphs)
            texts.note = note
        files = [folder / "config.json", tokenizer]
        info = ModelInfo(
            id=ModelName(weights.id).public,
            fingerprint=fingerprint(weights, texts.precision, files, [max_tokens, own, shared]),
            dimensions=dimensions,
            max_tokens=max_tokens,
            kinds=("text", "image"),
            backend=texts.name,
            precision=texts.precision,
            device=texts.device,
            revision=weights.revision,
            prompts=dict(args.prompts),
            pooling=("lasttoken",),
            note=texts.note or images.note,
        )
        patches = (height // int(vision.get("patch_size", 32))) ** 2 + 1
        vocabulary = int(language.get("vocab_size", 49408))
        # 0 as padding: CLIP looks for the end token, and must not find it in the padding of a row that is none.
        text = TextModel(info, Tokenizer(tokenizer, max_tokens), texts, pad_id=0, vocabulary=vocabulary)
        image = ImageModel(info, preprocessing, images, patches)
        self_test.check(self_test.SelfTest(text.self_test(), image.self_test()), weights, info, cache)
        return ClipModel(text, image)
