"""The torch backend (GPU, and CPU without OpenVINO), and the modules that other backends convert. Only this and
`torch_tracing` import torch, only they and `tokenizer_export` transformers."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
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

from app.encoders.backends.contract import Graph, Inputs, Runner, RunOptions
from app.encoders.files import described
from app.encoders.steps import SKIP_PROMPT, Step
from app.errors import ModelUnavailable
from app.types import Vector

has_cuda = torch.cuda.is_available
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


class TorchRunner(Runner):
    name = "torch"

    def __init__(self, module_: nn.Module, precision: str, device: str) -> None:
        self.precision = precision
        self.device = device
        self._module = module_
        self._dtype = DTYPES[precision]

    def __call__(self, *inputs: NDArray[Any], exclusive: bool = False) -> Vector:
        return self._run(self._module, inputs)

    def pool_spans(self, *inputs: NDArray[Any]) -> Vector:
        return self._run(cast(Any, self._module).pool_spans, inputs)

    def _run(self, module: Callable[..., Tensor], inputs: Inputs) -> Vector:
        with torch.inference_mode():
            tensors = [torch.from_numpy(array).to(self.device) for array in inputs]
            out = module(*(one.to(self._dtype) if one.is_floating_point() else one for one in tensors))
        return np.ascontiguousarray(out.float().cpu().numpy())

    def warm(self, batches: Iterable[Inputs]) -> None:
        for inputs in batches:
            self(*inputs)


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
    except Exception as exc:
        raise ModelUnavailable(f"The model's files can't be loaded: {described(exc)}") from exc
    return built.eval()


def example(graph: Graph) -> dict[str, Tensor]:
    """Inputs of the graph by name, to trace it with; one row is shorter than the other."""
    if graph.encoder == "clip_image":
        return {"pixel_values": torch.zeros((2, 3, *graph.image_size))}
    if graph.encoder == "image_patches":
        shapes = torch.tensor([[1, graph.image_size[0]], [1, 1]], dtype=torch.int32)
        return {"pixel_values": torch.zeros((2, *graph.image_size)), "spatial_shapes": shapes}
    mask = torch.ones((2, 8), dtype=torch.int32)
    mask[1, 5:] = 0
    return {"input_ids": torch.ones_like(mask), "attention_mask": mask}


class TextModule(nn.Module):
    """Transformer, pooling and what follows: ids and mask -> vectors."""

    def __init__(self, transformer: nn.Module, graph: Graph, dtype: torch.dtype) -> None:
        super().__init__()
        self.transformer = transformer
        self.pooling = graph.pooling
        takes = "token_type_ids" in signature(transformer.forward).parameters
        self.segments = graph.segments if takes else ()
        self.skips_prompt = SKIP_PROMPT in graph.steps
        self.of_tokens, self.steps = nn.Sequential(), nn.Sequential()
        for step in graph.steps:
            if step != SKIP_PROMPT:
                (self.of_tokens if step.kind.startswith("Token") else self.steps).append(_step(graph, step).to(dtype))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        kept = attention_mask
        if self.skips_prompt:
            attention_mask, kept = attention_mask.clamp(max=1), (attention_mask == 1).to(attention_mask.dtype)
        hidden = self.token_vectors(input_ids, attention_mask)
        # Long sums lose too much in half precision.
        pooled = [pool(mode, hidden.float(), kept, attention_mask) for mode in self.pooling]
        return self.steps(torch.cat(pooled, dim=-1).to(hidden.dtype))

    def token_vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        more = typed(attention_mask, self.segments)
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **more).last_hidden_state
        return self.of_tokens(hidden)

    def pool_spans(self, input_ids: Tensor, attention_mask: Tensor, spans: Tensor) -> Any:
        hidden, spans = self.token_vectors(input_ids, attention_mask)[0], spans.float()
        return self.steps((spans @ hidden.float() / spans.sum(dim=1, keepdim=True)).to(hidden.dtype))


class TokenModule(TextModule):
    """As far as the pooling: ids and mask -> vectors of the tokens, those of padding 0. The mask is 2 at tokens that
    attend to others, and to which none attends."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        hidden = self.token_vectors(input_ids, (attention_mask == 1).to(attention_mask.dtype))
        return hidden * attention_mask.clamp(max=1).unsqueeze(-1).to(hidden.dtype)


class ScoreModule(nn.Module):
    """A classifier: ids and mask, which is 2 at the second text of a pair -> logits."""

    def __init__(self, classifier: nn.Module, *, typed: bool) -> None:
        super().__init__()
        self.classifier, self.typed = classifier, typed

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        types = {"token_type_ids": (attention_mask == 2).to(input_ids.dtype)} if self.typed else {}
        return self.classifier(input_ids=input_ids, attention_mask=attention_mask.clamp(max=1), **types).logits


class SpladeModule(nn.Module):
    """A masked language model whose logits are pooled over a text: ids and mask -> a weight of each token there is."""

    def __init__(self, model: nn.Module, graph: Graph) -> None:
        super().__init__()
        self.model = model
        self.strategy, self.activation = graph.pooling
        self.types = graph.segments if "token_type_ids" in signature(model.forward).parameters else ()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        logits = self.model(
            input_ids=input_ids, attention_mask=attention_mask, **typed(attention_mask, self.types)
        ).logits
        kept = logits * attention_mask.unsqueeze(-1).to(logits.dtype)
        # No activation changes which token has the most.
        return self._active(kept.max(dim=1).values) if self.strategy == "max" else self._active(kept).sum(dim=1)

    def _active(self, logits: Tensor) -> Tensor:
        weights = logits.float().relu().log1p()
        return weights.log1p() if self.activation == "log1p_relu" else weights


def typed(mask: Tensor, known: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """The argument for the types of tokens, where there is more than one."""
    return {"token_type_ids": segments(mask, *known)} if known else {}


def segments(mask: Tensor, before: Sequence[int], text: Sequence[int], behind: Sequence[int]) -> Tensor:
    """The type of each token, by its place from the start or from the end."""
    place = torch.arange(mask.shape[1])[None].to(mask.device)
    from_end = mask.sum(dim=1, keepdim=True) - 1 - place
    types = torch.zeros_like(mask) + text[0]
    for places, known in ((place, before), (from_end, behind[::-1])):
        for count, type_ in enumerate(known):
            types = types.masked_fill(places == count, type_)
    return types


def pool(mode: str, hidden: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
    """Token vectors -> one vector, as sentence-transformers does; padding is on the right, and `mask` may leave out
    the first tokens of those in `attention`."""
    keep = mask.unsqueeze(-1).to(hidden.dtype)
    if mode == "cls":
        if mask is attention:
            return hidden[:, 0]
        first = (attention.sum(dim=1) - mask.sum(dim=1)).long()
        return hidden.gather(1, first.view(-1, 1, 1).expand(-1, 1, hidden.shape[-1])).squeeze(1)
    if mode == "max":
        return hidden.masked_fill(keep == 0, float("-inf")).max(dim=1).values
    if mode == "lasttoken":
        last = (attention.sum(dim=1) - 1).clamp(min=0).long()
        return hidden.gather(1, last.view(-1, 1, 1).expand(-1, 1, hidden.shape[-1])).squeeze(1)
    if mode == "weightedmean":
        keep = keep * attention.unsqueeze(-1).to(hidden.dtype).cumsum(dim=1)
    total = (hidden * keep).sum(dim=1)
    count = keep.sum(dim=1).clamp(min=1e-9)
    return total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


class Normalize(nn.Module):
    def forward(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors.float(), p=2.0, dim=-1)


class Truncate(nn.Module):
    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors[:, : self.dimensions]


class Dense(nn.Module):
    """A linear layer with what follows it; a residual is projected where the sizes differ."""

    def __init__(self, step: Step, activation: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(*step.features, bias=step.bias)
        self.activation = activation
        self.residual: nn.Module | None = None
        if "Residual" in step.kind:
            same = step.features[0] == step.features[1]
            self.residual = nn.Identity() if same else nn.Linear(*step.features, bias=False)

    def forward(self, vectors: Tensor) -> Any:
        out = self.activation(self.linear(vectors))
        return out if self.residual is None else out + self.residual(vectors)


class Features(nn.Module):
    """One half of a model of texts and images: what transformers calls its features, unnormalised, and what follows."""

    def __init__(self, model: Any, steps: nn.Module) -> None:
        super().__init__()
        self.model, self.steps = model, steps


class TextFeatures(Features):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return self.steps(self.model.get_text_features(input_ids, attention_mask=attention_mask).pooler_output)


class PatchFeatures(Features):
    def forward(self, pixel_values: Tensor, spatial_shapes: Tensor) -> Any:
        place = torch.arange(pixel_values.shape[1])[None].to(pixel_values.device)
        mask = (place < spatial_shapes[:, :1] * spatial_shapes[:, 1:]).to(spatial_shapes.dtype)
        return self.steps(self.model.get_image_features(pixel_values, mask, spatial_shapes).pooler_output)


class ImageFeatures(Features):
    def forward(self, pixel_values: Tensor) -> Any:
        return self.steps(self.model.get_image_features(pixel_values).pooler_output)


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
    return {"token": TokenModule}.get(graph.encoder, TextModule)(transformer, graph, dtype)


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
    )
    # transformers fills gaps with random numbers; vectors made with them look fine and mean nothing.
    unused = "pooler." if graph.encoder != "rerank" else "position_ids"
    missing = [key for key in report["missing_keys"] if unused not in key and not key.endswith("position_ids")]
    if missing or report["mismatched_keys"]:
        raise ValueError(f"weights are missing: {', '.join(sorted(map(str, missing))[:3]) or 'wrong sizes'}")
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
    built.load_state_dict({key.removeprefix("norm."): value.float() for key, value in state.items()})
    return built


LOADERS = {"text": _text, "token": _text, "rerank": _scores, "sparse": _splade}
