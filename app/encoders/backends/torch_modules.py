"""What a graph computes, as torch modules: a transformer, and what follows it. Other backends convert them."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from app.encoders.backends.contract import Graph
from app.encoders.steps import SKIP_PROMPT, Step


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

    def __init__(self, transformer: nn.Module, graph: Graph, of_tokens: nn.Module, steps: nn.Module) -> None:
        super().__init__()
        self.transformer, self.of_tokens, self.steps = transformer, of_tokens, steps
        self.pooling = graph.pooling
        takes = "token_type_ids" in signature(transformer.forward).parameters
        self.segments = graph.segments if takes else ()
        self.skips_prompt = SKIP_PROMPT in graph.steps

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
