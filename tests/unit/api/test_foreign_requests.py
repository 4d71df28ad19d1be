"""What clients of other APIs send: byte order marks, doubled slashes, fields that this service does not know."""

import json
from typing import Any

import httpx
import pytest

from app.api.routes import PNG, ROUTES
from app.config.args import ModelArgs
from app.schemas.compatibility import IGNORED_HEADER
from tests.support.calling import Service, image_service
from tests.support.service_fakes import MODEL, FakeEncoder, FakeReranker, FakeSparseEncoder, FakeTokenEncoder

OPENAI, TEI, TOKENIZE = "/v1/embeddings", "/embed", "/tokenize"
BODIES: dict[str, dict[str, Any]] = {
    OPENAI: {"model": MODEL, "input": "abc"},
    TEI: {"inputs": "abc"},
    "/": {"inputs": "abc"},
    TOKENIZE: {"inputs": "abc"},
}
each_route = pytest.mark.parametrize("path", BODIES)


def post(path: str, **fields: Any) -> httpx.Response:
    return Service().post(path, json=BODIES[path] | fields)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.request and r.example], ids=lambda route: route.path)
def test_a_byte_order_mark_is_accepted(route: Any) -> None:
    service = Service(
        FakeEncoder("sentence-transformers/all-MiniLM-L6-v2"),
        FakeEncoder("makers/pictures", ("image", "text")),
        FakeReranker(),
        FakeSparseEncoder(),
        FakeTokenEncoder(),
    )
    body = json.dumps(route.example).encode()
    plain, marked = (
        service.post(route.path, content=mark + body, headers={"content-type": "application/json"})
        for mark in (b"", b"\xef\xbb\xbf")
    )
    assert (plain.status_code, marked.status_code) == (200, 200)
    assert plain.json().keys() == marked.json().keys() if isinstance(plain.json(), dict) else True


@pytest.mark.parametrize("path", ["/embed/text", "/similarity", "/search", OPENAI])
def test_other_encodings_than_utf_8_are_named(path: str) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "latin-1", "cp1252", "shift-jis"):
        text = "水" if encoding == "shift-jis" else "é"
        content = f'{{"texts": ["{text}"], "query": "{text}"}}'.encode(encoding)
        answer = Service().post(path, content=content, headers={"content-type": f"application/json;charset={encoding}"})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "The body is not valid JSON: send it as UTF-8."


@pytest.mark.parametrize("path", ["/embed/text", "/similarity", "/search", OPENAI])
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_body_is_told_what_to_send(path: str, content: bytes) -> None:
    answer = Service().post(path, content=content, headers={"content-type": "application/json"})
    assert answer.json()["error"]["message"] == "The body is empty; send a JSON object."


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "//embed", 200),
        ("POST", "/embed/", 200),
        ("POST", "///embed//", 200),
        ("POST", "//", 200),
        ("POST", "/embed%2F", 200),
        ("POST", "/%2Fembed", 200),
        ("POST", "/embed%0A", 200),
        ("POST", "/embed/%0A", 200),
        ("GET", f"/v1/models/{MODEL.replace('/', '%2F')}", 200),
        ("GET", "/v1/models/..%2Fmodels", 404),
        ("GET", "//health", 200),
        ("GET", "/health/", 200),
        ("GET", "/v1/models/", 200),
        ("GET", "//v1//models", 200),
        ("DELETE", "/embed/", 405),
        ("GET", "//static//main.js", 404),
        ("GET", f"/v1/models/{MODEL}/", 200),
        ("GET", "/v1/models/no/such//model", 404),
    ],
)
def test_slashes_are_folded_for_fixed_paths(method: str, path: str, status: int) -> None:
    service = Service()
    # httpx would read `//embed` as a host.
    url = f"http://service{path}"
    answer = service.request(method, url, **({"json": {"inputs": "abc"}} if method == "POST" else {}))
    assert (answer.status_code, "location" in answer.headers) == (status, False)


def test_a_line_end_behind_a_path_changes_no_error_s_format() -> None:
    """Starlette's routes overlook it."""
    assert Service().post("/embed%0A", json={}).json() == Service().post("/embed", json={}).json()


@pytest.mark.parametrize(
    ("path", "is_openai"),
    [
        ("/v1/nothing", True),
        ("//v1/nothing", True),
        ("/v1", True),
        ("/v1/", True),
        ("/v10/a", False),
        ("/a/v1/", False),
    ],
)
def test_what_is_no_route_answers_in_the_format_of_its_prefix(path: str, is_openai: bool) -> None:
    answer = Service().get(f"http://service{path}")
    assert (answer.status_code, "type" in answer.json()["error"]) == (404, is_openai)


@each_route
def test_null_is_absent(path: str) -> None:
    plain = post(path)
    nulls = post(path, model=None, user=None, truncate=None, prompt_name=None, dimensions=None, whatever=None)
    assert (nulls.status_code, nulls.json()) == (200, plain.json())
    assert IGNORED_HEADER not in nulls.headers


def test_the_model_may_be_missing() -> None:
    answer = Service().post(OPENAI, json={"input": "abc"})
    assert (answer.status_code, answer.json()["model"]) == (200, MODEL)
    assert Service().post(OPENAI, json={"input": [{"text": "abc"}]}).json()["model"] == MODEL
    assert Service().post(OPENAI, json={"input": "abc", "model": ""}).json()["model"] == MODEL


def test_objects_without_a_model_share_one() -> None:
    service = image_service()
    models = {"image_models": (ModelArgs(id="makers/pictures"),)}
    service.embeddings.args = service.embeddings.args.model_copy(update=models)
    picture = next(r.example for r in ROUTES if r.path == "/embed/image")
    assert picture is not None
    answer = service.post(OPENAI, json={"input": ["abc", {"image": picture["images"][0]}]})
    assert (answer.status_code, answer.json()["model"]) == (200, "makers/pictures")


@each_route
def test_fields_that_change_nothing_are_ignored_and_named(path: str) -> None:
    fields = {"user": "me", "metadata": {"a": 1}, "drop_params": True, "ünïcode, name": 1}
    answer = post(path, **fields)
    assert answer.status_code == 200
    assert answer.json() == post(path).json()
    assert answer.headers[IGNORED_HEADER] == "user, metadata, drop_params, %C3%BCn%C3%AFcode%2C%20name"


def test_twenty_are_named() -> None:
    answer = post(OPENAI, **{f"x{i}": i for i in range(30)}, **{"y" * 5000: 1})
    assert answer.headers[IGNORED_HEADER].split(", ") == [f"x{i}" for i in range(20)]
    assert answer.status_code == 200
    assert post(TEI, **{"y" * 5000: 1}).headers[IGNORED_HEADER] == "y" * 64


@each_route
@pytest.mark.parametrize(
    "fields",
    [
        {"outputDimensionality": 2},
        {"dimension": 2},
        {"dimensons": 2},
        {"embedding_types": ["float", "int8"]},
        {"taskType": "RETRIEVAL_QUERY"},
        {"instruction": "Represent"},
        {"prompt": "query: "},
        {"promptName": "query"},
        {"return_multivector": True},
        {"truncation_side": "left"},
        {"truncateDirection": "Left"},
        {"max_length": 5},
        {"max_tokens": 5},
        {"embed_normalize": False},
        {"normalised": False},
        {"normalize_embeddings": 1},
        {"pooling": "cls"},
        {"query": "a"},
        {"images": ["a"]},
        {"texts": ["a"]},
        {"encodingFormat": "base64"},
        {"chat_template": "a"},
        {"revision": "main"},
        {"engine": "another"},
        {"deployment_id": "another"},
        {"return_logits": [1]},
        {"mm_processor_kwargs": {"num_crops": 4}},
        {"compress_to_size": 128},
        {"representation": "query"},
        {"binarize": True},
        {"rank_fields": ["title"]},
        {"n_ctx": 4},
        {"max_chars": 4},
        {"stride": 4},
        {"sentences": ["a"]},
        {"contents": ["a"]},
        {"video": "a"},
        {"audio": "a"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_fields_that_would_change_vectors_are_refused(path: str, fields: dict[str, Any]) -> None:
    answer = post(path, **fields)
    [name] = fields
    assert answer.status_code == (400 if path == OPENAI else 422)
    assert f"`{name}`" in answer.text


@pytest.mark.parametrize("path", [TEI, TOKENIZE])
@pytest.mark.parametrize(
    "fields",
    [{"output_dimension": 2}, {"embedding_type": "int8"}, {"task": "retrieval.query"}, {"truncation": False}],
    ids=lambda fields: next(iter(fields)),
)
def test_what_the_clients_of_another_route_send_is_refused_here(path: str, fields: dict[str, Any]) -> None:
    answer = post(path, **fields)
    assert (answer.status_code, f"`{next(iter(fields))}`" in answer.text) == (422, True)


@each_route
def test_fields_that_ask_for_the_default_are_ignored(path: str) -> None:
    fields = {"embed_normalize": True, "truncation": True, "return_multivector": False, "embedding_type": "float"}
    answer = post(path, **fields)
    known = {"truncation", "embedding_type"} if path == OPENAI else set()
    assert (answer.status_code, answer.headers[IGNORED_HEADER]) == (200, ", ".join(f for f in fields if f not in known))


def test_truncate_prompt_tokens_where_nothing_is_cut() -> None:
    tokens = post(OPENAI).json()["usage"]["prompt_tokens"]
    for limit in (tokens, 10_000, -1):
        assert post(OPENAI, truncate_prompt_tokens=limit).json() == post(OPENAI).json()
    for limit in (tokens - 1, 0, -2):
        answer = post(OPENAI, truncate_prompt_tokens=limit)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "truncate_prompt_tokens")


@pytest.mark.parametrize("path", ["/embed/text", "/search", "/similarity", "/embed/batch"])
def test_native_routes_stay_strict(path: str) -> None:
    example = next(r.example for r in ROUTES if r.path == path)
    assert example is not None
    answer = Service().post(path, json=example | {"user": "me"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "user")


@each_route
def test_there_is_an_end_to_unknown_fields(path: str) -> None:
    """Each is compared with all known ones, while others wait."""
    few, many = ({f"zq{i}": 1 for i in range(count)} for count in (64, 65))
    assert post(path, **few).status_code == 200
    answer = post(path, **many)
    assert answer.status_code in (400, 422)
    assert "65 unknown fields; at most 64" in answer.text


@pytest.mark.parametrize(
    ("outer", "inner"), [("parameters", "options"), ("options", "parameters"), ("options", "options")]
)
def test_options_in_options_are_no_options(outer: str, inner: str) -> None:
    answer = post(TEI, **{outer: {inner: {"normalize": False}}})
    assert (answer.status_code, f"`{outer}.{inner}`" in answer.text) == (422, True)


EMBEDS_BESIDE: dict[str, dict[str, Any]] = {
    TEI: {"inputs": "abc"},
    OPENAI: {"input": "abc"},
    "/v2/embed": {"texts": ["abc"]},
    "/api/embed": {"input": "abc"},
    "/score": {"text_1": "abc", "text_2": "abc"},
    "/v1/rerank": {"query": "abc", "documents": ["abc"]},
}


@pytest.mark.parametrize("path", EMBEDS_BESIDE)
@pytest.mark.parametrize(
    ("name", "value", "within"),
    [
        ("extra_body", {"dimensions": 2}, ".dimensions"),
        ("settings", {"a": 1, "pooling": "cls"}, ".pooling"),
        ("use_activation", False, ""),
        ("softmax", False, ""),
        ("endianness", "big", ""),
        ("messages", [], ""),
        ("matryoshka", 2, ""),
        ("max_seq_len", 2, ""),
        ("norm", False, ""),
    ],
)
def test_what_would_change_vectors_by_another_name_or_in_an_object(
    path: str, name: str, value: Any, within: str
) -> None:
    answer = Service(FakeEncoder(), FakeReranker()).post(path, json=EMBEDS_BESIDE[path] | {name: value})
    assert answer.status_code == (422 if path == TEI else 400)
    assert f"`{name}{within}` is not supported" in answer.text


@each_route
def test_objects_that_change_nothing_are_ignored(path: str) -> None:
    fields = {"extra_body": {"a": 1}, "extra_headers": {"x-model": "a"}, "use_activation": True, "endianness": "little"}
    assert post(path, **fields).headers[IGNORED_HEADER] == ", ".join(fields)
    answer = post(path, extra_body={f"zq{i}": 1 for i in range(65)})
    assert "66 unknown fields; at most 64" in answer.text


LONG = " ".join("a" * 9)  # nine tokens, where eight are read


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed_sparse", {"inputs": LONG}),
        ("/embed_all", {"inputs": LONG}),
        ("/predict", {"inputs": LONG}),
        ("/rerank", {"query": "a", "texts": [LONG]}),
    ],
)
def test_parameters_count_on_all_routes_of_tei(path: str, body: dict[str, Any]) -> None:
    service = Service(FakeReranker(), FakeSparseEncoder(), FakeTokenEncoder())
    for outer in ("parameters", "options"):
        assert service.post(path, json=body | {outer: {"truncate": True, "use_cache": True}}).status_code == 200
        answer = service.post(path, json=body | {outer: {"truncate": False}})
        assert (answer.status_code, "must have at most 8 tokens" in answer.text) == (422, True)
    decoded = Service().post("/decode", json={"ids": [0, 1], "parameters": {"skip_special_tokens": False}})
    assert decoded.json() == ["0 1"]


def test_equal_texts_score_exactly_one() -> None:
    """In float32 the cosine of [3, 4, 0] / 5 with itself is one, that of [1, 4, 0] is not."""
    service = Service()
    texts = ["a" * n for n in range(1, 40)]
    for text in texts:
        body = {"inputs": {"source_sentence": text, "sentences": [text, text + "a"]}}
        equal, other = service.post("/similarity", json=body).json()
        assert (equal, other < 1) == (1, True)
        best = service.post("/rerank", json={"query": text, "documents": [text]}).json()["results"]
        assert [one["relevance_score"] for one in best] == [1]
    pairs = service.post("/score", json={"text_1": texts, "text_2": texts}).json()["data"]
    assert {one["score"] for one in pairs} == {1}


def test_the_source_sentence_is_named() -> None:
    body = {"inputs": {"source_sentence": LONG, "sentences": ["a", "b"]}, "truncate": False}
    assert "`inputs.source_sentence` must have at most 8 tokens" in Service().post("/similarity", json=body).text


def test_errors_in_the_schema_are_in_the_client_s_form_too() -> None:
    answer = Service().post("/rerank", json={"query": "a", "texts": ["a"], "truncate": "no"})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")
    assert (
        "code" in Service().post("/rerank", json={"query": "a", "documents": ["a"], "truncate": "no"}).json()["error"]
    )


@pytest.mark.parametrize("path", ["/v2", "/v2/", "//v2//chat"])
def test_cohere_s_prefix_has_cohere_s_errors(path: str) -> None:
    answer = Service().get(f"http://service{path}")
    assert (answer.status_code, list(answer.json())) == (404, ["id", "message"])


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/v2/embed", {"images": ["", "x"]}, "images.0"),
        ("/vectorize", {"images": [None]}, "images.0"),
        (
            "/v1/multimodalembeddings",
            {"inputs": [{"content": [{"type": "image_base64", "image_base64": ""}]}]},
            "inputs.0",
        ),
    ],
)
def test_where_errors_have_no_field_for_it_the_message_names_the_item(
    path: str, body: dict[str, Any], name: str
) -> None:
    service = image_service()
    answer = service.post(path, json=body)
    assert (answer.status_code, f"`{name}" in answer.text) == (400, True)


def test_words_for_booleans_of_xinference_s_clients() -> None:
    body = {"query": "a", "documents": ["a"], "return_len": "true"}
    results = [
        Service().post("/v1/rerank", json=body | {"return_documents": word}).json()["results"][0]
        for word in ("true", "false")
    ]
    assert ["document" in one for one in results] == [True, False]
    assert Service().post("/v1/rerank", json=body | {"return_documents": "yes"}).status_code == 400


def test_an_unknown_type_is_named_by_its_field() -> None:
    answer = Service().post(OPENAI, json={"input": "abc", "output_dtype": "int4"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "output_dtype")
    body = {"inputs": [["abc"]], "encoding_format": "float"}
    assert Service().post("/v1/contextualizedembeddings", json=body).status_code == 200


@pytest.mark.parametrize("field", ["rerank", "sparse"])
@pytest.mark.parametrize("value", ["", 1, []])
def test_a_switch_that_may_be_a_name_is_named_by_its_field(field: str, value: Any) -> None:
    body = {"query": {"text": "a"}, "candidates": [], field: value}
    answer = Service().post("/search", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


def test_what_infinity_s_client_sends_by_default() -> None:
    service, none = Service(FakeEncoder(), FakeReranker()), {"model": "default/not-specified"}
    for path in ("/embeddings", OPENAI):
        answer = service.post(path, json=none | {"input": ["abc"], "dimensions": 0, "modality": "text"})
        assert (answer.status_code, answer.json()) == (200, service.post(path, json={"input": ["abc"]}).json())
    for path, body in (("/rerank", {"query": "a", "documents": ["a"]}), ("/classify", {"input": ["a"]})):
        answer = service.post(path, json=none | body | {"raw_scores": False})
        assert (answer.status_code, answer.json()["model"]) == (200, "makers/reranker")


@pytest.mark.parametrize(
    ("path", "fields", "hint"),
    [
        ("/rerank", {"query": "a", "texts": [LONG], "truncate": False}, "set `truncate` to true to cut it"),
        ("/v1/rerank", {"query": "a", "documents": [LONG], "truncation": False}, "set `truncation` to true to cut it"),
        ("/v2/rerank", {"query": "a", "documents": [LONG], "truncation": False}, "set `truncation` to true to cut it"),
        (
            "/v1/ranking",
            {"query": {"text": "a"}, "passages": [{"text": LONG}]},
            "set `truncate` to END or START to cut",
        ),
        (OPENAI, {"input": LONG, "truncation": False}, "set `truncation` to true to truncate it"),
        (OPENAI, {"input": LONG, "truncate": "NONE"}, "set `truncate` to END or START to truncate it"),
    ],
)
def test_what_would_cut_a_text_is_named_as_its_route_has_it(path: str, fields: dict[str, Any], hint: str) -> None:
    for service in (Service(), Service(FakeEncoder(), FakeReranker())):
        answer = service.post(path, json=fields)
        assert (answer.status_code, hint in answer.text) == (422 if "texts" in fields else 400, True)


@pytest.mark.parametrize(
    ("path", "fields", "name"),
    [
        ("/rerank", {"query": LONG, "texts": ["a"], "truncate": False}, "query"),
        ("/v1/rerank", {"query": LONG, "documents": ["a", "b"], "truncation": False}, "query"),
        ("/v1/rerank", {"query": LONG, "documents": ["a", {"image": PNG}], "truncation": False}, "query"),
        ("/v1/ranking", {"query": {"text": LONG}, "passages": [{"text": "a"}]}, "query"),
    ],
)
@pytest.mark.parametrize("encoder", [FakeEncoder(), FakeTokenEncoder()])
def test_no_query_is_cut_that_may_not_be(path: str, fields: dict[str, Any], name: str, encoder: FakeEncoder) -> None:
    service = Service(encoder, FakeEncoder("makers/pictures", ("image", "text")))
    model = {} if "image" in str(fields) else {"model": encoder.state.id}
    answer = service.post(path, json=fields | model)
    assert (answer.status_code, f"`{name}` must have at most 8 tokens; set `trunc" in answer.text) == (
        422 if "texts" in fields else 400,
        True,
    )
