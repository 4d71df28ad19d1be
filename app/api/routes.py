"""The route table, from which the application, the OpenAPI document and `/docs` are built."""

from functools import partial
from typing import Final, get_args

from app import errors
from app.api.endpoints import (
    batch,
    chunks,
    cohere,
    embeddings,
    ollama,
    openai,
    operations,
    pages,
    predict,
    rerank,
    search,
    similarity,
    sparse,
    tei,
    voyage,
    weaviate,
)
from app.api.route import BODY, CALLS, ENCODES, EXAMPLE_PNG, MODEL, Route
from app.schemas import operations as answers
from app.schemas.batch import BatchRequest, BatchResponse
from app.schemas.embeddings import EmbeddingsResponse, ImageRequest, TextRequest
from app.schemas.openai import OpenAiModel, OpenAiModels
from app.schemas.search import SearchRequest, SearchResponse
from app.schemas.similarity import SimilarityRequest, SimilarityResponse
from app.schemas.tei import TeiDecodeRequest, TeiDecodeResponse, TeiInfo, TeiTokenizeRequest, TeiTokenizeResponse
from app.types import OutputType

PNG: Final = EXAMPLE_PNG
UPLOAD: Final = {
    "type": "object",
    "description": "A form with the files in `images`.",
    "required": ["images"],
    "additionalProperties": False,
    "properties": {
        "images": {
            "type": "array",
            "minItems": 1,
            "maxItems": "<images>",
            "items": {"type": "string", "format": "binary"},
            "description": "1 to <images> image files, at most <image_bytes> bytes each.",
        },
        "outputType": {"type": "string", "enum": list(get_args(OutputType)), "description": "As in ImageRequest."},
        "model": {"type": "string", "description": "Full or short name of a served image model."},
        "normalize": {"type": "string", "enum": ["true", "false", "1", "0"], "description": "As in ImageRequest."},
    },
}

_EMBED = partial(Route, "POST", scope="embed")
_READ = partial(Route, "GET", scope="read")
_OPEN = partial(Route, "GET", scope="open")
_PAGE = partial(_OPEN, media="text/html", is_file=True)
_ADMIN = partial(Route, "POST", scope="admin")

ROUTES: Final[tuple[Route, ...]] = (
    _EMBED(
        "/embed/text",
        embeddings.embed_text,
        "Embed texts.",
        EmbeddingsResponse,
        TextRequest,
        errors=(*ENCODES, errors.NotAcceptable),
        example={"texts": ["Hello world", "Machine learning"]},
        truncates=True,
        body_limit="text_body",
        matrix_answer=True,
        needs="text",
    ),
    _EMBED(
        "/embed/image",
        embeddings.embed_image,
        "Embed images.",
        EmbeddingsResponse,
        ImageRequest,
        errors=(*ENCODES, errors.InvalidItem, errors.InvalidImage, errors.NotAcceptable),
        example={"images": [f"data:image/png;base64,{PNG}"]},
        upload=UPLOAD,
        body_limit="image_body",
        matrix_answer=True,
        needs="image",
    ),
    _EMBED(
        "/embed/batch",
        batch.embed_batch,
        "Embed texts and images; an invalid item does not fail the others.",
        BatchResponse,
        BatchRequest,
        errors=(*BODY, *CALLS),
        example={"items": [{"text": "Hello world"}, {"text": "Machine learning"}], "batchSize": 32},
        truncates=True,
        body_limit="image_body",
    ),
    _EMBED(
        "/similarity",
        similarity.rank,
        "Rank vectors, or texts as text-embeddings-inference does: {inputs: {source_sentence, sentences}}.",
        SimilarityResponse,
        SimilarityRequest,
        errors=(*BODY, errors.SpaceMismatch, *ENCODES, errors.InvalidItem),
        example={"query": [1, 0], "candidates": [[0, 1], [1, 0], [0.6, 0.8]], "topK": 2},
        body_limit="vector_body",
        matrix_body=True,
        truncates=True,
        errors_may_be=("tei",),
    ),
    _EMBED(
        "/search",
        search.search,
        "Embed a query and candidates, and rank them.",
        SearchResponse,
        SearchRequest,
        errors=(*ENCODES, errors.InvalidItem, errors.InvalidImage, errors.SpaceMismatch),
        example={
            "query": {"text": "a small dog"},
            "candidates": [{"text": "A puppy plays in the garden."}, {"text": "The stock market fell."}],
            "topK": 1,
            "returnCandidates": True,
        },
        truncates=True,
        body_limit="vector_body",
    ),
    *chunks.ROUTES,
    *rerank.ROUTES,
    *predict.ROUTES,
    *sparse.ROUTES,
    *openai.ROUTES,
    *cohere.ROUTES,
    *ollama.ROUTES,
    *voyage.ROUTES,
    *weaviate.ROUTES,
    *(
        _READ(path, openai.models, "The served models, as in OpenAI's API.", OpenAiModels, errors_as="openai")
        for path in ("/v1/models", "/models")
    ),
    _READ(
        "/v1/models/{model:path}",
        openai.model,
        "One model, as in OpenAI's API.",
        OpenAiModel,
        errors=(errors.ModelNotFound,),
        errors_as="openai",
    ),
    *tei.ROUTES,
    _READ(
        "/info",
        tei.info,
        "The default text model, as in text-embeddings-inference.",
        TeiInfo,
        errors=MODEL,
        errors_as="tei",
    ),
    _EMBED(
        "/tokenize",
        tei.tokenize,
        "The tokens of texts, as in text-embeddings-inference.",
        TeiTokenizeResponse,
        TeiTokenizeRequest,
        errors=(*ENCODES, errors.EmptyInput),
        example={"inputs": "Hello world"},
        body_limit="tokenize_body",
        errors_as="tei",
    ),
    _EMBED(
        "/decode",
        tei.decode,
        "The texts of token ids, as in text-embeddings-inference.",
        TeiDecodeResponse,
        TeiDecodeRequest,
        errors=(*ENCODES, errors.EmptyInput, errors.InvalidItem),
        example={"ids": [[101, 7592, 2088, 102]]},
        body_limit="tokenize_body",
        errors_as="tei",
    ),
    _READ("/cache/stats", operations.cache_stats, "Statistics of the cache.", answers.CacheStatsResponse),
    _ADMIN(
        "/cache/clear",
        operations.clear_cache,
        "Clear the cache; after the response, no replica serves an old entry.",
        answers.CacheClearResponse,
        answers.CacheClearRequest,
        errors=(*BODY, errors.CacheUnavailable),
        example={},
        optional_body=True,
        body_limit="clear_body",
    ),
    _ADMIN(
        "/cache/warm",
        operations.warm_cache,
        "Store vectors in the cache that the served model has computed elsewhere; a sample is verified.",
        answers.CacheWarmResponse,
        answers.CacheWarmRequest,
        errors=(*ENCODES, errors.SpaceMismatch, errors.CacheUnavailable),
        body_limit="text_body",
    ),
    _OPEN(
        "/health",
        operations.health,
        "Health, with reasons if it is degraded; 503 while it starts.",
        answers.HealthResponse,
        statuses=(503,),
        short=answers.HealthSummary,
        is_traced=False,
    ),
    *(
        _OPEN(path, operations.livez, "The ingress is running.", answers.LiveResponse, is_traced=False)
        for path in ("/livez", "/v1/health/live", "/.well-known/live")
    ),
    *(
        _OPEN(path, operations.readyz, "Models are loaded.", answers.ReadyResponse, statuses=(503,), is_traced=False)
        for path in ("/readyz", "/v1/health/ready", "/.well-known/ready")
    ),
    _OPEN("/openapi.json", pages.openapi, "This description, OpenAPI 3.1."),
    _PAGE("/docs", partial(pages.static, name="docs.html"), "A page that lists the routes."),
    _PAGE("/", partial(pages.static, name="index.html"), "A page to try the service.", errors_as="tei"),
    _PAGE("/static/{file:path}", pages.static, "Files of the pages.", errors=(errors.NotFound,), media="*/*"),
    _READ(
        "/metrics",
        operations.metrics,
        "The cluster's metrics in Prometheus' text format.",
        media="text/plain",
        is_traced=False,
    ),
)

# By method and path, the kind of model that all of a route's requests need.
NEEDS: Final = {(route.method, route.path): route.needs for route in ROUTES if route.needs is not None}
