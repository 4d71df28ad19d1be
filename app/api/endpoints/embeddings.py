"""`POST /embed/text` and `/embed/image`: JSON, or for images a multipart upload with the files in `images`."""

from collections.abc import AsyncIterator
from typing import cast, get_args

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.endpoints import sparse
from app.api.wire import bodies
from app.api.wire.embeddings import VectorFormat, embeddings_response
from app.api.wire.negotiation import negotiate
from app.config.args import Limits
from app.errors import InvalidRequest, PayloadTooLarge, did_you_mean
from app.schemas.embeddings import ImageRequest, TextRequest
from app.types import OutputType, ReadOptions

FILES = "images"
OPTIONS = ("model", "normalize", "outputType")
MAX_FIELDS = 8
SPELLINGS = {"true": True, "1": True, "false": False, "0": False}


# Images, the model's name and the format of the vectors.
ImageInputs = tuple[list[object], str | None, VectorFormat]


async def embed_text(request: Request, backend: Backend) -> Response:
    media = negotiate(request)
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), TextRequest)
    reading = ReadOptions(body.prompt_name, body.input_type)
    if backend.service.is_other_kind(body.model, "sparse"):
        return await sparse.embed_text(request, backend, body, reading, media)
    result = await backend.service.embed_texts(body.texts, body.model, reading=reading)
    return embeddings_response(request, result, VectorFormat(body.normalize, body.output_type), media)


async def embed_image(request: Request, backend: Backend) -> Response:
    limits = backend.args.limits
    media = negotiate(request)
    if bodies.content_type(request) == "multipart/form-data":
        images, model, form = await _upload(request, limits)
    else:
        body = bodies.parse(await bodies.read_json(request, limits.image_body, "or multipart/form-data"), ImageRequest)
        images, model, form = body.images, body.model, VectorFormat(body.normalize, body.output_type)
    result = await backend.service.embed_images(images, model)
    return embeddings_response(request, result, form, media)


async def _upload(request: Request, limits: Limits) -> ImageInputs:
    body = await bodies.read(request, limits.image_body)

    async def stream() -> AsyncIterator[bytes]:
        yield body
        yield b""

    # The parser accepts one file more than allowed, so that the error is ours and not the parser's.
    parser = MultiPartParser(request.headers, stream(), max_files=limits.images + 1, max_fields=MAX_FIELDS)  # type: ignore[arg-type]
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        reason = error.message.rstrip(".") if isinstance(error, MultiPartException) else "no boundary"
        raise InvalidRequest(f"The multipart body can't be parsed: {reason}.") from None
    try:
        return await _read_form(form, limits)
    finally:
        await form.close()


async def _read_form(upload: FormData, limits: Limits) -> ImageInputs:
    images: list[object] = []
    options: dict[str, str] = {}
    for name, value in upload.multi_items():
        if isinstance(value, UploadFile):
            if name != FILES:
                raise InvalidRequest(f"Send files in the field `{FILES}`, not `{name}`.", name)
            if value.size is not None and value.size > limits.image_bytes:
                index = f"{FILES}.{len(images)}"
                limit = limits.image_bytes
                raise PayloadTooLarge(f"`{index}` has {value.size:,} bytes; at most {limit:,} per image.", index)
            images.append(await value.read())
        elif name == FILES:
            images.append(value)
        elif name in OPTIONS:
            options[name] = value
        else:
            known = f"Known fields: {FILES}, {', '.join(OPTIONS)}.{did_you_mean(name, (FILES, *OPTIONS))}"
            raise InvalidRequest(f"`{name}` is not a field of this request. {known}", name)
    if not images:
        raise InvalidRequest(f"`{FILES}` is missing: send at least one file in this field.", FILES)
    normalize, output = options.get("normalize", "true"), options.get("outputType", "float32")
    if normalize.lower() not in SPELLINGS:
        raise InvalidRequest(f"`normalize` must be true or false, not {normalize[:40]!r}.", "normalize")
    if output not in get_args(OutputType):
        raise InvalidRequest(f"`outputType` must be one of {', '.join(get_args(OutputType))}.", "outputType")
    form = VectorFormat(SPELLINGS[normalize.lower()], cast(OutputType, output))
    return images, options.get("model"), form
