"""Which models are not served, told by their JSON files, and which of the others score texts and make no vectors."""

from pathlib import Path
from typing import Any

from app.encoders.files import read_json, reading
from app.encoders.image_families import FAMILIES, NAMES
from app.encoders.modules import class_name, first_folder
from app.encoders.pretrained import sentence_config

SPARSE = {"SpladePooling", "SparseStaticEmbedding", "MLMTransformer", "IDF"}
# Settings that only ColBERT models have, PyLate's among them.
COLBERT = {"query_length", "document_length", "skiplist_words", "query_expansion", "do_query_expansion"}
PYLATE_DENSE = "pylate.models.Dense.Dense"  # sentence-transformers' own Dense by another name
SCORES = ("sequence-classification", "text-generation", "any-to-any")


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
    return (
        said.get("model_type") in ("MultiVectorEncoder", "ColBERT")
        or bool(COLBERT & {key for key, value in (*said.items(), *sentence_config(folder)[0].items()) if value})
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
    if _task(folder) == "retrieval" or name.endswith("ForRetrieval"):
        return f"is a late-interaction model of pictures of pages ({name or 'retrieval'}), which is not served"
    if kinds & {"SparseAutoEncoder", "CSRSparsity"}:
        return "is a sparse encoder of a kind (CSR) that this service does not serve; SPLADE it does"
    if plain and name.endswith(("ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")):
        return f"is a {name}, which makes no vectors of texts"
    if config.get("model_type") == "funnel":
        return "is a Funnel Transformer, whose vector of a text depends on how many tokens the texts beside it have"
    if any((here / "adapter_config.json").is_file() for here in (directory, folder)):
        return "is a LoRA adapter: merge it into its base model (merge_and_unload), save that, and serve it"
    if name.endswith(("ForConditionalGeneration", "ForCausalLM")) and "vision_config" in config:
        return f"is a generative vision-language model ({name}), which this service does not serve"
    if other := _other_images(folder, config):
        return other
    own = ("sentence_transformers.", PYLATE_DENSE)
    if code := [type_ for type_ in types if "." in type_ and not type_.startswith(own)]:
        return f"needs code of its own ({code[0]}; trust_remote_code), which this service never runs"
    return None


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
    if "vision_config" in config or ("patch_size" in config and "vocab_size" not in config):
        return (
            f"reads images and is of a family ({kind or 'unnamed'}) that this service does not serve; it serves {NAMES}"
        )
    return None


def _types(directory: Path) -> list[str]:
    return [str(module.get("type")) for module in read_json(directory / "modules.json", list) or () if module]


def _task(folder: Path) -> str:
    return str(sentence_config(folder)[0].get("transformer_task", "feature-extraction"))
