"""`POST /embed/text`."""

import time

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.wire import bodies
from app.api.wire.embeddings import VectorFormat, embeddings_response, record_times
from app.api.wire.negotiation import negotiate
from app.schemas import TextRequest
from app.types import ReadOptions


async def embed_text(request: Request) -> Response:
    started = time.perf_counter()
    backend: Backend = request.app.state.backend
    media = negotiate(request)
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), TextRequest)
    reading = ReadOptions(body.prompt_name, body.input_type)
    result = await backend.service.embed_texts(body.texts, body.model, reading=reading)
    record_times(request, result)
    return embeddings_response(result, VectorFormat(body.normalize, body.output_type), media, started=started)
