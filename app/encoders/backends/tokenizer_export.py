"""What transformers makes of a model's configuration and tokenizer. `pretrained` starts it by name, in a process of
its own: a start that finds the result imports no transformers."""

import json
import math
import re
import string
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import transformers
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from transformers import AddedToken, AutoConfig, AutoTokenizer, T5Tokenizer
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from app.encoders.files import described, read_json
from app.encoders.image_families import FAMILIES
from app.errors import ModelUnavailable
from app.system import child

PROBES = (
    *("", " ", "a", "Hello, World!", "  two  spaces ", "line\nbreak\ttab", "ÀÉÎõü ßẞ ﬁ ½", "don't STOP 3.14 €1,000"),
    *("東京で学習する 中文", "Привет мир", "مرحبا بالعالم", "नमस्ते", "한국어", "🙂🚀👩‍👩‍👧"),
    *("e\u0301 vs é", "\u200bzero\u00a0width", "snake_case CamelCase x=y;"),
    *("<s> </s> <pad> <unk> <mask>", "[CLS] [SEP] [MASK] [UNK]", "<|endoftext|> <eos> <bos>"),
    " ".join(["The quick brown fox jumps over the lazy dog."] * 20),
)
# What a call of the tokenizer may be given without another result for one text.
LOCAL = {"local_files_only": True, "trust_remote_code": False}
HARMLESS = {"padding", "padding_side", "pad_to_multiple_of", "return_tensors", "truncation", "max_length"}


def main(folder: str, target: str, options: str) -> None:
    """The child's work; it ends the process."""
    child.finish(lambda: write(Path(folder), Path(target), json.loads(options)))


def write(folder: Path, target: Path, options: dict[str, Any]) -> None:
    """Write `facts.json` into `target`, and `tokenizer.json` where the model's own file is not what transformers reads.

    Args:
        options: `lower_case`, what sentence-transformers gives the tokenizer in `loading` and in a `call`, and of a
            ColBERT the `roles`.
    """
    transformers.logging.set_verbosity_error()
    try:
        _write(folder, target, options)
    except ModelUnavailable:
        raise
    except Exception as exc:
        if "trust_remote_code" in str(exc):
            words = "it needs code of its own (trust_remote_code), which this service never runs"
        elif "does not recognize this architecture" in str(exc):
            words = f"transformers {transformers.__version__} does not know its architecture"
        else:
            words = described(exc)
        raise ModelUnavailable(f"{words}.") from exc


def _write(folder: Path, target: Path, options: dict[str, Any]) -> None:
    config = AutoConfig.from_pretrained(folder, **LOCAL)
    text = config.get_text_config()
    if not getattr(text, "vocab_size", None):
        raise ModelUnavailable(f"its architecture ({config.model_type}) has no vocabulary, it reads no texts.")
    plain = _read(folder, config)
    if not getattr(plain, "is_fast", False):
        raise ModelUnavailable(f"its tokenizer, {type(plain).__name__}, is Python code without a fast form.")
    note = _differences(folder / "tokenizer.json", plain)
    loading, call = options["loading"], options["call"]
    tokenizer = _read(folder, config, **loading) if loading else plain
    asked = options.get("roles")
    roles = {"roles": _roles(tokenizer, **asked)} if asked else {}
    images = _with_images(config, plain)
    most = tokenizer.model_max_length
    if images:
        # As in XLM-R, AltCLIP's first position is behind that of the padding.
        most = min(most, text.max_position_embeddings - (config.model_type == "altclip") * (text.pad_token_id + 1))
    elif "model_max_length" not in loading and (getattr(config, "max_position_embeddings", None) or -1) != -1:
        most = min(most, config.max_position_embeddings)
    _check_rotary(text, most)
    made = _faithful(tokenizer, call.get("add_special_tokens", True), options["lower_case"])
    most = 2**31 if call.get("truncation") in (False, "do_not_truncate") else min(call.get("max_length") or most, 2**31)
    made.enable_truncation(most := max(0, most), direction=tokenizer.truncation_side)
    special = {key: call[key] for key in call if key == "add_special_tokens"}
    if unknown := call.keys() - HARMLESS - {"add_special_tokens"}:
        raise ModelUnavailable(f"its processing_kwargs name {', '.join(sorted(unknown))}, which this service ignores.")
    _prove(made, tokenizer, call, most)
    if not (folder / "tokenizer.json").is_file() or _content(folder / "tokenizer.json") != _content(made):
        made.save(str(target / "tokenizer.json"))
    facts = {
        "hidden": next(n for key in ("hidden_size", "hidden_dim") if (n := getattr(text, key, None))),
        "max_tokens": most,
        "pad_id": pad if isinstance(pad := text.pad_token_id, int) and 0 <= pad < text.vocab_size else 0,
        "vocabulary": text.vocab_size,
        "note": note,
        "images": images,
        "segments": _segments(tokenizer(PROBES[2], return_special_tokens_mask=True, **special)),
        **roles,
    }
    (target / "facts.json").write_text(json.dumps(facts))


def _check_rotary(config: Any, most: int) -> None:
    """Raises ModelUnavailable for positions that nobody knows, or that change with the longest text of a run."""
    rope = getattr(config, "rope_parameters", None) or {}
    for one in (rope, *(inner for inner in rope.values() if isinstance(inner, dict))):
        kind, end = one.get("rope_type", "default"), one.get("original_max_position_embeddings")
        if kind not in {"default", *ROPE_INIT_FUNCTIONS}:
            raise ModelUnavailable(f"transformers {transformers.__version__} knows no rotary positions of type {kind}.")
        if kind in ("dynamic", "longrope") and most > (end := end or config.max_position_embeddings):
            raise ModelUnavailable(
                f"beyond {end} tokens its rotary positions ({kind}) depend on the texts beside a text; with a "
                f"max_seq_length of {end} it can be served."
            )


def _read(folder: Path, config: Any, **options: Any) -> Any:
    """The tokenizer as transformers has it. SigLIP's is Python code around sentencepiece: the fast form of the same
    vocabulary behind the same clean-up, compared with it where that package is installed. They differ in the space
    behind a special token that is written in a text."""
    said = read_json(folder / "tokenizer_config.json") or {}
    if said.get("tokenizer_class", "SiglipTokenizer" if config.model_type == "siglip" else "") != "SiglipTokenizer":
        return AutoTokenizer.from_pretrained(folder, **options, **LOCAL)
    end = {} if "pad_token" in said else {"pad_token": "</s>"}
    fast = T5Tokenizer.from_pretrained(folder, extra_ids=0, **end, **options, **LOCAL)
    inside, spaces = fast.backend_tokenizer, normalizers.Replace(Regex(r"[\s\x1c-\x1f]+"), " ")
    clean = [normalizers.Replace(Regex(f"[{re.escape(string.punctuation)}]"), ""), spaces, normalizers.Strip()]
    lower = [normalizers.Lowercase()] if said.get("do_lower_case", True) else []
    own = [] if inside.normalizer is None else [inside.normalizer]
    again = [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    inside.normalizer = normalizers.Sequence([normalizers.Replace("▁", " "), *lower, *clean, *own, *again])
    inside.pre_tokenizer = pre_tokenizers.Metaspace()
    if find_spec("sentencepiece") and (folder / "spiece.model").is_file():
        slow = AutoTokenizer.from_pretrained(folder, **options, **LOCAL)
        plain = [text for text in PROBES if not any(token in text for token in fast.all_special_tokens)]
        if any(slow(text)["input_ids"] != fast(text)["input_ids"] for text in plain):
            raise ModelUnavailable("its tokenizer, SiglipTokenizer, does more than its fast form.")
    return fast


def _with_images(config: Any, tokenizer: Any) -> dict[str, Any] | None:
    """What `WithImages` says."""
    if config.model_type not in FAMILIES:
        return None
    vision = config.vision_config
    patch = vision.patch_size
    size, patch = ([n, n] if isinstance(n, int) else [*n] for n in (getattr(vision, "image_size", patch), patch))
    return {
        "dimensions": getattr(config, "projection_dim", None) or config.text_config.projection_size,
        "image_size": size,
        "patches": math.prod(size) // math.prod(patch) + 1,
        "pad_id": tokenizer.pad_token_id or 0,
        "left": tokenizer.padding_side == "left",
        "masked": "attention_mask" in tokenizer.model_input_names,
    }


def _roles(tokenizer: Any, prefixes: list[str], words: list[str], filler: str | None) -> dict[str, Any]:
    """What `Roles` says. A prefix that is a token becomes a special one: other libraries put its id before a text, and
    this tokenizer would take it apart."""
    known, own = tokenizer.get_vocab(), []
    for prefix in filter(str.split, prefixes):
        token = next((one for one in (prefix, prefix.split(None, 1)[0]) if one in known), None)
        if token is not None and tokenizer.tokenize(token) != [token]:
            own.append(AddedToken(token, normalized=False, special=True))
    if own:
        tokenizer.add_special_tokens({"additional_special_tokens": own})
    usual = tokenizer.eos_token_id if tokenizer.mask_token_id is None else tokenizer.mask_token_id
    return {
        "skipped": sorted(known[word] for word in words if word in known),
        "filler": usual if filler is None else known.get(filler),
        "left": tokenizer.padding_side == "left",
    }


def _segments(encoding: Any) -> list[list[int]]:
    """The `token_type_ids` before a text, of the text, and behind it; none where all are 0."""
    types, mask = encoding.get("token_type_ids", ()), encoding["special_tokens_mask"]
    if not any(types):
        return []
    first, last = mask.index(0), len(mask) - mask[::-1].index(0)
    return [types[:first], types[first : first + 1], types[last:]]


def _faithful(tokenizer: Any, special: bool, lower_case: bool) -> Tokenizer:
    """The tokenizer in the form of the tokenizers library, without padding."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content |= {"padding": None, "truncation": None} | ({} if special else {"post_processor": None})
    made = Tokenizer.from_str(json.dumps(content))
    own = made.normalizer
    parts: list[Any] = [] if own is None else list(own) if isinstance(own, normalizers.Sequence) else [own]  # type: ignore[call-overload]
    if lower_case and not any(isinstance(part, normalizers.Lowercase) for part in parts):
        made.normalizer = normalizers.Sequence([normalizers.Lowercase(), *parts])
    return made


def _probes(tokenizer: Any) -> list[str]:
    """With the tokens that were added to the vocabulary."""
    added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
    return [*PROBES, *(f"a {token} b{token}C" for token in added[:64])]


def _prove(made: Tokenizer, tokenizer: Any, call: dict[str, Any], most: int) -> None:
    """A tokenizer that is more than its fast form can't be served."""
    if made.normalizer is not None:
        tokenizer.backend_tokenizer.normalizer = made.normalizer
    given = {"truncation": True, "max_length": most} | {key: call[key] for key in call if key == "add_special_tokens"}
    for text in _probes(tokenizer):
        if tokenizer(text, **given)["input_ids"] != made.encode(text).ids:
            raise ModelUnavailable(f"its tokenizer, {type(tokenizer).__name__}, does more than its fast form.")


def _differences(file: Path, tokenizer: Any) -> str | None:
    """What tokenizer.json alone, as other libraries read it, makes another thing of."""
    if not file.is_file():
        return None
    raw = Tokenizer.from_file(str(file))
    raw.no_truncation()
    raw.no_padding()
    probes = _probes(tokenizer)
    different = [text for text in probes if raw.encode(text).ids != tokenizer(text)["input_ids"]]
    if not different:
        return None
    return (
        f"Its tokenizer.json alone reads {len(different)} of {len(probes)} probe texts otherwise than transformers "
        f"{transformers.__version__} with the files beside it, which is followed."
    )


def _content(tokenizer: Path | Tokenizer) -> Any:
    text = tokenizer.read_text(encoding="utf-8") if isinstance(tokenizer, Path) else tokenizer.to_str()
    content = json.loads(text)
    direction = (content.get("truncation") or {}).get("direction", "Right")
    return content | {"truncation": direction, "padding": None}
