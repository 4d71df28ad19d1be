"""How the model in a directory reads a text and makes a vector. Loads no weights."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.encoders.files import read_json, reading, tensors
from app.encoders.modules import modules
from app.encoders.pretrained import Pretrained, pretrained, sentence_config
from app.encoders.steps import SKIP_UNKNOWN, Step, read_steps
from app.errors import ModelUnavailable

# Position 0 of these is `pad_token_id + 1`, so they read fewer tokens than their table has rows.
OFFSET_POSITIONS = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "roberta-prelayernorm"),
    *("data2vec-text", "xmod", "luke", "ibert", "esm", "lilt"),
}
POSITION_TABLE = re.compile(r"(^|\.)(w?position_embeddings?|embed_positions|wpe|pos_emb(eddings)?)\.weight$")
# For a tokenizer and a model that know no end.
NO_END = 8192
# What of a transformer is read.
TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}


@dataclass(frozen=True, slots=True)
class TextLayout:
    """`folder` holds the first module, a transformer or (`static`) a table of token vectors; `first`: how it reads."""

    folder: Path
    static: bool
    first: Pretrained
    lower_case: bool
    pooling: tuple[str, ...]
    steps: tuple[Step, ...]
    dimensions: int
    prompts: dict[str, str]
    default_prompt: str
    similarity: str | None
    note: str | None


def text_layout(directory: Path, cache: Path, task: str | None = None) -> TextLayout:
    """Read a directory. `cache`: for what transformers makes of it. `task`: whose texts, for a router. Raises
    ModelUnavailable if it needs a module that this service does not have, or a file is missing or damaged."""
    static, folder, config = first_module(directory, task)
    _, *rest = modules(directory, task)
    listed = (directory / "modules.json").is_file()
    # Of a plain directory sentence-transformers reads no file of its own.
    sentence, file = sentence_config(folder) if listed else ({}, folder / "config.json")
    pooling: tuple[str, ...] = ()
    if static:
        first, pooling = _table(folder, listed), ("mean",)
    else:
        with reading(file):
            modalities = sentence.get("modality_config") or {"text": TEXT}
            chats = "message" in modalities or (not listed and _has_chat_template(folder))
            if chats or modalities["text"] != TEXT:
                raise ModelUnavailable("The model reads chats, or gives another output than its last hidden state.")
            first = pretrained(folder, cache, sentence)
        most = min(first.max_tokens, positions(folder, config))
        first = replace(first, max_tokens=most if most < 2**20 else NO_END)
        if not listed:  # what sentence-transformers puts behind such a transformer
            with reading(folder / "config.json"):
                causal = str((config.get("architectures") or [""])[0]).endswith("ForCausalLM")
            pooling = ("lasttoken",) if causal and config.get("is_causal", True) else ("mean",)
    pooling, steps, dimensions = read_steps(directory, rest, pooling, first.hidden)
    if static and not listed:
        steps.insert(0, SKIP_UNKNOWN)
    prompts, default, dimensions, similarity = settings(directory, steps, dimensions)
    return TextLayout(
        folder=folder,
        static=static,
        first=first,
        lower_case=bool(sentence.get("do_lower_case")),
        pooling=pooling,
        steps=tuple(steps),
        dimensions=dimensions,
        prompts=prompts,
        default_prompt=default,
        similarity=similarity,
        note=first.note,
    )


def first_module(directory: Path, task: str | None = None) -> tuple[bool, Path, dict[str, Any]]:
    """Whether a model starts with a table of token vectors, the folder of that or of its transformer, and what the
    config.json there holds. Raises ModelUnavailable if it starts with something else, or the file is missing."""
    kind, path = modules(directory, task)[0]
    config = read_json(directory / path / "config.json")
    if kind not in ("StaticEmbedding", "Transformer"):
        raise ModelUnavailable(f"The model starts with a {kind} module, not a transformer; it can't be served.")
    if config is None and kind == "Transformer":
        raise ModelUnavailable("The model has no config.json; fetch it again.")
    return kind == "StaticEmbedding", directory / path, config or {}


def _has_chat_template(folder: Path) -> bool:
    """Then sentence-transformers puts each text into it, where no file says that the model reads plain texts."""
    said = read_json(folder / "tokenizer_config.json") or {}
    return bool(said.get("chat_template")) or (folder / "chat_template.jinja").is_file()


def positions(folder: Path, config: dict[str, Any]) -> int:
    """How many tokens the table of positions has rows for; a model that counts them otherwise has none."""
    files = [*folder.glob("model*.safetensors")]
    tables = (t.shape[0] for file in files for name, t in tensors(file).items() if POSITION_TABLE.search(name))
    rows = min(tables, default=0)
    with reading(folder / "config.json"):
        most = int(config.get("max_position_embeddings") or 0)
        if not rows and not files and not {"rope_theta", "rope_parameters"} & config.keys():
            rows = most
        if rows <= 0:
            return 2**31
        offset = config.get("model_type") in OFFSET_POSITIONS
        return min(rows, most or rows) - (int(config.get("pad_token_id", 1)) + 1 if offset else 0)


def _table(folder: Path, listed: bool) -> Pretrained:
    """A table of token vectors; `listed`: by sentence-transformers, otherwise it is model2vec's own."""
    file, weights = folder / "tokenizer.json", folder / "model.safetensors"
    settings = read_json(file)
    if settings is None:
        raise ModelUnavailable("The model has no tokenizer.json; fetch it again.")
    with reading(file):
        most = (settings.get("truncation") or {}).get("max_length")
        tokens = max(len(settings["model"]["vocab"]), *(1 + one["id"] for one in settings.get("added_tokens", ())), 1)
    if not listed:
        most = (read_json(folder / "config.json") or {}).get("max_length", 512)
    contents = tensors(weights)
    with reading(weights):
        table = contents.get("embedding.weight") or contents["embeddings"]
        if tokens > (rows := contents.get("mapping", table).shape[0]):
            raise ValueError(f"it has {rows} rows for {tokens} tokens")
        return Pretrained(file, table.shape[1], int(most or 2**16), 0, 0, None)


def settings(directory: Path, steps: list[Step], width: int) -> tuple[dict[str, str], str, int, str | None]:
    """Prompts by name, the default one, the vectors' dimensions (where they are shortened, that is one step more), the
    similarity they are for."""
    file = directory / "config_sentence_transformers.json"
    # Without a modules.json sentence-transformers does not read it.
    said = (read_json(file) or {}) if (directory / "modules.json").is_file() else {}
    with reading(file):
        prompts = {str(name): str(text or "") for name, text in (said.get("prompts") or {}).items()}
        default = said.get("default_prompt_name")
        if default and default not in {"query": "", "document": ""} | prompts:
            raise ModelUnavailable(f"The model's {file.name} has no prompt {default!r}, its default.")
        if (truncated := int(width if said.get("truncate_dim") is None else said["truncate_dim"])) < 1:
            raise ModelUnavailable(f"The model's {file.name} has a truncate_dim of {truncated}: at least 1 is served.")
        if truncated < width:
            steps.append(Step("Truncate", features=(width, truncated)))
            width = truncated
        return prompts, prompts.get(default or "", ""), width, said.get("similarity_fn_name")
