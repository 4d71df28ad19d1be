"""The torch backend (GPU, and CPU without OpenVINO), and all that only torch and transformers can do.

With `torch_tracing` the only module that imports either: it also builds the modules that other backends convert.
"""

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
    CLIPModel,
)
from transformers.utils import logging as transformers_logging

from app.encoders.backends.contract import Graph, Inputs, RunOptions
from app.encoders.model_config import Step
from app.errors import ModelUnavailable
from app.types import Vector

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def load(graph: Graph, options: RunOptions) -> "TorchRunner":
    """Load a graph on the GPU (half precision) or the CPU (float32 unless asked otherwise)."""
    if options.device == "cuda" and not has_cuda():
        raise ModelUnavailable("The model is set to run on a GPU (device: cuda), but torch sees none here.")
    device = "cuda" if options.device != "cpu" and has_cuda() else "cpu"
    precision = options.precision
    if precision == "auto":
        precision = "f32" if device == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "f16"
    if device == "cpu":
        torch.set_num_threads(options.threads)
    try:
        return _tried(graph, precision, device)
    except RuntimeError as exc:
        reason = f"transformers can't run this model in {precision} ({str(exc).splitlines()[0]})"
        if options.precision != "auto":
            raise ModelUnavailable(f"{reason[0].upper()}{reason[1:]}; use precision: auto or f32.") from exc
    runner = _tried(graph, "f32", device)
    runner.note = f"It runs in f32: {reason}."
    return runner


def _tried(graph: Graph, precision: str, device: str) -> "TorchRunner":
    runner = TorchRunner(module(graph, DTYPES[precision]).to(device), precision, device)
    runner(*(tensor.numpy() for tensor in example(graph).values()))
    return runner


def has_cuda() -> bool:
    return torch.cuda.is_available()


class TorchRunner:
    """A torch module as a `Runner`."""

    name = "torch"
    fixed_shapes = False
    streams = 1
    profiles: tuple[bool, ...] = (False,)
    note: str | None = None

    def __init__(self, module_: nn.Module, precision: str, device: str) -> None:
        self.precision = precision
        self.device = device
        self._module = module_
        self._dtype = DTYPES[precision]

    def __call__(self, *inputs: NDArray[Any], exclusive: bool = False) -> Vector:
        with torch.inference_mode():
            out: Tensor = self._module(*(self._tensor(array) for array in inputs))
        return np.ascontiguousarray(out.float().cpu().numpy())

    def warm(self, batches: Iterable[Inputs]) -> None:
        for inputs in batches:
            self(*inputs)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array).to(self.device)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor


def module(graph: Graph, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The whole computation of a graph, on the CPU.

    Raises:
        ModelUnavailable: transformers can't load it, or the files lack weights that it needs.
    """
    try:
        with _quiet():
            built = _text(graph, dtype) if graph.encoder == "text" else _clip(graph, dtype)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as exc:
        raise ModelUnavailable(f"The model's files can't be loaded: {exc}") from exc
    return built.eval()


def example(graph: Graph) -> dict[str, Tensor]:
    """Inputs of the graph by name, to trace it with; one row is shorter than the other."""
    if graph.encoder == "clip_image":
        return {"pixel_values": torch.zeros((2, 3, *graph.image_size))}
    mask = torch.ones((2, 8), dtype=torch.int32)
    mask[1, 5:] = 0
    return {"input_ids": torch.ones_like(mask), "attention_mask": mask}


def save_tokenizer(folder: Path, target: Path) -> None:
    """Build tokenizer.json for a directory that has only a vocabulary or a sentencepiece model."""
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer.backend_tokenizer.save(str(target))
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as exc:
        raise ModelUnavailable(f"The model has no tokenizer.json, and none can be made: {exc}") from exc


class TextModule(nn.Module):
    """Transformer, pooling and what follows: ids and mask -> vectors."""

    def __init__(self, transformer: nn.Module, pooling: tuple[str, ...], steps: list[nn.Module]) -> None:
        super().__init__()
        self.transformer = transformer
        self.pooling = pooling
        self.steps = nn.Sequential(*steps)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        # Long sums lose too much in half precision.
        pooled = [pool(mode, hidden.float(), attention_mask) for mode in self.pooling]
        out: Tensor = self.steps(torch.cat(pooled, dim=-1).to(hidden.dtype))
        return out


def pool(mode: str, hidden: Tensor, mask: Tensor) -> Tensor:
    """Token vectors -> one vector, as sentence-transformers does; padding is on the right."""
    keep = mask.unsqueeze(-1).to(hidden.dtype)
    if mode == "cls":
        return hidden[:, 0]
    if mode == "max":
        return hidden.masked_fill(keep == 0, float("-inf")).max(dim=1).values
    if mode == "lasttoken":
        last = (mask.sum(dim=1) - 1).clamp(min=0).long()
        return hidden.gather(1, last.view(-1, 1, 1).expand(-1, 1, hidden.shape[-1])).squeeze(1)
    if mode == "weightedmean":
        keep = keep * keep.cumsum(dim=1)
    total = (hidden * keep).sum(dim=1)
    count = keep.sum(dim=1).clamp(min=1e-9)
    return total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


class Normalize(nn.Module):
    def forward(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors.float(), p=2.0, dim=-1)


class ClipEncoder(nn.Module):
    """One encoder of CLIP with its projection: the model's own, unnormalised embedding."""

    def __init__(self, encoder: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = projection


class ClipText(ClipEncoder):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        pooled = self.encoder(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        out: Tensor = self.projection(pooled)
        return out


class ClipImage(ClipEncoder):
    def forward(self, pixel_values: Tensor) -> Tensor:
        out: Tensor = self.projection(self.encoder(pixel_values=pixel_values).pooler_output)
        return out


def _text(graph: Graph, dtype: torch.dtype) -> nn.Module:
    config = AutoConfig.from_pretrained(graph.folder, local_files_only=True, trust_remote_code=False)
    # Of a model with a decoder behind its encoder, such as T5, the encoder alone.
    kind = AutoModelForTextEncoding if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel
    transformer = _pretrained(kind, graph, dtype)
    if hasattr(transformer, "set_attention_type"):
        # BigBird gives up its blocks at its first short text: vectors must not depend on what came before.
        transformer.set_attention_type("original_full")
    # Its output is not used; where it exists it would only cost time.
    if getattr(transformer, "pooler", None) is not None:
        transformer.pooler = None
    return TextModule(transformer, graph.pooling, [_step(graph, step).to(dtype) for step in graph.steps])


def _clip(graph: Graph, dtype: torch.dtype) -> nn.Module:
    model = _pretrained(CLIPModel, graph, dtype)
    if graph.encoder == "clip_text":
        return ClipText(model.text_model, model.text_projection)
    return ClipImage(model.vision_model, model.visual_projection)


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
    )
    # transformers fills gaps with random numbers; vectors made with them look fine and mean nothing.
    missing = [key for key in report["missing_keys"] if "pooler." not in key and not key.endswith("position_ids")]
    if missing or report["mismatched_keys"]:
        raise ValueError(f"weights are missing: {', '.join(sorted(map(str, missing))[:3]) or 'wrong sizes'}")
    return model


def _step(graph: Graph, step: Step) -> nn.Module:
    if step.kind == "Normalize":
        return Normalize()
    if not step.activation.startswith("torch.nn."):
        raise ValueError(f"the activation {step.activation} is not torch's own")
    linear = nn.Linear(*step.features, bias=step.bias)
    folder = Path(graph.directory, step.folder)
    if (folder / "model.safetensors").is_file():
        from safetensors.torch import load_file

        state = load_file(folder / "model.safetensors")
    elif graph.allow_bin:
        state = torch.load(folder / "pytorch_model.bin", weights_only=True, map_location="cpu")
    else:
        raise ValueError(f"{step.folder} has no model.safetensors")
    linear.load_state_dict({key.removeprefix("linear."): value.float() for key, value in state.items()})
    activation: nn.Module = getattr(nn, step.activation.rsplit(".", 1)[-1])()
    return nn.Sequential(linear, activation)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Loading without progress bars and without transformers' warnings to its own developers."""
    transformers_logging.disable_progress_bar()
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
            yield
    finally:
        transformers_logging.set_verbosity(level)
