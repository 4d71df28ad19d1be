"""BERT in a directory -> model.onnx at its root, which Infinity's optimum engine reads.

Inputs input_ids, attention_mask, token_type_ids; output last_hidden_state: (batch, length, hidden).
"""

import sys
from pathlib import Path
from typing import Any

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"


def export(folder: Path) -> None:
    import torch
    from transformers import AutoModel

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state

    example = tuple(torch.ones(2, 8, dtype=torch.long) for _ in INPUTS)
    with torch.no_grad():
        torch.onnx.export(
            Plain(),
            example,
            str(folder / "model.onnx"),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes={key: {0: "batch", 1: "length"} for key in (*INPUTS, OUTPUT)},
            opset_version=17,
            dynamo=False,
        )


if __name__ == "__main__":
    export(Path(sys.argv[1]))
