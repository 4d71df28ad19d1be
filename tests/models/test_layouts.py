"""Every module and file that sentence-transformers follows, against it: tiny random models that it saved itself."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.args import ModelArgs
from app.encoders.text import TextModel, load_text_model
from app.errors import ModelUnavailable
from app.types import Prompted, TokenizedText, Vector
from tests.support.tiny import CORPUS, write_mpnet

pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean")

TEXTS = ["a", "The QUICK brown Fox", "Straße naïve 🙂 東京", *CORPUS, "word " * 200, " ".join(CORPUS * 10), " x  y "]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mpnet(tmp_path_factory.mktemp("base") / "mpnet")


def load(directory: Path) -> TextModel:
    args = ModelArgs(id=str(directory), backend="torch", device="cpu", cache_dir=str(directory / "cache"))
    return load_text_model(args, threads=1, offline=True)


def encode(model: TextModel, texts: Sequence[str], prompt: str | None = None) -> Vector:
    return model.run([text.ids for text in model.tokenize(texts, prompt)])


def reference(directory: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(directory), device="cpu", local_files_only=True)


def same(mine: Vector, theirs: Any) -> None:
    """Each row on its own: cosine and length."""
    theirs = np.asarray(theirs, np.float32)
    assert mine.shape == theirs.shape
    lengths = np.linalg.norm(mine, axis=1), np.linalg.norm(theirs, axis=1)
    assert (np.vecdot(mine, theirs) >= 0.99999 * lengths[0] * lengths[1]).all()
    np.testing.assert_allclose(*lengths, rtol=1e-4)


def compare(directory: Path, texts: Sequence[str] = TEXTS) -> TextModel:
    """All texts in one run, beside each other's padding, and one alone; the lengths and the dimensions."""
    oracle, model = reference(directory), load(directory)
    theirs = oracle.encode(texts, show_progress_bar=False)
    same(encode(model, texts), theirs)
    same(encode(model, texts[2:3]), theirs[2:3])
    assert model.info.dimensions == theirs.shape[1]
    # The comparison would mean nothing if all vectors were alike.
    assert np.abs(theirs[1] - theirs[3]).max() > 1e-3
    return model


def modules(*names: Any) -> Callable[[Path, Path], Path]:
    """Saves the base's transformer with modules behind it: (name, arguments) each."""

    def write(base: Path, target: Path) -> Path:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer import modules as known

        built = [known.Transformer(str(base), max_seq_length=40)]
        built += [getattr(known, name)(**arguments) for name, arguments in names]
        SentenceTransformer(modules=built, device="cpu").save(str(target))
        return target

    return write


def pooling(mode: Any = "mean", size: int = 48, **more: Any) -> Any:
    return "Pooling", {"embedding_dimension": size, "pooling_mode": mode, **more}


def dense(inside: int, outside: int, activation: str, **more: Any) -> Any:
    from torch import nn

    return "Dense", {
        "in_features": inside,
        "out_features": outside,
        "activation_function": getattr(nn, activation)(),
        **more,
    }


TOKENS = {"module_input_name": "token_embeddings"}
LAYOUTS: dict[str, tuple[Any, ...]] = {
    "several poolings": (pooling(("lasttoken", "mean_sqrt_len_tokens", "weightedmean")),),
    "dense identity": (pooling(), dense(48, 20, "Identity")),
    "dense tanh without bias": (pooling("cls"), dense(48, 20, "Tanh", bias=False), ("Normalize", {})),
    "dense gelu": (pooling("max"), dense(48, 64, "GELU"), dense(64, 8, "ReLU")),
    "dense on tokens": (dense(48, 24, "Tanh", **TOKENS), ("Normalize", TOKENS), pooling(("mean", "max"), 24)),
    "residuals": (
        dense(48, 24, "Tanh", use_residual=True, **TOKENS),
        pooling(size=24),
        dense(24, 24, "Identity", use_residual=True),
    ),
    "layer norm": (pooling(), ("LayerNorm", {"dimension": 48}), ("Dropout", {})),
    "normalised twice": (pooling(), ("Normalize", {}), dense(48, 48, "Identity"), ("Normalize", {})),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_modules(name: str, base: Path, tmp_path: Path) -> None:
    model = compare(modules(*LAYOUTS[name])(base, tmp_path / "m"))
    assert model.info.max_tokens == 40
    assert model.info.normalized is (LAYOUTS[name][-1][0] == "Normalize")


@pytest.mark.parametrize("mode", ["cls", "mean", "max", "weightedmean", "mean_sqrt_len_tokens", "lasttoken"])
def test_a_prompt_may_stay_out_of_the_pooling(mode: str, base: Path, tmp_path: Path) -> None:
    directory = modules(pooling(mode, include_prompt=False))(base, tmp_path / "m")
    settle(directory, prompts={"query": "the lazy query: ", "other": None}, default_prompt_name="query")
    model, oracle = compare(directory), reference(directory)
    assert model.info.prompts == {"query": "the lazy query: ", "other": ""}
    for prompt in ("", "so: ", "word " * 50):
        same(encode(model, TEXTS[:5], prompt), oracle.encode(TEXTS[:5], prompt=prompt))
    included = modules(pooling(mode))(base, tmp_path / "included")
    both = [encode(one, TEXTS[:3], "the lazy query: ") for one in (model, load(included))]
    assert bool(np.abs(both[0] - both[1]).max() > 1e-3) is (mode != "lasttoken")


def settle(directory: Path, **settings: Any) -> None:
    file = directory / "config_sentence_transformers.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(known | settings))


def test_vectors_are_shortened_as_the_model_says(base: Path, tmp_path: Path) -> None:
    directory = modules(pooling(), ("Normalize", {}))(base, tmp_path / "m")
    settle(directory, truncate_dim=12)
    model = compare(directory)
    assert (model.info.dimensions, model.info.normalized) == (12, False)
    for none in (0, -5):  # to sentence-transformers: nothing, and all but the last five
        settle(directory, truncate_dim=none)
        with pytest.raises(ModelUnavailable, match=f"has a truncate_dim of {none}: at least 1 is served"):
            load(directory)


def test_a_null_prompt_is_none_and_an_unknown_default_is_refused(base: Path, tmp_path: Path) -> None:
    directory = modules(pooling())(base, tmp_path / "m")
    settle(directory, prompts={"query": None}, default_prompt_name="query")
    assert compare(directory).info.prompts["query"] == ""
    settle(directory, default_prompt_name="nothing")
    with pytest.raises(ModelUnavailable, match="no prompt 'nothing', its default"):
        load(directory)


def test_of_a_plain_directory_no_file_of_sentence_transformers_counts(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "m")
    (tmp_path / "m" / "modules.json").unlink()
    assert json.loads((tmp_path / "m" / "sentence_bert_config.json").read_text())["max_seq_length"] == 384
    settle(tmp_path / "m", truncate_dim=9, prompts={"a": "so: "}, default_prompt_name="a")
    assert compare(tmp_path / "m").info.max_tokens == 512


def test_a_chat_template_is_only_for_chats(base: Path, tmp_path: Path) -> None:
    """sentence-transformers puts the texts of a plain directory into it, and no others."""
    directory = modules(pooling())(base, tmp_path / "m")
    (directory / "chat_template.jinja").write_text("{% for one in messages %}the fox: {{ one['content'] }}{% endfor %}")
    (directory / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 40}))
    compare(directory)
    (directory / "modules.json").unlink()
    with pytest.raises(ModelUnavailable, match="The model reads chats"):
        load(directory)


def routed(base: Path, target: Path, ways: dict[str, str], **parameters: Any) -> Path:
    """`ways`: a pooling for each."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as known

    transformer = known.Transformer(str(base), max_seq_length=40)
    parts = {way: [transformer, known.Pooling(48, mode)] for way, mode in ways.items()}
    router = known.Router(parts, **parameters)
    SentenceTransformer(modules=[router, known.Normalize()], device="cpu").save(str(target))
    return target


TWO = {"query": "cls", "document": "max"}
ROUTERS: dict[str, tuple[dict[str, str], dict[str, Any], set[str]]] = {
    "one text route": ({"text": "cls"}, {"route_mappings": {(None, "text"): "text"}}, set()),
    "a default route": (TWO, {"default_route": "document"}, {"query"}),
    "the first": (TWO, {}, {"document"}),
    "none of the two": (TWO | {"text": "mean"}, {}, {"query", "document"}),
    "mapped": (
        {"one": "mean", "two": "max"},
        {"route_mappings": {("query", None): "one", (None, "text"): "two", (None, "image"): "one"}},
        {"query"},
    ),
    "crossed": (TWO, {"route_mappings": {("query", "text"): "document", ("document", "text"): "query"}}, {"query"}),
}


def read(model: TextModel, texts: Sequence[str], task: str | None) -> Vector:
    inputs = [Prompted(text, task=task) for text in texts]
    return model.run([text.ids for text in model.read(inputs) if isinstance(text, TokenizedText)])


@pytest.mark.parametrize("name", ROUTERS)
def test_a_router_sends_texts_where_sentence_transformers_does(name: str, base: Path, tmp_path: Path) -> None:
    ways, parameters, routes = ROUTERS[name]
    model = compare(routed(base, tmp_path / "m", ways, **parameters))
    oracle = reference(tmp_path / "m")
    same(read(model, TEXTS, "query"), oracle.encode_query(TEXTS))
    same(read(model, TEXTS, "document"), oracle.encode_document(TEXTS))
    assert (set(model.info.routes), model.info.note) == (routes, None)
    if routes:  # in one run, as the scheduler mixes them
        mixed = [Prompted(text, task=task) for text in TEXTS for task in ("query", None, "document")]
        ids = [text.ids for text in model.read(mixed) if isinstance(text, TokenizedText)]
        rows = model.run(ids)
        same(rows[0::3], oracle.encode_query(TEXTS))
        same(rows[1::3], oracle.encode(TEXTS))
        same(rows[2::3], oracle.encode_document(TEXTS))
        model.warm([(1, 8), (2, 16)])


def test_ways_with_weights_of_their_own(base: Path, tmp_path: Path) -> None:
    """A table for queries and a transformer for documents, and two transformers that differ in their weights alone."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as known
    from tokenizers import Tokenizer

    one, other = (known.Transformer(str(base), max_seq_length=40) for _ in range(2))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.3 if parameter.ndim > 1 else 1)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    table = known.StaticEmbedding(tokenizer, embedding_weights=torch.randn(tokenizer.get_vocab_size(), 48))
    document = [one, known.Pooling(48, "mean")]
    for name, query in {"table": [table], "twin": [other, known.Pooling(48, "mean")]}.items():
        router = known.Router.for_query_document(query, document, default_route="document")
        SentenceTransformer(modules=[router, known.Normalize()], device="cpu").save(str(tmp_path / name))
        oracle = reference(tmp_path / name)
        for backend in ("auto", "torch"):
            args = ModelArgs(
                id=str(tmp_path / name), backend=backend, precision="f32", cache_dir=str(tmp_path / "cache")
            )
            model = load_text_model(args, threads=1, offline=True)
            for texts in (TEXTS, TEXTS[:1]):
                same(read(model, texts, "query"), oracle.encode_query(texts))
                same(read(model, texts, "document"), oracle.encode_document(texts))
            assert model.info.routes["query"] != model.info.fingerprint


def test_routes_that_cannot_be_served_say_so(base: Path, tmp_path: Path) -> None:
    routed(base, tmp_path / "m", TWO, allow_empty_key=False)
    with pytest.raises(ModelUnavailable, match="a text of no task has no route; set its default_route"):
        load(tmp_path / "m")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as known

    transformer = known.Transformer(str(base), max_seq_length=40)
    ways = {"query": [transformer, known.Pooling(48, ("mean", "max"))], "document": [transformer, known.Pooling(48)]}
    SentenceTransformer(modules=[known.Router(ways)], device="cpu").save(str(tmp_path / "n"))
    with pytest.raises(ModelUnavailable, match="router make vectors of different dimensions"):
        load(tmp_path / "n")


def test_openvino_keeps_the_modules_too(base: Path, tmp_path: Path) -> None:
    behind = (pooling(("cls", "weightedmean"), 24, include_prompt=False), ("LayerNorm", {"dimension": 48}))
    directory = modules(dense(48, 24, "Tanh", use_residual=True, **TOKENS), *behind)(base, tmp_path / "m")
    settle(directory, prompts={"query": "the lazy query: "}, truncate_dim=20)
    args = ModelArgs(id=str(directory), backend="openvino", precision="f32", cache_dir=str(tmp_path / "cache"))
    model, oracle = load_text_model(args, threads=1, offline=True), reference(directory)
    for prompt in ("", "the lazy query: "):
        same(encode(model, TEXTS, prompt), oracle.encode(TEXTS, prompt=prompt))
    assert model.info.dimensions == 20
