"""What follows a model's first module: the pooling and the steps before and behind it, as their files say."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.encoders.files import read_json, reading
from app.encoders.modules import Modules
from app.errors import ModelUnavailable

# Newer files name the modes; older ones have a flag each, and this is the order they are concatenated in.
POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A module beside transformer and pooling, in order.

    Kinds: `Dense` (with its folder and configuration), `LayerNorm`, `Normalize`, `Truncate` (to the second of
    `features`); `Residual` before `Dense` adds its input, `Token` before any is of the tokens, ahead of the pooling.
    `SkipPrompt` keeps the prompt's tokens out of the pooling: their mask is 2; `SkipUnknown` the tokens of what a table
    does not know, as model2vec does."""

    kind: str
    folder: str = ""
    activation: str = "torch.nn.modules.activation.Tanh"
    features: tuple[int, int] = (0, 0)
    bias: bool = True


SKIP_PROMPT, SKIP_UNKNOWN = Step("SkipPrompt"), Step("SkipUnknown")


def read_steps(
    directory: Path, listed: Modules, pooling: tuple[str, ...], width: int, *, colbert: bool = False
) -> tuple[tuple[str, ...], list[Step], int]:
    """The pooling, all other modules that make a difference, and the dimensions of the vectors. `listed`: the modules
    behind the first, which makes vectors of `width`; `pooling`: empty where one of them says it, and of a ColBERT, all
    of whose layers are of tokens."""
    steps: list[Step] = []
    width *= len(pooling) or 1
    for kind, path in listed:
        file = directory / path / "config.json"
        settings = read_json(file) or {}
        if not settings and kind in ("Pooling", "Dense", "LayerNorm"):
            raise ModelUnavailable(
                f"The model lists a {kind} module, whose {path}/config.json is missing or empty; fetch it again."
            )
        with reading(file):
            step = None
            dense = colbert and kind == "Dense"  # sentence-transformers puts it on tokens
            if kind == "Pooling" and not pooling and not colbert:
                pooling = _pooling(settings)
                width *= len(pooling)
                if not settings.get("include_prompt", True):
                    step = SKIP_PROMPT
            elif kind in ("Dense", "Normalize", "LayerNorm"):
                step = _step(kind, path, ({"module_input_name": "token_embeddings"} if dense else {}) | settings)
            elif kind not in (("Dropout", "MultiVectorMask") if colbert else ("Dropout",)):
                what = "a second" if kind == "Pooling" else "a"
                raise ModelUnavailable(f"The model has {what} {kind} module, which this service does not serve.")
            if step is None or (step.kind.startswith("Token") and pooling):
                continue
            if not pooling and not step.kind.startswith("Token"):
                if kind == "Normalize":
                    continue
                raise ModelUnavailable(f"The model has a {kind} module before its pooling, which can't be.")
            if step.features[0] not in (0, width):
                raise ValueError(f"it reads {step.features[0]} numbers, and {width} come before it")
            width = step.features[1] or width
            steps.append(step)
    if not pooling and not colbert:
        raise ModelUnavailable("The model has no Pooling module: it makes no vectors of whole texts.")
    return pooling, steps, width


def _pooling(settings: dict[str, Any]) -> tuple[str, ...]:
    named = settings.get("pooling_mode")
    if named is None:
        named = [mode for flag, mode in POOLING_FLAGS.items() if settings.get(flag)] or ["mean"]
    modes = (named,) if isinstance(named, str) else tuple(named)
    unknown = set(modes) - set(POOLING_FLAGS.values())
    if unknown or not modes:
        raise ModelUnavailable(f"The model pools by {', '.join(sorted(unknown))}, which this service does not know.")
    return modes


def _step(kind: str, path: str, settings: dict[str, Any]) -> Step:
    reads = settings.get("module_input_name") or "sentence_embedding"
    writes = settings.get("module_output_name") or reads
    if reads != writes or reads not in ("sentence_embedding", "token_embeddings"):
        raise ModelUnavailable(f"The model's {kind} module reads {reads} and writes {writes}, which can't be served.")
    token = "Token" if reads == "token_embeddings" else ""
    if kind == "Normalize":
        return Step(token + kind)
    if kind == "LayerNorm":
        return Step(kind, path, features=(int(settings["dimension"]),) * 2)
    return Step(
        token + ("Residual" if settings.get("use_residual") else "") + kind,
        path,
        str(settings.get("activation_function", Step("").activation)),
        (int(settings["in_features"]), int(settings["out_features"])),
        bool(settings.get("bias", True)),
    )
