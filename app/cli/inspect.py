"""`python -m app inspect`: what a model on this machine is, and whether it can be served."""

import math
from collections.abc import Callable
from pathlib import Path

from app.config.args import ModelArgs
from app.encoders.backends import registry
from app.encoders.backends.contract import Graph
from app.encoders.clip import ClipLayout, clip_layout
from app.encoders.files import loading, read_json, tensors
from app.encoders.image_families import image_family
from app.encoders.modules import routes
from app.encoders.pretrained import Pretrained
from app.encoders.refusal import architecture, is_cross_encoder, is_sparse
from app.encoders.rerank import RerankLayout, rerank_layout
from app.encoders.sparse import SparseLayout, sparse_layout
from app.encoders.text import cache_folder, check_text_model
from app.encoders.text_layout import TextLayout, text_layout
from app.encoders.weights import Weights, check, resolve, weight_files
from app.errors import ServiceError
from app.images.preprocessing import Patches

EITHER = "openvino, or torch if a conversion is not exact"


def run(model: str, revision: str | None, say: Callable[[str], None], complain: Callable[[str], int]) -> int:
    args = ModelArgs(id=model, revision=revision)
    try:
        weights = resolve(model, revision, offline=True)
        say(f"{weights.id} is at {weights.directory}")
        with loading(model):
            facts = described(args, weights)
        for name, value in facts.items():
            say(f"{name:<11} {value}")
    except ServiceError as error:
        return complain(error.message)
    return 0


def described(args: ModelArgs, weights: Weights) -> dict[str, str]:
    """By name, each a line. Raises ModelUnavailable, which says why it can't be served."""
    directory = weights.directory
    check(directory, args.allow_bin_weights)
    files = weight_files(directory, args.allow_bin_weights)
    backend = registry.choose(args.backend, args.device).replace("openvino", EITHER)
    cache = cache_folder(args)
    if image_family(directory):
        lines = _images(clip_layout(directory, cache))
    elif is_cross_encoder(directory):
        lines = _scores(rerank_layout(directory, cache))
    elif is_sparse(directory):
        sparse = sparse_layout(directory, cache)
        lines, backend = _sparse(sparse), backend if sparse.pooling else "static"
    else:
        check_text_model(args, directory)
        layout = text_layout(directory, cache)
        graph = Graph(str(directory), str(layout.folder), weights.sha256, "text", layout.dimensions)
        if layout.static:
            backend = "static"
        elif backend == EITHER and registry.large_decoder(graph):
            backend = "torch"
        lines = _text(layout)
        if tasks := routes(directory):
            lines["routes"] = f"{' and '.join(tasks)} (input_type), and one for all else"
    return lines | {"weights": _weights(files), "backend": backend, "complete": "yes"}


def _text(layout: TextLayout) -> dict[str, str]:
    config = read_json(layout.folder / "config.json") or {}
    name = (config.get("architectures") or [config.get("model_type")])[0]
    steps = [f"{step.kind} {step.features[1]}" if any(step.features) else step.kind for step in layout.steps]
    lines = {
        "kind": "texts (a table of token vectors)" if layout.static else f"texts ({name})",
        "pooling": ", then ".join([" + ".join(layout.pooling), *steps]),
        "dimensions": str(layout.dimensions),
    }
    lines |= _reads(layout.first, layout.prompts) | {"similarity": layout.similarity or "cosine"}
    return lines | ({"default": repr(layout.default_prompt)} if layout.default_prompt else {})


def _scores(layout: RerankLayout) -> dict[str, str]:
    labels = ", ".join(layout.labels[:5]) + (", ..." if len(layout.labels) > 5 else "")
    return {
        "kind": f"scores of pairs, or of texts ({architecture(layout.folder)}): configure it in rerank_models",
        "labels": f"{len(layout.labels)} ({labels}), behind {layout.activation}",
    } | _reads(layout.first, layout.prompts)


def _sparse(layout: SparseLayout) -> dict[str, str]:
    how = f"SPLADE, {' of '.join(layout.pooling)}" if layout.pooling else "a table of weights"
    most = f", at most {layout.most} of a text" if layout.most else ""
    return {
        "kind": f"sparse vectors of texts ({how}): configure it in sparse_models",
        "dimensions": f"{layout.first.vocabulary:,}{most}",
    } | _reads(layout.first, layout.prompts)


def _images(layout: ClipLayout) -> dict[str, str]:
    (height, width), reads = layout.images.image_size, layout.preprocessing
    size = f"{height} x {width} pixels"
    if isinstance(reads, Patches):
        size = f"at most {reads.most} patches of {size}, in their own proportions"
    return {
        "kind": f"images and texts ({layout.family.name})",
        "images": size,
        "dimensions": str(layout.dimensions),
    } | _reads(layout.first, layout.prompts, ", filled up to them" if layout.family.whole else "")


def _reads(first: Pretrained, prompts: dict[str, str], filled: str = "") -> dict[str, str]:
    named = ", ".join(f"{name}: {text!r}" for name, text in prompts.items()) or "none"
    lines = {"tokens": f"at most {first.max_tokens:,}{filled}", "prompts": named}
    return lines | ({"note": first.note} if first.note else {})


def _weights(files: list[Path]) -> str:
    safe = [tensor for file in files if file.suffix == ".safetensors" for tensor in tensors(file).values()]
    types = "/".join(sorted({tensor.dtype for tensor in safe})) or "pickled"
    count = sum(math.prod(tensor.shape) for tensor in safe)
    size = sum(file.stat().st_size for file in files)
    numbers = f", {count / 1e6:,.1f} million numbers" if safe else ""
    return f"{types}{numbers}, {size / 1e6:,.1f} MB in {len(files)} file{'s' if len(files) != 1 else ''}"
