"""What transformers makes of a model's configuration and tokenizer, found once and kept: a tokenizer of more files
than tokenizer.json, and what a configuration leaves to its architecture."""

import atexit
import hashlib
import json
import logging
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.encoders.files import check_pointer, read_json, reading, sha256
from app.errors import ModelUnavailable
from app.system import child
from app.system.atomic_file import replacing

logger = logging.getLogger(__name__)

SENTENCE_CONFIGS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
READ = {".json", ".txt", ".model", ".bpe", ".codes", ".tiktoken", ".jinja"}
# What sentence-transformers may load a transformer with, and it is the same one.
HARMLESS = {"trust_remote_code", "use_cache", "torch_dtype", "dtype", "attn_implementation", "add_pooling_layer"}
HARMLESS |= {"device_map", "low_cpu_mem_usage", "cache_dir", "local_files_only", "revision", "subfolder", "token"}
HARMLESS |= {"use_safetensors", "output_hidden_states", "output_attentions", "return_dict", "use_auth_token"}
OF_COLBERT = ("query_length", "document_length", "query_expansion")
VERSION = 2
TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class WithImages:
    """What a model of texts and images has beside. `dimensions`: of the vectors of both. `image_size`: height,
    width; of one patch where any number of `patches` is read.
    `pad_id`, `left`, `masked`: with what, on which side its tokenizer fills up a text, and whether attention leaves
    that out."""

    dimensions: int
    image_size: list[int]
    patches: int
    pad_id: int
    left: bool
    masked: bool


@dataclass(frozen=True, slots=True)
class Roles:
    """What a ColBERT's tokenizer says of its texts: the ids that `skipped` words have, the one that queries are filled
    up with, if it has one, and whether that is at their start."""

    skipped: tuple[int, ...]
    filler: int | None
    left: bool


@dataclass(frozen=True, slots=True)
class Pretrained:
    """`max_tokens` is as sentence-transformers finds it; 2**20 and more: no end. `vocabulary`: how many tokens it has
    vectors for; 0 for at least as many as the tokenizer knows. `segments`: the types of the
    tokens before a text, of its own, and of those behind it; empty where all are 0."""

    tokenizer: Path
    hidden: int
    max_tokens: int
    pad_id: int
    vocabulary: int
    note: str | None
    images: WithImages | None = None
    segments: tuple[tuple[int, ...], ...] = ()
    roles: Roles | None = None


def sentence_config(folder: Path) -> tuple[dict[str, Any], Path]:
    """How sentence-transformers loads and calls the transformer in a folder, and the file that says it."""
    for name in SENTENCE_CONFIGS:
        file = folder / f"sentence_{name}_config.json"
        if found := read_json(file):
            return found, file
    return {}, folder / "config.json"


def _check(sentence: dict[str, Any], folder: Path, *, colbert: bool) -> None:
    """Raises ModelUnavailable for what changes a transformer, or how it reads, and is not followed."""
    parts = ("config_args", "config_kwargs", "model_args", "model_kwargs")
    said = [key for part in parts for key in sentence.get(part) or {} if key not in HARMLESS]
    said += [] if colbert else [key for key in OF_COLBERT if sentence.get(key) is not None]
    if said:
        name = sentence_config(folder)[1].name
        raise ModelUnavailable(f"The model's {name} sets {', '.join(said)}, which this service does not follow.")


def pretrained(folder: Path, cache: Path, sentence: dict[str, Any], roles: dict[str, Any] | None = None) -> Pretrained:
    """Read a transformer's folder, with its `sentence_config`. `cache`: where the result is kept; `roles`: what is
    asked of a ColBERT's tokenizer."""
    _check(sentence, folder, colbert=roles is not None)
    loading = dict(sentence.get("tokenizer_args") or sentence.get("processor_kwargs") or {})
    loading.pop("trust_remote_code", None)
    if sentence.get("max_seq_length"):
        loading.setdefault("model_max_length", int(sentence["max_seq_length"]))
    processing = sentence.get("processing_kwargs") or {}
    call = {**processing.get("text", {}), **processing.get("common", {})}
    options = {"loading": loading, "call": call, "lower_case": bool(sentence.get("do_lower_case"))}
    options |= {} if roles is None else {"roles": roles}
    state = hashlib.sha256(json.dumps([VERSION, version("transformers"), options], sort_keys=True).encode())
    files = sorted(file for file in folder.iterdir() if file.suffix in READ and file.is_file())
    for file in files:
        with reading(file):
            content = file.read_bytes()
        check_pointer(file, content)
        state.update(f"{file.name} {len(content)} ".encode() + content)
    name = f"tokenizer-{state.hexdigest()[:24]}"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return _kept(folder, cache, name)
    for file in files:
        if file.suffix == ".json":
            read_json(file, object)
    names = {file.name for file in files}
    pieces = sorted(name for name in names if name.endswith(".model"))
    if pieces and not names & {"tokenizer.json", "vocab.txt", "vocab.json"} and find_spec("sentencepiece") is None:
        raise ModelUnavailable(
            f"The model's only tokenizer file is {pieces[0]}, and the package that reads it is missing: "
            "pip install sentencepiece, or save its tokenizer.json beside it."
        )
    with tempfile.TemporaryDirectory() as scratch:
        make(folder, Path(scratch), options)
        try:
            cache.mkdir(parents=True, exist_ok=True)
            return _keep(folder, Path(scratch), cache, name)
        except OSError as exc:
            logger.warning("Tokenizers can't be kept in %s (%s); every start reads them anew", cache, exc)
            own = Path(tempfile.mkdtemp())
            atexit.register(shutil.rmtree, own, ignore_errors=True)
            return _keep(folder, Path(scratch), own, name)


def make(folder: Path, target: Path, options: dict[str, Any]) -> None:
    arguments = str(folder), str(target), json.dumps(options)
    code, line = child.run("app.encoders.backends.tokenizer_export", *arguments, timeout_s=TIMEOUT_S)
    if code:
        raise ModelUnavailable(f"The model's configuration or tokenizer can't be read: {line}")


def _keep(folder: Path, made: Path, cache: Path, name: str) -> Pretrained:
    facts = json.loads((made / "facts.json").read_text())
    tokenizer = made / "tokenizer.json"
    facts["sha256"] = None
    if tokenizer.is_file():
        facts["sha256"] = sha256(tokenizer)
        with replacing(cache / f"{name}.json") as scratch:
            shutil.copyfile(tokenizer, scratch)
    with replacing(cache / f"{name}.facts") as scratch:
        scratch.write_text(json.dumps(facts))
    return _kept(folder, cache, name)


def _kept(folder: Path, cache: Path, name: str) -> Pretrained:
    facts = json.loads((cache / f"{name}.facts").read_text())
    written, images, roles = facts.pop("sha256"), facts.pop("images"), facts.pop("roles", None)
    file = cache / f"{name}.json" if written else folder / "tokenizer.json"
    if written and sha256(file) != written:
        raise ValueError(f"{file.name} is not as it was written")
    facts["segments"] = tuple(map(tuple, facts["segments"]))
    roles = roles and Roles(tuple(roles.pop("skipped")), **roles)
    return Pretrained(tokenizer=file, images=images and WithImages(**images), roles=roles, **facts)
