"""What JSON Schema can't say of a good request, mended in requests that are good by the schema.

The document says each of these rules in words; a request that breaks one is a 400, which the unit tests prove. Here
they are kept, so that every request of schemathesis's positive mode must be answered with more than an error.
"""

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import schemathesis

from app.api.routes import PNG, ROUTES
from app.api.wire.negotiation import NPY, OCTETS
from app.config.args import Limits
from app.schemas.compatibility import CompatibleWire
from app.schemas.tei import TeiOptions
from app.vectors.binary_body import SHAPE

MOST_IMAGES = Limits().images
# all-MiniLM-L6-v2 and shapes-clip.
DIMENSIONS = {"text": 384, "image": 64}
# Of the fields of embeddings, several mean one thing or the sender chooses by another: no schema says that they agree.
AT_ODDS = {
    *("truncate", "truncation", "task", "input_type", "output_dimension", "embedding_type", "modality", "options"),
    *("parameters", "config", "max_tokens", "num_ctx", "pooling_strategy", "output_encoding", "truncate_prompt_tokens"),
    "late_chunking",
}
NESTED = TeiOptions.NESTED  # fields within these are of the same rules
OWN_IDS = {"text": [101, 7592, 102], "image": [703, 5, 704]}


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    if case.operation.path == "/similarity" and case.media_type == "application/json":
        # These are for binary bodies and stand in a JSON body as fields.
        case.query = {}
        case.headers.pop(SHAPE, None)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.operation.path == "/similarity" and case.media_type in (OCTETS, NPY):
        case.body, case.headers[SHAPE] = _matrix(case.media_type), "3,2"
    if not isinstance(case.body, dict):
        return
    path = case.operation.path
    if path in RULES or path in FIELDS:
        known = {name: value for name, value in case.body.items() if name in FIELDS.get(path, case.body)}
        body: Any = RULES.get(path, dict)(known)
        if case.media_type == "multipart/form-data":
            body["images"] = [base64.b64decode(PNG) for _ in body["images"]]
        case.body = body
        # Bytes are of no type that a schema has: a form with files would be taken for a bad request from now on.
        case._record_starting_state()  # noqa: SLF001


def _texts(body: dict[str, Any]) -> dict[str, Any]:
    return _with_levels(_without_unknown_prompt(body, "promptName"))


def _chunks(body: dict[str, Any]) -> dict[str, Any]:
    """One of `text` and `texts`; chunks have no more tokens than shapes-clip reads, and overlap by less than they have;
    shapes-clip is not mean-pooled."""
    if body.get("text") is None and body.get("texts") is None:
        body["text"] = "a"
    elif body.get("text") is not None:
        body.pop("texts", None)
    body["size"] = 1 + (body.get("size") or 1) % 28
    body["overlap"] = body.get("overlap", 0) % body["size"]
    body.pop("late", None)
    return _texts(body)


def _contextualized(body: dict[str, Any]) -> dict[str, Any]:
    """Vectors are cut to what there is, in whole bytes; white space alone has no tokens."""
    body.pop("model", None)
    body["inputs"] = [[f"{text} a" for text in document] for document in body["inputs"]]
    if body.get("output_dimension") is not None:
        body["output_dimension"] = max(8, body["output_dimension"] % (DIMENSIONS["image"] + 1) // 8 * 8)
    return body


def _images(body: dict[str, Any]) -> dict[str, Any]:
    """Images are images."""
    body["images"] = [PNG for _ in body["images"]]
    return _with_levels(body)


def _batch(body: dict[str, Any]) -> dict[str, Any]:
    """No more images than are allowed; a schema can't count some items only."""
    body["items"] = body["items"][:MOST_IMAGES]
    return _with_levels(_without_unknown_prompt(body, "promptName"))


def _similarity(body: dict[str, Any]) -> dict[str, Any]:
    """Vectors have one length."""
    body["candidates"] = [_long(vector, len(body["query"])) for vector in body["candidates"]]
    return body


def _search(body: dict[str, Any]) -> dict[str, Any]:
    """Images are images, and not too many; vectors have the model's length, or the query's where no model embeds."""
    items = [dict(item) for item in (body["query"], *body["candidates"])][:MOST_IMAGES]
    kinds = {kind for item in items for kind in ("text", "image", "vector") if item.get(kind) is not None}
    named = f"{body.get('model')} {body.get('space')}"
    if "image" in kinds or ("text" in kinds and "clip" in named):
        length = DIMENSIONS["image"]
    else:
        length = DIMENSIONS["text"] if "text" in kinds else len(items[0]["vector"])
    for item in items:
        if item.get("image") is not None:
            item["image"] = PNG
        if item.get("vector") is not None:
            item["vector"] = _long(item["vector"], length)
    body["query"], body["candidates"] = items[0], items[1:]
    if kinds == {"vector"}:
        body.pop("model", None)
    body.pop("rerank", None)
    body.pop("sparse", None)
    return _without_unknown_prompt(body, "promptName")


def _rerank(body: dict[str, Any]) -> dict[str, Any]:
    """Either texts or documents."""
    if body.get("texts") is not None:
        body.pop("documents", None)
    elif body.get("documents") is None:
        body["documents"] = ["a", "b"]
    return _pictures(body, "texts" if body.get("texts") is not None else "documents")


def _pictures(body: dict[str, Any], field: str) -> dict[str, Any]:
    """Images are images, and the model reads them; texts may be too long for shapes-clip."""
    body[field] = [_input(one, []) for one in body[field][:MOST_IMAGES]]
    if any(isinstance(one, dict) and "text" not in one for one in body[field]):
        body.pop("model", None)
    return {name: value for name, value in body.items() if name not in ("truncate", "truncation", *NESTED)}


def _score(body: dict[str, Any]) -> dict[str, Any]:
    """One text beside many."""
    return body | {"text_1": body["text_1"][:1] if isinstance(body["text_1"], list) else body["text_1"]}


def _show(body: dict[str, Any]) -> dict[str, Any]:
    """A model is named."""
    body.clear()
    return body | {"model": "all-MiniLM-L6-v2"}


def _vectorize(body: dict[str, Any]) -> dict[str, Any]:
    """Texts or images are there."""
    return _one_model(body if body.get("texts") or body.get("images") else {**body, "texts": ["a"]})


def _one_number(body: dict[str, Any]) -> dict[str, Any]:
    """Either `top_n` or `top_k`."""
    if body.get("top_n") is not None:
        body.pop("top_k", None)
    return _pictures(body, "documents")


def _matrix(media: str) -> bytes:
    rows = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    if media == OCTETS:
        return rows.tobytes()
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def _warm(body: dict[str, Any]) -> dict[str, Any]:
    """A row and a count for each text."""
    size = len(body["texts"])
    body.pop("model", None)
    body["embeddings"] = base64.b64encode(bytes(4 * DIMENSIONS["text"] * size)).decode()
    return body | {"tokens": [3] * size, "truncated": []}


def _tei(body: dict[str, Any]) -> dict[str, Any]:
    """As for OpenAI; texts may be too long for shapes-clip."""
    body.pop("truncate", None)
    body["input"] = body.pop("inputs")
    body = _openai(body)
    body["inputs"] = body.pop("input")
    return body


def _decode(body: dict[str, Any]) -> dict[str, Any]:
    """Token ids are the model's own."""
    own = OWN_IDS["image" if "clip" in str(body.get("model")) else "text"]
    ids = [own for _ in body["ids"]] if isinstance(body["ids"][0], list) else own
    return {name: value for name, value in body.items() if name in ("model", "skip_special_tokens")} | {"ids": ids}


def _openai(body: dict[str, Any]) -> dict[str, Any]:
    """Token ids are the model's own; no more images than are allowed; vectors are cut to what there is, in whole
    bytes."""
    body = _known(body)
    given = body["input"]
    if isinstance(given, list):
        given = given[:MOST_IMAGES]
        ids = OWN_IDS["image" if "clip" in str(body.get("model")) else "text"]
        body["input"] = ids if isinstance(given[0], (int, float)) else [_input(one, ids) for one in given]
    return _without_unknown_prompt(body, "prompt_name")


def _known(body: dict[str, Any]) -> dict[str, Any]:
    """Levels of int8 need vectors of length 1; see `AT_ODDS`."""
    body = {name: value for name, value in body.items() if name not in AT_ODDS}
    if body.get("output_dtype") in ("int8", "uint8"):
        body.pop("normalized", None)
    if body.get("dimensions") is not None:
        body["dimensions"] = max(8, body["dimensions"] % (DIMENSIONS["image"] + 1) // 8 * 8)
    return body


def _cohere(body: dict[str, Any]) -> dict[str, Any]:
    """One of texts, images and inputs."""
    body = _known(body)
    texts = body.get("texts") or ["Hello world"]
    return {name: value for name, value in body.items() if name not in ("images", "inputs", "model")} | {"texts": texts}


def _one_model(body: dict[str, Any]) -> dict[str, Any]:
    """Images are images, and the model is the default one for them."""
    body = _known(body)
    body.pop("model", None)
    if "images" in body or "texts" in body:
        body["images"] = [PNG for _ in (body.get("images") or [PNG])[:MOST_IMAGES]]
    if "inputs" in body:
        body["inputs"] = [_part(one) for one in body["inputs"][:MOST_IMAGES]]
    return body


def _part(one: Any) -> Any:
    [part] = one["content"]
    return one if "text" in part else {"content": [{"type": "image_base64", "image_base64": PNG}]}


def _input(one: Any, ids: list[int]) -> Any:
    if isinstance(one, list):
        return ids
    if not isinstance(one, dict) or "text" in one:
        return one
    return {"url": f"data:image/png;base64,{PNG}"} if "url" in one else dict.fromkeys(one, PNG)


def _long(vector: list[float], length: int) -> list[float]:
    return (vector * length)[:length] if vector else [1.0] * length


def _with_levels(body: dict[str, Any]) -> dict[str, Any]:
    """Levels of int8 need vectors of length 1."""
    if body.get("outputType") in ("int8", "uint8") and body.get("normalize") in (False, "false", "0"):
        del body["normalize"]
    return body


def _without_unknown_prompt(body: dict[str, Any], name: str) -> dict[str, Any]:
    """The default models have no prompts."""
    body.pop(name, None)
    return body


# Unknown fields, also within others, may be named like what would change vectors; the default models have no prompts.
FIELDS = {
    route.path: route.request.model_fields.keys() - {*NESTED, "prompt_name"}
    for route in ROUTES
    if route.request and issubclass(route.request, CompatibleWire)
}
RULES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "/embed/text": _texts,
    "/embed/image": _images,
    "/embed/chunks": _chunks,
    "/v1/contextualizedembeddings": _contextualized,
    "/embed/batch": _batch,
    "/similarity": _similarity,
    "/search": _search,
    "/rerank": _rerank,
    "/elastic/rerank": _rerank,
    "/v1/rerank": _one_number,
    "/v2/rerank": _one_number,
    "/v1/embeddings": _openai,
    "/embeddings": _openai,
    "/v1/embed": _cohere,
    "/v2/embed": _cohere,
    "/api/embed": _one_model,
    "/api/embeddings": _one_model,
    "/v1/multimodalembeddings": _one_model,
    "/vectors": _one_model,
    "/vectorize": _vectorize,
    "/score": _score,
    "/api/show": _show,
    "/embed": _tei,
    "/": _tei,
    "/tokenize": _tei,
    "/decode": _decode,
    "/cache/warm": _warm,
}
