"""CLIP and its kin: a text model and an image model whose vectors compare."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app.config.args import ModelArgs
from app.config.model_names import ModelName
from app.encoders import self_test, shapes
from app.encoders.backends import registry
from app.encoders.backends.contract import Graph, Runner
from app.encoders.files import loading, read_json, reading
from app.encoders.image_families import FAMILIES, NAMES, Family
from app.encoders.modules import model_type, modules
from app.encoders.pretrained import Pretrained, WithImages, pretrained
from app.encoders.steps import Step, read_steps
from app.encoders.text import TextModel, cache_folder, fingerprint
from app.encoders.text_layout import settings
from app.encoders.tokenizer import Tokenizer
from app.encoders.weights import check, resolve
from app.errors import ModelUnavailable
from app.images.preprocessing import Patches, Preprocessing
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
        """Images as `preprocessing` makes them -> (n, dimensions), rows in the order given."""
        out = np.empty((len(pixels), self.info.dimensions), np.float32)
        start = 0
        for rows, padded in self._plan(len(pixels)):
            batch = np.zeros((padded, *self.preprocessing.shape), np.float32)
            for row, image in enumerate(pixels[start : start + rows]):
                batch[row] = image
            out[start : start + rows] = self._runner(*self.preprocessing.inputs(batch), exclusive=exclusive)[:rows]
            start += rows
        return out

    def self_test(self) -> Vector:
        crops = self.preprocessing.samples(self_test.images)
        return self.run([self.preprocessing.normalize(crop) for crop in crops])

    def warm(self, max_batch: int) -> None:
        """Run one image, and the largest batch that `max_batch` images can need: see `shapes.warmed`."""
        # A backend without fixed shapes needs no more than to have run once.
        most = max_batch if self._runner.fixed_shapes else 1
        sizes = sorted({1, max(padded for n in range(1, most + 1) for _, padded in self._plan(n))})
        reads = self.preprocessing
        self._runner.warm(reads.inputs(np.zeros((size, *reads.shape), np.float32)) for size in sizes)


@dataclass(frozen=True, slots=True)
class ClipModel:
    """Both halves of one model; they share `info`."""

    text: TextModel
    image: ImageModel

    @property
    def info(self) -> ModelInfo:
        return self.text.info


@dataclass(frozen=True, slots=True)
class ClipLayout:
    """`said`: the files that say how pictures are prepared."""

    family: Family
    folder: Path
    first: Pretrained
    images: WithImages
    preprocessing: Preprocessing
    said: tuple[Any, Any]
    steps: tuple[Step, ...]
    dimensions: int
    prompts: dict[str, str]
    default_prompt: str


def clip_layout(directory: Path, cache: Path) -> ClipLayout:
    """How the model in a directory reads texts and pictures; loads no weights. Raises ModelUnavailable if it is of no
    family that is served, or a file is missing or damaged."""
    kind, folder = _start(directory)
    _, *rest = modules(directory)
    own, shared = (read_json(folder / name) for name in ("preprocessor_config.json", "processor_config.json"))
    if own is None and "image_processor" not in (shared or {}):
        raise ModelUnavailable("The model has no preprocessor_config.json; fetch it again.")
    nested = (shared or {}).get("image_processor") is not None
    with reading(folder / ("processor_config.json" if nested else "preprocessor_config.json")):
        preprocessing = Preprocessing.read(own, shared, {"siglip": "Siglip", "siglip2": "Siglip2"}.get(kind, "CLIP"))
        made = [*preprocessing.output_size]
    # sentence-transformers has no say in how the texts of such a model are read.
    first = pretrained(folder, cache, {})
    size, reads, makes = first.images and first.images.image_size, kind == "siglip2", isinstance(preprocessing, Patches)
    if first.images is None or (reads, size) != (makes, made):
        read, given = ("patches" if patches else "images" for patches in (reads, makes))
        raise ModelUnavailable(f"The model reads {read} of {size} (height, width), its files make {given} of {made}.")
    _, steps, dimensions = read_steps(directory, rest, ("lasttoken",), first.images.dimensions)
    prompts, default, dimensions, _ = settings(directory, steps, dimensions)
    return ClipLayout(
        family=FAMILIES[kind],
        folder=folder,
        first=first,
        images=first.images,
        preprocessing=preprocessing,
        said=(own, shared),
        steps=tuple(steps),
        dimensions=dimensions,
        prompts=prompts,
        default_prompt=default,
    )


def check_clip_model(args: ModelArgs, directory: Path) -> None:
    """Raises ModelUnavailable, as `check_text_model`."""
    check(directory, args.allow_bin_weights)
    _start(directory)


def _start(directory: Path) -> tuple[str, Path]:
    """The family of a model, as a key of `FAMILIES`, and the folder of its transformer."""
    kind, (module, path) = model_type(directory), modules(directory)[0]
    if kind not in FAMILIES:
        raise ModelUnavailable(
            f"The model is not a CLIP model or one of its kin ({NAMES}); its model_type is {kind!r}."
        )
    if module not in ("Transformer", "CLIPModel"):
        raise ModelUnavailable(f"The model starts with a {module} module, not a transformer; it can't be served.")
    return kind, directory / path


def load_clip_model(args: ModelArgs, *, threads: int, offline: bool) -> ClipModel:
    """Load a CLIP or one of its kin, in the layouts of transformers and sentence-transformers. Raises ModelUnavailable
    if its weights are not available, it is none, or it fails its self-test."""
    with loading(args.id):
        weights = resolve(args.id, args.revision, offline, args.allow_bin_weights)
        check_clip_model(args, weights.directory)
        cache = cache_folder(args)
        layout = clip_layout(weights.directory, cache)
        first, reads = layout.first, layout.preprocessing
        options = registry.options_for(args, threads, cache)
        name = registry.choose(args.backend, args.device)

        graph = Graph(
            directory=str(weights.directory),
            folder=str(layout.folder),
            weights=weights.sha256,
            encoder="clip_text",
            dimensions=layout.dimensions,
            steps=layout.steps,
            allow_bin=args.allow_bin_weights,
            max_tokens=first.max_tokens,
        )
        graphs = graph, replace(graph, encoder="clip_image", image_size=reads.output_size)
        patches = layout.images.patches
        if isinstance(reads, Patches):
            patches = reads.most
            graphs = graph, replace(graph, encoder="image_patches", image_size=(patches, reads.shape[1]))
        texts, images = (registry.load(graph, options, name) for graph in graphs)
        if (texts.name, texts.precision) != (images.name, images.precision):
            # They share `info`: what one of them can't do, neither does.
            options, name = replace(options, precision="f32"), "torch" if "torch" in (texts.name, images.name) else name
            note = texts.note or images.note
            texts, images = (registry.load(graph, options, name) for graph in graphs)
            texts.note = note
        behind = [*map(asdict, layout.steps), *filter(None, [layout.default_prompt])]
        tokenizer = Tokenizer(first.tokenizer, first.max_tokens, layout.default_prompt)
        info = ModelInfo(
            id=ModelName(weights.id).public,
            fingerprint=fingerprint(
                weights,
                texts.precision,
                [layout.folder / "config.json", first.tokenizer],
                [first.max_tokens, *layout.said, *behind],
            ),
            dimensions=layout.dimensions,
            max_tokens=first.max_tokens,
            kinds=("text", "image"),
            backend=texts.name,
            precision=texts.precision,
            device=texts.device,
            revision=weights.revision,
            prompts=layout.prompts | args.prompts,
            normalized=layout.steps[-1:] == (Step("Normalize"),),
            pooling=("lasttoken",),
            cut=tokenizer.cut,
            note=" ".join(dict.fromkeys(filter(None, (first.note, texts.note or images.note)))) or None,
        )
        text = TextModel(
            info,
            tokenizer,
            texts,
            first.pad_id if layout.family.pad is None else layout.family.pad,
            first.vocabulary,
            layout.images if layout.family.whole else None,
        )
        image = ImageModel(info, reads, images, patches)
        self_test.check(self_test.SelfTest(text.self_test(), image.self_test()), weights, info, cache)
        return ClipModel(text, image)
