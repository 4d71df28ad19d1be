"""Says what is wrong with settings, under the names that the user wrote: variables, or places in the YAML file."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import ValidationError

from app.config.args import VARIABLES, Settings
from app.errors import did_you_mean

Loc = tuple[int | str, ...]
# Of the launcher, the commands and the hub.
OTHERS: Final = {
    *("HOST", "PORT", "LOG_FORMAT", "ALLOW_ANONYMOUS", "EMBEDDING_URL", "EMBEDDING_API_KEY", "HF_HUB_OFFLINE"),
    "OTEL_SDK_DISABLED",
}
OURS: Final = ("TEXT_", "IMAGE_", "CACHE_", "BATCH_", "EMBEDDING_")
# Words that people, and services like this one, put before the names.
PREFIXES: Final = {"EMBED", "EMBEDDER", "EMBEDDING", "EMBEDDINGS", "INFINITY", "TEI"}
MOST_SHOWN: Final = 80


def of_variables(error: ValidationError) -> str:
    """A line for each variable."""
    return "\n".join(dict.fromkeys(_reason(_variable(e["loc"]), e) for e in error.errors()))


def of_yaml(error: ValidationError, model: type[Settings], path: Path) -> str:
    """A line for each wrong setting, with the line of the file."""
    root = yaml.compose(path.read_text(), yaml.SafeLoader)
    lines = []
    for e in error.errors():
        if not (name := ".".join(map(str, e["loc"]))):
            lines.append(f"{path}: {e['msg'].removeprefix('Value error, ')}")
            continue
        reason = _reason(f"`{name}`", e)
        if e["type"] == "extra_forbidden":
            reason = f"`{name}` is not a setting.{_instead(str(e['loc'][-1]), _fields(model, e['loc'][:-1]))}"
        lines.append(f"{path}, line {_line(root, ('applications', 0, 'args', *e['loc']))}: {reason}")
    return "\n".join(lines)


def of_yaml_syntax(error: yaml.YAMLError) -> str:
    """PyYAML's reason in words for those who know no parser."""
    problem = str(getattr(error, "problem", error)).replace("the node content", "a value")
    problem = re.sub("'<stream end>'|unexpected end of stream", "the end of the file", problem)
    problem = re.sub("expected '?<(block end|document start)>'?, but found", "unexpected", problem)
    return re.sub(r"unexpected '(<.*>|\?)'", "wrong indentation", problem)


def unknown_variables(names: Iterable[str]) -> Iterator[str]:
    """A line for each name in `.env` that looks like a setting and is none."""
    known = {*VARIABLES.values(), *OTHERS}
    for name in names:
        if name in known or name.startswith(("OTEL_", "HF_", "RAY_")):
            continue
        if (hint := _meant(name, known)) or name.startswith(OURS):
            yield f".env: {name} is not a setting and has no effect.{hint}"


def _meant(name: str, known: Iterable[str]) -> str:
    """ " Did you mean `TEXT_MODEL`?" for EMBEDDING_MODEL and TEXT_MODL; empty for names that look like others'."""
    words = name.split("_")
    if PREFIXES.intersection(words):
        words = [word for word in words if word not in PREFIXES | {"SERVICE"}]
    bare = "_".join(words)
    if re.fullmatch("MODELS?(_ID|_NAME|_PATH)?", bare):
        bare = "TEXT_MODEL"
    elif bare == "API_KEY":
        bare = "API_KEYS_FILE"
    # PGPORT is no misspelt PORT, and RAG_MODEL no IMAGE_MODEL.
    near = [one for one in known if len(one) > 4 or abs(len(one) - len(bare)) < 2]
    return did_you_mean(bare, [one for one in near if one[0] == bare[:1] or one in bare])


def _variable(loc: Loc) -> str:
    parts = [str(part) for part in loc]
    if len(parts) == 3 and f"encoder.{parts[2]}" in VARIABLES:  # of one model among several
        parts = ["encoder", parts[2]]
    prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((VARIABLES[prefix] for prefix in prefixes if prefix in VARIABLES), "_".join(parts).upper())


def _reason(name: str, e: Any) -> str:
    if name == "MODEL_ALIASES":
        return f"MODEL_ALIASES: {e['loc'][-1]!r} names no model; write NAME=MODEL."
    reason = re.sub(r"^(Value error, )?((Input|String|Value|List|Tuple) should )?", "", e["msg"])
    reason = reason.partition(", unable to parse")[0].replace("a valid integer", "a whole number")
    verb = " must" if "should " in e["msg"] else "" if reason.startswith("must ") else ":"
    return f"{name}{verb} {reason}, not {repr(e['input'])[:MOST_SHOWN]}"


def _instead(name: str, known: Iterable[str]) -> str:
    if field := next((field for field, variable in VARIABLES.items() if variable == name), None):
        return f" Here it is `{field}`."
    return did_you_mean(name, known) or f" Known: {', '.join(known)}."


def _fields(model: Any, loc: Loc) -> Iterable[str]:
    """The settings at a place."""
    for part in loc:
        kind = model.model_fields[part].annotation if isinstance(part, str) else model
        model = next((one for one in (kind, *get_args(kind)) if hasattr(one, "model_fields")), kind)
    return model.model_fields if hasattr(model, "model_fields") else ()


def _line(node: Any, loc: Loc) -> int:
    """The line of a place, or of what is nearest above it."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    node, line = value, key.start_mark.line + 1
                    break
    return line
