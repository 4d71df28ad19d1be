"""`POST /embed/text`."""

import time

from starlette.requests import Request
from starlette.responses import Response

from app.api import bodies
from app.api.backend import Backend
from app.api.embeddings import embeddings_response
from app.schemas import TextRequest


async def embed_text(request: Request) -> Response:
    started = time.perf_counter()
    backend: Backend = request.app.state.backend
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), TextRequest)
    result = await backend.service.embed_texts(body.texts, body.model)
    return embeddings_response(result, normalize=body.normalize, started=started)
