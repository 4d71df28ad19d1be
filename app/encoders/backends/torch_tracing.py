"""Makes a torch module of transformers one that can be traced once for all shapes and all precisions. Tracing keeps
what was done with the example: decisions on shapes go, what half precision would spoil becomes a table."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, bidirectional_mask_function, sdpa_mask

# Whose angles depend on the position alone; others depend on the length of the text too.
STATIC_ROPE = {"default", "linear", "llama3", "yarn", "proportional"}


@contextlib.contextmanager
def traceable(module: nn.Module, max_tokens: int) -> Iterator[None]:
    """Changes the module for good, and transformers' masks for as long as this lasts."""
    for part in list(module.modules()):
        config: Any = getattr(part, "config", None)
        if hasattr(config, "use_cache"):
            config.use_cache = False
        if hasattr(part, "resize_positional_embeddings"):
            vars(part)["resize_positional_embeddings"] = resized_positions
        for name, child in list(part.named_children()):
            if _rope_types(child) & STATIC_ROPE and _rope_types(child) <= STATIC_ROPE:
                setattr(part, name, RotaryTable(child, max_tokens))
    before = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]
    ALL_MASK_ATTENTION_FUNCTIONS["sdpa"] = whole_mask
    try:
        yield
    finally:
        ALL_MASK_ATTENTION_FUNCTIONS["sdpa"] = before


def whole_mask(**options: Any) -> Tensor:
    """transformers' own mask, always made, and with no row empty: a softmax over nothing is not a number. Rows of
    padding may be: in a local window there is nothing but padding."""
    never = {"use_vmap": False, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    mask: Tensor = sdpa_mask(**(options | never))
    if options["mask_function"] is bidirectional_mask_function:
        return mask
    queries, keys = torch.arange(options["q_length"]), torch.arange(options["kv_length"])
    return mask | (queries[:, None] == keys[None])


class RotaryTable(nn.Module):
    """The angles of a rotary embedding, made once in float32: in bf16 positions beyond 256 are no whole numbers."""

    def __init__(self, rotary: Any, length: int) -> None:
        super().__init__()
        positions, like = torch.arange(max(length, 1))[None], torch.zeros(1)
        kinds = rotary.rope_type if isinstance(rotary.rope_type, dict) else (None,)
        with torch.no_grad():
            self.tables = {kind: rotary(like, positions, *filter(None, (kind,))) for kind in kinds}

    def forward(self, like: Tensor, position_ids: Tensor, layer_type: str | None = None) -> tuple[Tensor, ...]:
        return tuple(table[0][position_ids.long()].to(like.dtype) for table in self.tables[layer_type])


def resized_positions(positions: Tensor, shapes: Tensor, max_length: int) -> Tensor:
    """A square of positions, scaled to each image's rows and columns of patches (antialiased, linear) by one product
    for all shapes: transformers does it image by image. Behind an image's patches stands whatever."""
    edge, most = positions.shape[0], int(max_length)
    one = torch.eye(edge)[None, :, None]
    # For each number of lines, how much of each position there is in each line.
    scaled = [nn.functional.interpolate(one, size=(1, n), mode="bilinear", antialias=True) for n in range(1, most + 1)]
    shares = torch.cat([of[0, :, 0].T for of in scaled])
    rows, columns = shapes[:, :1].long(), shapes[:, 1:].long()
    place = torch.arange(most)[None]
    # What torch makes of an image of one column is the first row's everywhere; were that mended, the proof would tell.
    row, column = (place // columns).minimum(rows - 1) * (columns > 1), place % columns
    of_rows, of_columns = (shares[n * (n - 1) // 2 + at] for n, at in ((rows, row), (columns, column)))
    together = (of_rows[..., :, None] * of_columns[..., None, :]).flatten(2).to(positions.dtype)
    return together @ positions.reshape(edge * edge, -1)


def _rope_types(module: nn.Module) -> set[str]:
    kinds = getattr(module, "rope_type", ())
    return set(kinds.values()) if isinstance(kinds, dict) else {kinds} if isinstance(kinds, str) else set()
