"""What the JSON files of a model directory say about how to read a text and make a vector.

Knows the layouts of sentence-transformers, transformers and model2vec. Loads no weights.
"""

import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from app.encoders.files import read_json, reading, tensors
from app.encoders.pretrained import Pretrained, pretrained
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
# Position 0 of these is `pad_token_id + 1`, so they read fewer tokens than their table has rows.
OFFSET_POSITIONS = frozenset(
    {
        *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "roberta-prelayernorm"),
        *("data2vec-text", "xmod", "luke", "ibert", "esm", "lilt"),
    }
)
POSITION_TABLE = re.compile(r"(^|\.)(w?position_embeddings?|embed_positions|wpe|pos_emb(eddings)?)\.weight$")
# For a tokenizer and a model that know no end.
NO_END = 8192

SENTENCE_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
MODEL2VEC = {"normalize", "embedding_dtype", "vocabulary_quantization", "apply_zipf", "tokenizer_name"}
SPARSE = {"SpladePooling", "SparseAutoEncoder", "CSRSparsity", "SparseStaticEmbedding", "MLMTransformer", "IDF"}
# Settings that only ColBERT models have, PyLate's among them.
COLBERT = {"query_length", "document_length", "skiplist_words", "query_expansion", "do_query_expansion"}


@dataclass(frozen=True, slots=True)
class Step:
    """A module beside transformer and pooling, in order.

    Kinds: `Dense` (with its folder and configuration), `LayerNorm`, `Normalize`, `Truncate` (to the second of
    `features`); `Residual` before `Dense` adds its input, `Token` before any is of the tokens, ahead of the pooling.
    `SkipPrompt` keeps the prompt's tokens out of the pooling: their mask is 2.
    """

    kind: str
    folder: str = ""
    activation: str = "torch.nn.modules.activation.Tanh"
    features: tuple[int, int] = (0, 0)
    bias: bool = True


SKIP_PROMPT = Step("SkipPrompt")
# What of a transformer is read.
TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}


@dataclass(frozen=True, slots=True)
class TextLayout:
    """How the model in a directory reads a text; `folder` holds its first module, a transformer or (`static`) a table
    of token vectors, and `tokenizer` is what to read texts with. `vocabulary`: how many tokens it has vectors for; 0
    for at least as many as the tokenizer knows.
    """

    folder: Path
    static: bool
    tokenizer: Path
    max_tokens: int
    lower_case: bool
    pad_id: int
    vocabulary: int
    pooling: tuple[str, ...]
    steps: tuple[Step, ...]
    dimensions: int
    prompts: dict[str, str]
    default_prompt: str
    similarity: str | None
    note: str | None

    @property
    def normalized(self) -> bool:
        return bool(self.steps) and self.steps[-1].kind == "Normalize"


def modules(directory: Path) -> list[tuple[str, str]]:
    """(kind, folder) of each module that a plain text passes; a plain transformers directory has one Transformer."""
    return _modules(directory)[0]


def _modules(directory: Path) -> tuple[list[tuple[str, str]], str | None]:
    """`modules`, and a note where a router has other ways too."""
    listed = read_json(directory / "modules.json", list)
    if listed is None:
        config = read_json(directory / "config.json") or {}
        static = config.get("model_type", "model2vec") == "model2vec" and MODEL2VEC & config.keys()
        ending = [("Normalize", "")] if static and config.get("normalize") else []
        return [("StaticEmbedding" if static else "Transformer", ""), *ending], None
    found: list[tuple[str, str]] = []
    note = None
    with reading(directory / "modules.json"):
        for module in listed:
            kind, folder = _kind(module["type"]), _inside(module.get("path", ""))
            if kind in ("Router", "Asym"):
                routed, note = _route(directory, folder)
                found += routed
            else:
                found.append((kind, folder))
        if not found:
            raise ValueError("it lists no module")
    return found, note


def _kind(type_: str) -> str:
    return str(type_).rsplit(".", 1)[-1]


def _inside(path: str) -> str:
    folder = PurePosixPath(path)
    if folder.is_absolute() or ".." in folder.parts:
        raise ValueError(f"{path} is outside the model's directory")
    return "" if str(folder) == "." else str(folder)


def _route(directory: Path, folder: str) -> tuple[list[tuple[str, str]], str | None]:
    """The modules that sentence-transformers' `encode` sends a text through."""
    names = ("router_config.json", "config.json")
    file = next(
        (file for name in names if (file := directory / folder / name).is_file()), directory / folder / names[0]
    )
    with reading(file):
        settings = read_json(file)
        ways, parameters = settings["structure"], settings.get("parameters", {})
        mapped = {ast.literal_eval(key): way for key, way in (parameters.get("route_mappings") or {}).items()}

        def way(task: str | None) -> str:
            keys = [key for key in ((task, "text"), (task, None), (None, "text"), (None, None)) if key in mapped]
            named = [name for name in (task, "text") if name in ways]
            first = next(iter(ways)) if parameters.get("allow_empty_key", True) else None
            return str(next(iter([mapped[key] for key in keys] + named), parameters.get("default_route") or first))

        chosen = way(None)
        others = sorted(task for task in ("query", "document") if ways[way(task)] != ways[chosen])
        note = (
            f"Its router has a way of its own for {' and '.join(others)}; every text goes the way of {chosen}."
            if others
            else None
        )
        found = [(_kind(settings["types"][name]), f"{folder}/{_inside(name)}".lstrip("/")) for name in ways[chosen]]
    return found, note


def model_type(directory: Path) -> str:
    """The transformer's `model_type`, empty if the directory has no configuration."""
    config = read_json(directory / modules(directory)[0][1] / "config.json") or {}
    return str(config.get("model_type", ""))


def refusal(directory: Path) -> str | None:
    """Why a model of this kind is not served, as the end of a sentence; None if it may be."""
    said = read_json(directory / "config_sentence_transformers.json") or {}
    types = [str(module.get("type")) for module in read_json(directory / "modules.json", list) or () if module]
    folder = directory / modules(directory)[0][1]
    config, sentence = read_json(folder / "config.json") or {}, _sentence(folder)
    with reading(folder / "config.json"):
        architecture = str((config.get("architectures") or [""])[0])
    kinds, kind = {_kind(type_) for type_ in types}, said.get("model_type")
    task, plain = sentence.get("transformer_task", "feature-extraction"), "Pooling" not in kinds
    if (
        kind in ("MultiVectorEncoder", "ColBERT")
        or COLBERT & {key for key, value in (*said.items(), *sentence.items()) if value}
        or (task == "retrieval" or "ColBERT" in architecture or architecture.endswith("ForRetrieval"))
        or any(type_.startswith("pylate") or "MultiVector" in type_ for type_ in types)
        or (directory / "artifact.metadata").is_file()
    ):
        return "is a ColBERT model, which makes one vector per token; this service makes one per text"
    if kind == "SparseEncoder" or task == "fill-mask" or kinds & SPARSE:
        return "is a sparse encoder (SPLADE), whose vectors this service does not make"
    scores = ("sequence-classification", "text-generation", "any-to-any")
    if kind == "CrossEncoder" or task in scores or (plain and architecture.endswith("ForSequenceClassification")):
        return "is a cross-encoder or classifier: it scores texts and makes no vectors of them"
    if plain and architecture.endswith(("ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")):
        return f"is a {architecture}, which makes no vectors of texts"
    if any((here / "adapter_config.json").is_file() for here in (directory, folder)):
        return "is a LoRA adapter: merge it into its base model (merge_and_unload), save that, and serve it"
    if architecture.endswith(("ForConditionalGeneration", "ForCausalLM")) and "vision_config" in config:
        return f"is a generative vision-language model ({architecture}), which this service does not serve"
    if code := [type_ for type_ in types if "." in type_ and not type_.startswith("sentence_transformers.")]:
        return f"needs code of its own ({code[0]}; trust_remote_code), which this service never runs"
    return None


def text_layout(directory: Path, cache: Path) -> TextLayout:
    """Read a directory. `cache`: for what transformers makes of it.

    Raises:
        ModelUnavailable: It needs a module that this service does not have, or a file is missing or damaged.
    """
    ((first, path), *rest), way = _modules(directory)
    folder = directory / path
    sentence = _sentence(folder)
    if first == "StaticEmbedding":
        hidden, max_tokens = _table(directory, folder)
        found = Pretrained(folder / "tokenizer.json", hidden, max_tokens, 0, 0, None)
        pooling: tuple[str, ...] = ("mean",)
    elif first == "Transformer":
        found = _transformer(folder, cache, sentence)
        pooling = () if (directory / "modules.json").is_file() else _default_pooling(folder)
    else:
        raise ModelUnavailable(f"The model starts with a {first} module, not a transformer; it can't be served.")
    pooling, steps, dimensions = _steps(directory, rest, pooling, found.hidden)
    prompts, default, truncated, similarity = _settings(directory)
    if truncated and truncated < dimensions:
        steps.append(Step("Truncate", features=(dimensions, truncated)))
        dimensions = truncated
    return TextLayout(
        folder=folder,
        static=first == "StaticEmbedding",
        tokenizer=found.tokenizer,
        max_tokens=found.max_tokens,
        lower_case=bool(sentence.get("do_lower_case")),
        pad_id=found.pad_id,
        vocabulary=found.vocabulary,
        pooling=pooling,
        steps=tuple(steps),
        dimensions=dimensions,
        prompts=prompts,
        default_prompt=default,
        similarity=similarity,
        note=" ".join(part for part in (found.note, way) if part) or None,
    )


def _sentence(folder: Path) -> dict[str, Any]:
    """The settings of the Transformer module in a folder."""
    found: dict[str, Any] = next((c for name in SENTENCE_CONFIGS if (c := read_json(folder / name))), {})
    return found


def _transformer(folder: Path, cache: Path, sentence: dict[str, Any]) -> Pretrained:
    config = read_json(folder / "config.json")
    if config is None:
        raise ModelUnavailable("The model has no config.json; fetch it again.")
    with reading(next((f for name in SENTENCE_CONFIGS if (f := folder / name).is_file()), folder / "config.json")):
        modalities = sentence.get("modality_config") or {"text": TEXT}
        if "message" in modalities or modalities["text"] != TEXT:
            raise ModelUnavailable("The model reads chats, or gives another output than its last hidden state.")
        found = pretrained(folder, cache, sentence)
    most = min(found.max_tokens, _positions(folder, config))
    return replace(found, max_tokens=most if most < 2**20 else NO_END)


def _positions(folder: Path, config: dict[str, Any]) -> int:
    """How many tokens the table of positions has rows for; a model that counts them otherwise has none."""
    files = folder.glob("model*.safetensors")
    tables = (t.shape[0] for file in files for name, t in tensors(file).items() if POSITION_TABLE.search(name))
    rows = min(tables, default=0)
    if (
        not rows
        and not any(folder.glob("model*.safetensors"))
        and not {"rope_theta", "rope_parameters"} & config.keys()
    ):
        rows = int(config.get("max_position_embeddings") or 0)
    if rows <= 0:
        return 2**31
    with reading(folder / "config.json"):
        offset = config.get("model_type") in OFFSET_POSITIONS
        rows = min(rows, int(config.get("max_position_embeddings") or rows))
        return rows - (int(config.get("pad_token_id", 1)) + 1 if offset else 0)


def _default_pooling(folder: Path) -> tuple[str, ...]:
    """What sentence-transformers puts behind a transformer that comes without modules.json."""
    config = read_json(folder / "config.json") or {}
    with reading(folder / "config.json"):
        causal = str((config.get("architectures") or [""])[0]).endswith("ForCausalLM") and config.get("is_causal", True)
    return ("lasttoken",) if causal else ("mean",)


def _table(directory: Path, folder: Path) -> tuple[int, int]:
    """Dimensions and most tokens of a table of token vectors."""
    file, config = folder / "tokenizer.json", read_json(folder / "config.json") or {}
    settings = read_json(file)
    if settings is None:
        raise ModelUnavailable("The model has no tokenizer.json; fetch it again.")
    with reading(file):
        most = (settings.get("truncation") or {}).get("max_length")
        tokens = max(len(settings["model"]["vocab"]), *(1 + one["id"] for one in settings.get("added_tokens", ())), 1)
    if not (directory / "modules.json").is_file():
        most = config.get("max_length", 512)  # model2vec's own
    contents = tensors(folder / "model.safetensors")
    with reading(folder / "model.safetensors"):
        table = contents.get("embedding.weight") or contents["embeddings"]
        if tokens > (rows := contents.get("mapping", table).shape[0]):
            raise ValueError(f"it has {rows} rows for {tokens} tokens")
        return table.shape[1], int(most or 2**16)


def _steps(
    directory: Path, listed: list[tuple[str, str]], pooling: tuple[str, ...], width: int
) -> tuple[tuple[str, ...], list[Step], int]:
    """The pooling, what else follows the first module, and the dimensions of the vectors."""
    steps: list[Step] = []
    pooled = bool(pooling)
    width *= len(pooling) or 1
    for kind, path in listed:
        file = directory / path / "config.json"
        settings = read_json(file) or {}
        with reading(file):
            step = None
            if kind == "Pooling" and not pooling:
                pooling, pooled = _pooling(settings), True
                width *= len(pooling)
                if not settings.get("include_prompt", True):
                    step = SKIP_PROMPT
            elif kind in ("Dense", "Normalize", "LayerNorm"):
                step = _step(kind, path, settings)
            elif kind != "Dropout":
                raise ModelUnavailable(f"The model has a {kind} module, which this service does not know.")
            if step is None or (step.kind.startswith("Token") and pooled):
                continue
            if not pooled and not step.kind.startswith("Token"):
                if kind == "Normalize":
                    continue
                raise ModelUnavailable(f"The model has a {kind} module before its pooling, which can't be.")
            if "Dense" in step.kind:
                width = step.features[1]
            steps.append(step)
    if not pooled:
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


def _settings(directory: Path) -> tuple[dict[str, str], str, int, str | None]:
    """Prompts by name, the default one, what vectors are shortened to (0: nothing), the similarity they are for."""
    file = directory / "config_sentence_transformers.json"
    settings = read_json(file) or {}
    with reading(file):
        prompts = {str(name): str(text or "") for name, text in (settings.get("prompts") or {}).items()}
        default = settings.get("default_prompt_name")
        if default and default not in {"query": "", "document": ""} | prompts:
            raise ValueError(f"it has no prompt {default!r}, its default")
        similarity = settings.get("similarity_fn_name")
        return prompts, prompts.get(default or "", ""), int(settings.get("truncate_dim") or 0), similarity
