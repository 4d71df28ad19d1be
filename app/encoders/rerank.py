"""Rerankers and classifiers: a pair of texts, or one text, in; the logits of its labels out."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from app.config.args import ModelArgs
from app.encoders import self_test
from app.encoders.backends import registry
from app.encoders.backends.contract import Graph
from app.encoders.backends.proof import comparable
from app.encoders.files import loading, read_json, reading
from app.encoders.modules import modules
from app.encoders.pairs import PairTokenizer
from app.encoders.pretrained import Pretrained, pretrained, sentence_config
from app.encoders.refusal import architecture, is_cross_encoder
from app.encoders.text import TextModel, assembled, cache_folder
from app.encoders.text_layout import positions
from app.encoders.weights import check, resolve
from app.errors import ModelUnavailable
from app.types import Pair, TokenizedText, Vector
from app.vectors.activation import ACTIVATIONS

PAIRS = [Pair(query, text) for query in self_test.TEXTS[:2] for text in self_test.TEXTS[1:]]


@dataclass(frozen=True, slots=True)
class RerankLayout:
    """How the model in a directory reads a pair and what its logits mean. `folder`: of the classifier."""

    folder: Path
    first: Pretrained
    prompts: dict[str, str]
    default_prompt: str
    labels: tuple[str, ...]
    activation: str


class RerankModel(TextModel):
    def self_test(self, *, exclusive: bool = False) -> Vector:
        pairs = [pair.ids for pair in self.read(PAIRS) if isinstance(pair, TokenizedText)]
        return comparable(self.run(pairs, exclusive=exclusive))


def load_rerank_model(
    args: ModelArgs, *, threads: int, offline: bool, streams: int = 1, latency_profile: bool = False
) -> RerankModel:
    """Load a cross-encoder in sentence-transformers' or transformers' layout. Raises ModelUnavailable if its weights
    are not available, it is no model of this kind, or it fails its self-test."""
    with loading(args.id):
        weights = resolve(args.id, args.revision, offline, args.allow_bin_weights)
        check_rerank_model(args, weights.directory)
        cache = cache_folder(args)
        layout = rerank_layout(weights.directory, cache)
        first = layout.first
        graph = Graph(
            directory=str(weights.directory),
            folder=str(layout.folder),
            weights=weights.sha256,
            encoder="rerank",
            dimensions=len(layout.labels),
            allow_bin=args.allow_bin_weights,
            max_tokens=first.max_tokens,
        )
        tokenizer = PairTokenizer(first.tokenizer, first.max_tokens, layout.default_prompt)
        options = registry.options_for(args, threads, cache, streams, latency_profile)
        return assembled(
            *(RerankModel, "rerank", weights, graph, tokenizer, first, options),
            *(registry.choose(args.backend, args.device), [["rerank", first.max_tokens, layout.default_prompt]]),
            prompts=layout.prompts | args.prompts,
            labels=layout.labels,
            activation=layout.activation,
        )


def check_rerank_model(args: ModelArgs, directory: Path) -> None:
    """Raises ModelUnavailable, as `check_text_model`."""
    check(directory, args.allow_bin_weights)
    _classifier(directory)


def _classifier(directory: Path) -> Path:
    """The folder of the one transformer. Raises ModelUnavailable if this is no cross-encoder that is served."""
    if not is_cross_encoder(directory):
        raise ModelUnavailable(
            "The model makes vectors, not scores: it is no cross-encoder. Configure it in `text_models` (TEXT_MODEL)."
        )
    listed = modules(directory)
    folder = directory / listed[0][1]
    name = architecture(folder)
    if [kind for kind, _ in listed] != ["Transformer"] or not name.endswith("ForSequenceClassification"):
        raise ModelUnavailable(
            f"The model scores texts with {name or 'a model'} and {len(listed)} modules; only sequence "
            "classification by one transformer is served."
        )
    return folder


def rerank_layout(directory: Path, cache: Path) -> RerankLayout:
    """Read a directory. Raises ModelUnavailable if it holds no cross-encoder, or one that this service can't run."""
    folder = _classifier(directory)
    config = read_json(folder / "config.json")
    sentence, file = sentence_config(folder)
    with reading(file):
        if "message" in (sentence.get("modality_config") or {}):
            raise ModelUnavailable("The model reads chats, which this service does not write.")
        first = pretrained(folder, cache, sentence)
    said_file = directory / "config_sentence_transformers.json"
    # Without a modules.json sentence-transformers does not read it.
    said = (read_json(said_file) or {}) if (directory / "modules.json").is_file() else {}
    with reading(folder / "config.json"):
        names = {int(index): str(label) for index, label in (config.get("id2label") or {}).items()}
        count = len(names) or int(config.get("num_labels") or 2)
        labels = tuple(names[index] if names else f"LABEL_{index}" for index in range(count))
        activation = _activation(said, config, len(labels))
    with reading(said_file):
        prompts = {str(name): str(text or "") for name, text in (said.get("prompts") or {}).items()}
        default = prompts[said["default_prompt_name"]] if said.get("default_prompt_name") else ""
    most = min(first.max_tokens, positions(folder, config))
    first = replace(first, max_tokens=most)
    return RerankLayout(folder, first, prompts, default, labels, activation)


def _activation(said: dict[str, object], config: dict[str, object], labels: int) -> str:
    """What sentence-transformers' `predict` puts behind the logits; it trusts torch's own activations only."""
    own = config.get("sentence_transformers")
    named = (
        said.get("activation_fn"),
        own.get("activation_fn") if isinstance(own, dict) else None,
        config.get("sbert_ce_default_activation_function"),
    )
    trusted = [str(name) for name in named if str(name).startswith("torch.")]
    name = trusted[0].rsplit(".", 1)[-1] if trusted else "Sigmoid" if labels == 1 else "Identity"
    if name not in ACTIVATIONS:
        raise ModelUnavailable(
            f"The model's scores need the activation {name}; known are {json.dumps([*ACTIVATIONS])}."
        )
    return name
