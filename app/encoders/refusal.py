"""Which models are not served, told by their JSON files, and which of the others score texts and make no vectors."""

import re
from pathlib import Path
from typing import Any

from app.encoders.files import read_json, reading
from app.encoders.image_families import FAMILIES, NAMES
from app.encoders.modules import class_name, first_folder, modules
from app.encoders.pretrained import sentence_config

SPARSE = {"SpladePooling", "SparseStaticEmbedding", "MLMTransformer", "IDF"}
# Settings that only ColBERT models have, PyLate's among them.
COLBERT = {"query_length", "document_length", "skiplist_words", "query_expansion", "do_query_expansion"}
PYLATE_DENSE = "pylate.models.Dense.Dense"  # sentence-transformers' own Dense by another name
SCORES = ("sequence-classification", "text-generation", "any-to-any")
STARTS = {"Transformer", "MLMTransformer", "CLIPModel", "StaticEmbedding", "SparseStaticEmbedding"}
# Architectures whose authors' own code transformers has taken over, as far as their settings are these.
ADOPTED = {"eurobert", "gte", "jina_embeddings_v3", "nomic_bert"}
ALIKE = {"rotary_emb_base": 1000, "rotary_emb_fraction": 1, "activation_function": "swiglu"}
ALIKE |= {"position_embedding_type": "rope", "layer_norm_type": "layer_norm"}
ALIKE |= dict.fromkeys(("rotary_scaling_factor", "prenorm", "use_rms_norm", "logn_attention_scale", "num_experts"))
# They mix padding in.
BESIDE = {"funnel": "a Funnel Transformer", "nystromformer": "a Nyströmformer", "fnet": "an FNet"}
LOADED = ("AutoModel", "AutoModelForSequenceClassification", "AutoModelForMaskedLM")
AUDIO = re.compile("audio|speech|mel_bins|sampling_rate|sample_rate|feat_extract|spectrogram")
PIXELS = {"patch_size", "num_channels", "backbone", "backbone_config"}


def is_cross_encoder(directory: Path) -> bool:
    """Whether the model scores texts, or pairs of them, and makes no vectors."""
    said = read_json(directory / "config_sentence_transformers.json") or {}
    plain = "Pooling" not in map(class_name, _types(directory))
    classifies = plain and architecture(first_folder(directory)).endswith("ForSequenceClassification")
    return said.get("model_type") == "CrossEncoder" or _task(first_folder(directory)) in SCORES or classifies


def is_sparse(directory: Path) -> bool:
    """Whether the model was saved as one that makes sparse vectors."""
    said = read_json(directory / "config_sentence_transformers.json") or {}
    kinds = {*map(class_name, _types(directory))}
    return (
        said.get("model_type") == "SparseEncoder"
        or _task(first_folder(directory)) == "fill-mask"
        or bool(kinds & SPARSE)
    )


def is_colbert(directory: Path) -> bool:
    """Whether the model was trained to make a vector of each token, and compares these."""
    said = read_json(directory / "config_sentence_transformers.json") or {}
    folder = first_folder(directory)
    # With a pooling behind it there is one vector of a text, whatever else is set.
    knobs = set() if {"Pooling", "SpladePooling"} & {*map(class_name, _types(directory))} else COLBERT
    return (
        said.get("model_type") in ("MultiVectorEncoder", "ColBERT")
        or bool({key for key, value in (*said.items(), *sentence_config(folder)[0].items()) if value} & knobs)
        or "ColBERT" in architecture(folder)
        or any(type_.startswith("pylate") or "MultiVector" in type_ for type_ in _types(directory))
        or (directory / "artifact.metadata").is_file()
    )


def architecture(folder: Path) -> str:
    """The class of transformers that a folder's weights are of; empty if it does not say."""
    config = read_json(folder / "config.json") or {}
    with reading(folder / "config.json"):
        return str((config.get("architectures") or [""])[0])


def refusal(directory: Path) -> str | None:
    """Why a model of this kind is not served, as the end of a sentence; None if it may be."""
    types, folder = _types(directory), first_folder(directory)
    config, kinds = read_json(folder / "config.json") or {}, {class_name(type_) for type_ in types}
    name, plain = architecture(folder), "Pooling" not in kinds
    if pipeline := read_json(directory / "model_index.json"):
        return f"is a pipeline of diffusers ({pipeline.get('_class_name')}), which makes no vectors"
    if (directory / "config.cfg").is_file():
        return "is a spaCy pipeline (config.cfg), not a model of sentence-transformers or transformers"
    if method := _quantised(config):
        return f"has quantised weights ({method}), which this service does not read; serve what they were made from"
    if _task(folder) == "retrieval" or name.endswith("ForRetrieval"):
        return f"is a late-interaction model of pictures of pages ({name or 'retrieval'}), which is not served"
    if kinds & {"SparseAutoEncoder", "CSRSparsity"}:
        return "is a sparse encoder of a kind (CSR) that this service does not serve; SPLADE it does"
    if plain and name.endswith(("ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")):
        return f"is a {name}, which makes no vectors of texts"
    if beside := BESIDE.get(str(config.get("model_type"))):
        return f"is {beside}, whose vector of a text depends on how many tokens the texts beside it have"
    adapters = filter(None, (read_json(here / "adapter_config.json") for here in (directory, folder)))
    if adapter := next(adapters, None):
        if str(method := adapter.get("peft_type", "of no peft_type")).endswith("LORA"):
            return "is a LoRA adapter: merge it into its base model (merge_and_unload), save that, and serve it"
        return f"is an adapter ({method}), which changes another model; this service reads whole models"
    if name.endswith(("ForConditionalGeneration", "ForCausalLM")) and "vision_config" in config:
        return f"is a generative vision-language model ({name}), which this service does not serve"
    if other := _other_images(folder, config):
        return other
    own = ("sentence_transformers.", PYLATE_DENSE)
    code = [type_ for type_ in types if "." in type_ and not type_.startswith(own)]
    if code := [*code, *_own_code(folder, config)]:
        return f"needs code of its own ({code[0]}; trust_remote_code), which this service never runs"
    if (start := modules(directory)[0][0]) not in STARTS:
        return f"starts with a {start} module, not a transformer; it can't be served"
    return None


def _quantised(config: dict[str, Any]) -> str | None:
    """By what."""
    for part in _parts(config):
        if said := part.get("quantization_config") or part.get("compression_config"):
            said = said if isinstance(said, dict) else {}
            known = "bitsandbytes" if {"load_in_4bit", "load_in_8bit"} & said.keys() else "quantization_config"
            return str(said.get("quant_method") or known)
    return "MLX" if config.get("quantization") else None


def _own_code(folder: Path, config: dict[str, Any]) -> list[str]:
    """The classes beside a model that its files name, where transformers has none that does the same."""
    tokenizer = read_json(folder / "tokenizer_config.json") or {}
    with reading(folder / "config.json"):
        alike = all((config.get(key) or value) == value for key, value in ALIKE.items())
        adopted = config.get("model_type") in ADOPTED and alike
        found = [] if adopted else [(config.get("auto_map") or {}).get(key) for key in LOADED]
    with reading(folder / "tokenizer_config.json"):
        named = (tokenizer.get("auto_map") or {}).get("AutoTokenizer")
        return [str(one) for one in (*found, *(named if isinstance(named, list) else [named])) if one]


def _parts(config: dict[str, Any]) -> list[dict[str, Any]]:
    """A configuration and those within it."""
    inner = (one for key, one in config.items() if key.endswith("_config") or key in ("encoder", "decoder"))
    return [config, *(one for one in inner if isinstance(one, dict))]


def _other_images(folder: Path, config: dict[str, Any]) -> str | None:
    """The same, of a model that reads images and is of no family that is served."""
    kind, vision = str(config.get("model_type", "")), config.get("vision_config") or {}
    with reading(folder / "config.json"):
        timm = next((part for part in (vision, config) if str(part.get("model_type", "")).startswith("timm_")), None)
        if timm is None and "pretrained_cfg" in config:
            timm = config
    if timm is not None:
        name = timm.get("architecture") or timm.get("backbone") or "unnamed"
        return f"has a timm model for its images ({name}), as MobileCLIP does; this service serves {NAMES}"
    if kind in FAMILIES:
        return None
    if not kind and (folder / "open_clip_config.json").is_file():
        return "is in OpenCLIP's own layout (open_clip_config.json); this service reads transformers', of " + NAMES
    keys = {key for one in _parts(config) for key in one}
    if keys & {"vision_config", "image_size"} or (PIXELS & keys and "vocab_size" not in keys):
        return (
            f"reads images and is of a family ({kind or 'unnamed'}) that this service does not serve; it serves {NAMES}"
        )
    reads = read_json(folder / "preprocessor_config.json") or {}
    if any(map(AUDIO.search, {*keys, *reads})):
        return f"reads sounds ({kind or 'unnamed'}), which this service does not; it reads texts and images"
    return None


def _types(directory: Path) -> list[str]:
    return [str(module.get("type")) for module in read_json(directory / "modules.json", list) or () if module]


def _task(folder: Path) -> str:
    return str(sentence_config(folder)[0].get("transformer_task", "feature-extraction"))
