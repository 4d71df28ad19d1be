"""ColBERT: how the model in a directory reads queries and documents, and which of their tokens have a vector. As
sentence-transformers' `MultiVectorEncoder` reads its own layout, PyLate's and Stanford's."""

import string
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.encoders.files import read_json, reading, tensors
from app.encoders.modules import Modules, modules
from app.encoders.pretrained import Pretrained, pretrained, sentence_config
from app.encoders.refusal import COLBERT
from app.encoders.steps import Step, read_steps
from app.encoders.text_layout import NO_END, TEXT, first_module, positions
from app.encoders.tokenizer import Tokenizer
from app.errors import InvalidItem, ModelUnavailable
from app.types import Prompted, TextInput, TokenizedText

TASKS: tuple[str, ...] = ("query", "document")
IDENTITY = "torch.nn.modules.linear.Identity"
KNOBS = ("query_length", "document_length", "query_expansion")
PYLATE = COLBERT | {"query_prefix", "document_prefix", "attend_to_expansion_tokens", "attend_to_mask_tokens"}
STANFORD = "[unused0]", "[unused1]"
USUAL_LENGTH = 32  # of a query that is filled up


class MarkedIds(tuple[int, ...]):
    """Token ids of a text; `~id` of those that others don't attend to. `kept`: the indices of those whose vectors are
    the text's."""

    kept: Sequence[int]


@dataclass(frozen=True, slots=True)
class Reading:
    """`lengths`: the most tokens of a query, a document and any other text. `filled`: a shorter query is filled up to
    so many with `filler`. `skipped`: the ids that have no vector in texts of the tasks `skipped_in`."""

    lengths: tuple[int, int, int]
    filled: int
    filler: int
    skipped: tuple[int, ...]
    skipped_in: tuple[str, ...]


class ColbertTokenizer(Tokenizer):
    """A text without a task is read as `MultiVectorEncoder.encode` does."""

    def __init__(self, file: Path, how: Reading, prompt: str) -> None:
        super().__init__(file, how.lengths[2], prompt)
        self._how, self._skipped = how, frozenset(how.skipped)
        self._ways = {task: Tokenizer(file, most, prompt) for task, most in zip(TASKS, how.lengths[:2], strict=True)}

    def read(self, inputs: Sequence[TextInput]) -> list[TokenizedText | InvalidItem]:
        return [self._of_task(one, one.task if isinstance(one, Prompted) else None) for one in inputs]

    def _of_task(self, one: TextInput, task: str | None) -> TokenizedText | InvalidItem:
        way = self._ways.get(task or "")
        [text] = way.read([one]) if way else super().read([one])
        if isinstance(text, InvalidItem):
            return text
        how, missing = self._how, self._how.filled - len(text.ids) if task == "query" else 0
        ids = MarkedIds([*text.ids, *[how.filler] * missing])
        skipped = self._skipped if (task or "document") in how.skipped_in else ()
        ids.kept = [place for place, id_ in enumerate(ids) if max(id_, ~id_) not in skipped]
        return replace(text, ids=ids)


@dataclass(frozen=True, slots=True)
class ColbertLayout:
    """`folder`: of the transformer, which `first` says how to read."""

    folder: Path
    first: Pretrained
    reading: Reading
    steps: tuple[Step, ...]
    dimensions: int
    prompts: dict[str, str]
    default_prompt: str


@dataclass(frozen=True, slots=True)
class _Said:
    """What the files of any layout say. `words`: without vectors in texts of the tasks `skipped_in`; `listed`: the
    modules behind the transformer; `adds`: a last one that normalizes."""

    knobs: dict[str, Any]
    prompts: dict[str, str]
    prefixes: tuple[str, ...]
    words: Sequence[str]
    skipped_in: Sequence[str]
    listed: Modules = field(default_factory=list)
    adds: bool = True


def check_colbert(directory: Path) -> None:
    """Raises ModelUnavailable if it can't be read without guessing, as far as that shows without loading it."""
    _said(directory, *first_module(directory)[1:])


def colbert_layout(directory: Path, cache: Path) -> ColbertLayout:
    """Read a directory. Raises ModelUnavailable if it holds no ColBERT that this service can run."""
    _, folder, config = first_module(directory)
    sentence, file = sentence_config(folder)
    said = _said(directory, folder, config)
    with reading(file):
        modalities = sentence.get("modality_config") or {"text": TEXT}
        if (
            "message" in modalities
            or modalities["text"] != TEXT
            or (sentence.get("processing_kwargs") or {}).get("text")
        ):
            raise ModelUnavailable("The model reads chats, or has processing_kwargs or another output of its own.")
        expansion = said.knobs.get("query_expansion") or {}
        asked = {"prefixes": said.prefixes, "words": said.words, "filler": expansion.get("token")}
        first = pretrained(folder, cache, sentence, asked)
        how = _reading(said, expansion, first, positions(folder, config))
    if (directory / "modules.json").is_file():
        _, steps, width = read_steps(directory, said.listed, (), first.hidden, colbert=True)
    else:
        steps, width = [_linear(folder)], _linear(folder).features[1]
    steps += [Step("TokenNormalize")] if said.adds else []
    name = (read_json(directory / "config_sentence_transformers.json") or {}).get("default_prompt_name")
    if name and name not in said.prompts:
        raise ModelUnavailable(f"The model has no prompt {name!r}, its default.")
    first = replace(first, max_tokens=max(*how.lengths, how.filled))
    return ColbertLayout(folder, first, how, tuple(steps), width, said.prompts, said.prompts.get(name or "", ""))


def _said(directory: Path, folder: Path, config: dict[str, Any]) -> _Said:
    if (directory / "modules.json").is_file():
        return _listed(directory, folder)
    if "HF_ColBERT" not in (config.get("architectures") or ()):
        raise ModelUnavailable("The model is a ColBERT without a modules.json that lists its layers; save it again.")
    file = directory / "artifact.metadata"
    if (said := read_json(file)) is None:
        raise ModelUnavailable("The model has no artifact.metadata, which says how a ColBERT reads; fetch it again.")
    with reading(file):
        names = (said.get("query_token_id"), said.get("doc_token_id"))
        prefixes = tuple(f"{name or usual} " for name, usual in zip(names, STANFORD, strict=True))
        attend, length = bool(said.get("attend_to_mask_tokens")), said.get("query_maxlen") or USUAL_LENGTH
        knobs = {"query_expansion": {"strategy": "fixed", "attend": attend, "length": length}}
        knobs |= {"document_length": said["doc_maxlen"]} if said.get("doc_maxlen") is not None else {}
        words = string.punctuation if said.get("mask_punctuation", True) else ""
    return _Said(knobs, dict(zip(TASKS, prefixes, strict=True)), prefixes, [*words], TASKS[1:])


def _listed(directory: Path, folder: Path) -> _Said:
    """sentence-transformers' layout, or PyLate's."""
    file = directory / "config_sentence_transformers.json"
    said, (sentence, _) = read_json(file) or {}, sentence_config(folder)
    _, *listed = modules(directory)
    kinds = dict(listed)
    is_native = said.get("model_type") == "MultiVectorEncoder"
    if not is_native and "Dense" not in kinds:
        raise ModelUnavailable("The model is a ColBERT without its Dense layer, which only training makes.")
    with reading(file):
        prompts = {"query": "", "document": ""} | {
            name: text or "" for name, text in (said.get("prompts") or {}).items()
        }
        prefixes = {task: said[f"{task}_prefix"] or "" for task in TASKS if f"{task}_prefix" in said}
        prompts |= {task: prefix + prompts[task].removeprefix(prefix) for task, prefix in prefixes.items()}
        knobs = _knobs(said) | {name: sentence[name] for name in KNOBS if name in sentence}
        words, tasks = said.get("skiplist_words"), TASKS[1:]
        if words is None:
            words = [*string.punctuation] if prefixes or said.get("model_type") == "ColBERT" else []
    if is_native:
        mask = (
            read_json(directory / kinds["MultiVectorMask"] / "config.json") or {} if "MultiVectorMask" in kinds else {}
        )
        words, named = mask.get("skiplist_words") or [], mask.get("skiplist_tasks")
        tasks = TASKS[1:] if named is None else (named,) if isinstance(named, str) else tuple(named)
        if mask.get("keep_only_token_ids"):
            raise ModelUnavailable("The model keeps the vectors of pictures' tokens only (keep_only_token_ids).")
        if knobs.get("query_expansion") and "MultiVectorMask" not in kinds:
            raise ModelUnavailable("The model fills queries up, and has no MultiVectorMask that keeps what it adds.")
    return _Said(knobs, prompts, tuple(prefixes.values()), words, tasks, listed, not is_native)


def _knobs(said: dict[str, Any]) -> dict[str, Any]:
    """Of PyLate's flat settings, or newer ones of the same names."""
    knobs = {name: said[name] for name in KNOBS if name in said and (said[name] is not None or name == KNOBS[2])}
    if "query_expansion" not in knobs and PYLATE & said.keys():
        if said.get("do_query_expansion") is False:
            return knobs | {"query_expansion": None}
        attend = said.get("attend_to_expansion_tokens", said.get("attend_to_mask_tokens"))
        length = knobs.pop("query_length", None) or USUAL_LENGTH
        knobs["query_expansion"] = {"strategy": "fixed", "attend": bool(attend), "length": length}
    return knobs


def _reading(said: _Said, expansion: dict[str, Any], first: Pretrained, most: int) -> Reading:
    """`most`: how many tokens the model has positions for."""
    plain = min(first.max_tokens, most)
    plain = plain if plain < 2**20 else NO_END
    query, document = (int(said.knobs.get(name) or plain) for name in KNOBS[:2])
    filled, roles, filler = int(expansion.get("length") or 0), first.roles, 0
    if roles is None:
        raise ValueError("its tokenizer was not asked")
    if expansion:
        strategy, query = expansion.get("strategy"), filled if expansion.get("strategy") == "fixed" else query
        if strategy not in ("fixed", "min") or not 0 < filled <= min(most, said.knobs.get("query_length") or most):
            raise ModelUnavailable(
                f"The model fills queries up in a way ({strategy}, {filled}) that it can't be read by."
            )
        if roles.filler is None or roles.left or first.segments:
            raise ModelUnavailable("The model fills queries up, but its tokenizer has no token for that at their end.")
        filler = roles.filler if expansion.get("attend") else ~roles.filler
    lengths = min(query, most), min(document, most), plain
    return Reading(lengths, filled, filler, roles.skipped, tuple(said.skipped_in))


def _linear(folder: Path) -> Step:
    """The layer that Stanford's ColBERT has among its transformer's weights."""
    file = folder / "model.safetensors"
    found = tensors(file).get("linear.weight") if file.is_file() else None
    if found is None:
        raise ModelUnavailable("The model has no linear.weight in a model.safetensors, which a ColBERT ends with.")
    with reading(file):
        width, hidden = found.shape
        return Step("TokenDense", "", IDENTITY, (hidden, width), bias=False)
