"""A model's files as the torch module of its graph: transformers' part, and the layers behind it."""

import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch import nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from app.encoders.backends.contract import Graph
from app.encoders.backends.torch_modules import (
    Dense,
    ImageFeatures,
    Normalize,
    PatchFeatures,
    ScoreModule,
    SpladeModule,
    TextFeatures,
    TextModule,
    TokenModule,
    Truncate,
)
from app.encoders.files import described, reading
from app.encoders.steps import SKIP_PROMPT, Step
from app.errors import ModelUnavailable


def module(graph: Graph, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The whole computation of a graph, on the CPU. Raises ModelUnavailable if transformers can't load it, or the files
    lack weights that it needs."""
    # Progress bars, and warnings to transformers' own developers.
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
            built = LOADERS.get(graph.encoder, _with_images)(graph, dtype)
    except ModelUnavailable:
        raise
    except Exception as exc:
        raise ModelUnavailable(f"The model's files can't be loaded: {described(exc)}.") from exc
    return built.eval()


def _text(graph: Graph, dtype: torch.dtype) -> nn.Module:
    config = AutoConfig.from_pretrained(graph.folder, local_files_only=True, trust_remote_code=False)
    # Of a model with a decoder behind its encoder, such as T5, the encoder alone.
    kind = AutoModelForTextEncoding if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel
    if kind is AutoModel and config.is_encoder_decoder:  # LongT5's is not in that table
        kind = getattr(transformers, f"{type(config).__name__.removesuffix('Config')}EncoderModel", kind)
    transformer = _pretrained(kind, graph, dtype)
    if (reads := transformer.main_input_name) != "input_ids":
        raise ValueError(f"it reads {reads}, not texts")
    if hasattr(transformer, "set_attention_type"):
        # BigBird gives up its blocks at its first short text: vectors must not depend on what came before.
        transformer.set_attention_type("original_full")
    # Its output is not used; where it exists it would only cost time.
    if getattr(transformer, "pooler", None) is not None:
        transformer.pooler = None
    parts = nn.Sequential(), nn.Sequential()
    for step in graph.steps:
        if step != SKIP_PROMPT:
            parts[not step.kind.startswith("Token")].append(_step(graph, step).to(dtype))
    return (TokenModule if graph.encoder == "token" else TextModule)(transformer, graph, *parts)


def _scores(graph: Graph, dtype: torch.dtype) -> nn.Module:
    model = _pretrained(AutoModelForSequenceClassification, graph, dtype)
    local = {"local_files_only": True, "trust_remote_code": False}
    names = AutoTokenizer.from_pretrained(graph.folder, **local).model_input_names
    typed = "token_type_ids" in names and "token_type_ids" in signature(model.forward).parameters
    return ScoreModule(model, typed=typed)


def _splade(graph: Graph, dtype: torch.dtype) -> nn.Module:
    return SpladeModule(_pretrained(AutoModelForMaskedLM, graph, dtype), graph)


def _with_images(graph: Graph, dtype: torch.dtype) -> nn.Module:
    model, steps = _pretrained(AutoModel, graph, dtype), nn.Sequential(*(_step(graph, one) for one in graph.steps))
    # The other half takes as much memory.
    if graph.encoder == "clip_text":
        model.vision_model = None
        return TextFeatures(model, steps.to(dtype))
    if not getattr(model.config.vision_config, "vision_use_head", True):
        raise ValueError("its images have no vector, as it has no pooling head (vision_use_head: false)")
    model.text_model = None
    return (PatchFeatures if graph.encoder == "image_patches" else ImageFeatures)(model, steps.to(dtype))


def _pretrained(kind: Any, graph: Graph, dtype: torch.dtype) -> Any:
    # No attn_implementation: the default is SDPA where the architecture has it, and MPNet has not.
    model, report = kind.from_pretrained(
        graph.folder,
        # Not `to` afterwards: that would round what transformers keeps in float32, such as rotary angles.
        dtype=dtype,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=None if graph.allow_bin else True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are reported, too
    )
    # transformers fills gaps with random numbers; vectors made with them look fine and mean nothing.
    unused = "pooler." if graph.encoder != "rerank" else "position_ids"
    missing = [key for key in report["missing_keys"] if unused not in key and not key.endswith("position_ids")]
    if missing:
        raise ValueError(f"weights are missing: {', '.join(sorted(map(str, missing))[:3])}")
    if report["mismatched_keys"]:
        key, found, said = min(report["mismatched_keys"], key=str)
        raise ValueError(f"{key} is of the shape {[*found]}, and config.json says {[*said]}")
    return model


def _step(graph: Graph, step: Step) -> nn.Module:
    if step.kind.endswith("Normalize"):
        return Normalize()
    if step.kind == "Truncate":
        return Truncate(step.features[1])
    built: nn.Module
    if step.kind == "LayerNorm":
        built = nn.LayerNorm(step.features[0])
    else:
        if not step.activation.startswith("torch.nn."):
            raise ValueError(f"the activation {step.activation} is not torch's own")
        built = Dense(step, getattr(nn, step.activation.rsplit(".", 1)[-1])())
    folder = Path(graph.directory, step.folder)
    if (folder / "model.safetensors").is_file():
        state = load_file(folder / "model.safetensors")
    elif graph.allow_bin:
        state = torch.load(folder / "pytorch_model.bin", weights_only=True, map_location="cpu")
    else:
        raise ValueError(f"{step.folder} has no model.safetensors")
    if not step.folder:  # Stanford's ColBERT has it beside the transformer's weights
        state = {"linear.weight": state["linear.weight"]}
    with reading(folder / "model.safetensors"):
        built.load_state_dict({key.removeprefix("norm."): value.float() for key, value in state.items()})
    return built


LOADERS = {"text": _text, "token": _text, "rerank": _scores, "sparse": _splade}
