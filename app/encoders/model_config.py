"""What the JSON files of a model directory say about how to read a text and make a vector.

Knows the sentence-transformers layout and plain transformers directories. Loads no weights and no tokenizer.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
# Position 0 of these is `pad_token_id + 1`, so they read fewer tokens than they have positions.
OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"})

SENTENCE_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


@dataclass(frozen=True, slots=True)
class Step:
    """A module behind the pooling: `Dense` (with its folder and configuration) or `Normalize`."""

    kind: str
    folder: str = ""
    activation: str = "torch.nn.modules.activation.Tanh"
    features: tuple[int, int] = (0, 0)
    bias: bool = True


@dataclass(frozen=True, slots=True)
class TextLayout:
    """How the model in a directory reads a text; `folder` holds its transformer and tokenizer."""

    folder: Path
    max_tokens: int
    lower_case: bool
    pad_id: int
    pooling: tuple[str, ...]
    steps: tuple[Step, ...]
    dimensions: int
    prompts: dict[str, str]
    default_prompt: str

    @property
    def normalized(self) -> bool:
        return bool(self.steps) and self.steps[-1].kind == "Normalize"


def read_json(path: Path) -> Any:
    """The file's content, None if there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise ModelUnavailable(f"The model's {path.name} can't be read ({exc}); fetch the model again.") from exc


def modules(directory: Path) -> list[tuple[str, str]]:
    """(kind, folder) of each module; a plain transformers directory counts as one Transformer."""
    listed = read_json(directory / "modules.json")
    if listed is None:
        return [("Transformer", "")]
    return [(str(module["type"]).rsplit(".", 1)[-1], str(module.get("path", ""))) for module in listed]


def model_type(directory: Path) -> str:
    """The transformer's `model_type`, empty if the directory has no configuration."""
    config = read_json(directory / modules(directory)[0][1] / "config.json") or {}
    return str(config.get("model_type", ""))


def text_layout(directory: Path) -> TextLayout:
    """Read a directory.

    Raises:
        ModelUnavailable: It needs a module that this service does not have.
    """
    (first, path), *rest = modules(directory)
    folder = directory / path
    config = read_json(folder / "config.json")
    if first != "Transformer" or config is None:
        raise ModelUnavailable(f"The model starts with a {first} module, not a transformer; it can't be served.")
    hidden = int(next(config[key] for key in ("hidden_size", "dim", "d_model", "n_embd") if key in config))
    pooling: tuple[str, ...] = ("mean",)
    steps: list[Step] = []
    for kind, path in rest:
        settings = read_json(directory / path / "config.json") or {}
        if kind == "Pooling":
            pooling = _pooling(settings)
        elif kind == "Dense":
            steps.append(_dense(path, settings))
        elif kind == "Normalize":
            steps.append(Step("Normalize"))
        elif kind != "Dropout":
            raise ModelUnavailable(f"The model has a {kind} module, which this service does not know.")
    outs = [step.features[1] for step in steps if step.kind == "Dense"]
    prompts, default = _prompts(directory)
    sentence: dict[str, Any] = next((c for name in SENTENCE_CONFIGS if (c := read_json(folder / name)) is not None), {})
    return TextLayout(
        folder=folder,
        max_tokens=_max_tokens(folder, config, sentence),
        lower_case=bool(sentence.get("do_lower_case")),
        pad_id=int(config.get("pad_token_id") or 0),
        pooling=pooling,
        steps=tuple(steps),
        dimensions=outs[-1] if outs else hidden * len(pooling),
        prompts=prompts,
        default_prompt=default,
    )


def _pooling(settings: dict[str, Any]) -> tuple[str, ...]:
    if not settings.get("include_prompt", True):
        raise ModelUnavailable("The model leaves its prompt out of the pooling; this service can't do that.")
    named = settings.get("pooling_mode")
    if named is None:
        named = [mode for flag, mode in POOLING_FLAGS.items() if settings.get(flag)] or ["mean"]
    modes = (named,) if isinstance(named, str) else tuple(named)
    unknown = set(modes) - set(POOLING_FLAGS.values())
    if unknown:
        raise ModelUnavailable(f"The model pools by {', '.join(sorted(unknown))}, which this service does not know.")
    return modes


def _dense(path: str, settings: dict[str, Any]) -> Step:
    names = {settings.get(key) for key in ("module_input_name", "module_output_name")}
    if settings.get("use_residual") or names - {None, "sentence_embedding"}:
        raise ModelUnavailable("The model's Dense module is of a kind that this service does not know.")
    return Step(
        "Dense",
        path,
        str(settings.get("activation_function", Step("").activation)),
        (int(settings["in_features"]), int(settings["out_features"])),
        bool(settings.get("bias", True)),
    )


def _max_tokens(folder: Path, config: dict[str, Any], sentence: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings") or -1)
    if positions > 0 and config.get("model_type") in OFFSET_POSITIONS:
        positions -= int(config.get("pad_token_id", 1)) + 1
    tokenizer = read_json(folder / "tokenizer_config.json") or {}
    own = sentence.get("max_seq_length") or tokenizer.get("model_max_length") or positions
    most = min(int(own), positions) if positions > 0 else int(own)
    # Some tokenizers say 1e30 for "no end", and some models have no table of positions.
    return most if 0 < most < 2**20 else 512


def _prompts(directory: Path) -> tuple[dict[str, str], str]:
    settings = read_json(directory / "config_sentence_transformers.json") or {}
    prompts = {str(name): str(text) for name, text in (settings.get("prompts") or {}).items()}
    return prompts, prompts.get(settings.get("default_prompt_name") or "", "")
