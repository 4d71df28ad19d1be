"""Quantises a converted graph to int8, and judges it by shipped texts that it was not calibrated on."""

from importlib.resources import files
from typing import Any

import numpy as np

from app.encoders.backends.contract import Inputs
from app.encoders.tokenizer import Tokenizer
from app.types import Vector

ASSETS = files("app").joinpath("assets", "int8")
LEAST_COSINE, LEAST_SPEARMAN = 0.99, 0.995


def read(name: str, tokenizer: Tokenizer) -> list[Inputs]:
    """Each line of a shipped file alone."""
    lines = ASSETS.joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines()
    ids = [np.array([text.ids], np.int32) for text in tokenizer(lines)]
    return [(one, np.ones_like(one)) for one in ids]


def quantize(model: Any, tokenizer: Tokenizer) -> Any:
    import nncf

    samples = read("calibration", tokenizer)
    data = nncf.Dataset(samples, lambda sample: dict(zip(("input_ids", "attention_mask"), sample, strict=True)))
    # With nncf's own choice, 0.95, Spearman's correlation of MiniLM is 0.9949 instead of 0.9964.
    smooth = nncf.AdvancedSmoothQuantParameters(matmul=0.9)
    return nncf.quantize(
        model,
        data,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
        advanced_parameters=nncf.AdvancedQuantizationParameters(smooth_quant_alphas=smooth),
    )


def compare(made: Vector, right: Vector) -> dict[str, Any]:
    """The mean `cosine` of rows, `spearman` of the scores of all their pairs, and what is `wrong`, None if nothing."""
    rows = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (made, right)]
    cosine = float(np.vecdot(*rows).mean())
    pairs = np.triu_indices(len(made), 1)
    spearman = float(np.corrcoef([(one @ one.T)[pairs].argsort().argsort() for one in rows])[0, 1])
    good = cosine >= LEAST_COSINE and spearman >= LEAST_SPEARMAN
    wrong = f"mean cosine {cosine:.4f}, at least {LEAST_COSINE:g} is asked; Spearman's correlation of pair scores "
    wrong += f"{spearman:.4f}, at least {LEAST_SPEARMAN:g} is asked"
    return {"cosine": cosine, "spearman": spearman, "wrong": None if good else wrong}
