"""The SDK's error classes for what a healthy service does not answer."""

from typing import Any

import httpx
import openai
import pytest

from app.errors import DeadlineExceeded, ModelUnavailable, Overloaded, ServiceError
from app.service.encoder import ModelState
from tests.support.calling import Service
from tests.support.service_fakes import MODEL, FakeEncoder


async def embed(service: Service, text: str = "abc") -> None:
    async with httpx.AsyncClient(transport=service.transport()) as pool:
        http_client: Any = pool  # it asks for a later httpx, and takes this one as well
        options: dict[str, Any] = {"api_key": "none", "max_retries": 0, "http_client": http_client}
        client = openai.AsyncOpenAI(base_url="http://service/v1", **options)
        await client.embeddings.create(model=MODEL, input=text)


@pytest.mark.parametrize(
    ("fault", "raised", "status"),
    [
        (Overloaded("full", retry_after=3), openai.RateLimitError, 429),
        (ModelUnavailable("not now"), openai.InternalServerError, 503),
        (DeadlineExceeded("too slow"), openai.InternalServerError, 504),
    ],
)
async def test_service_errors_are_openai_exceptions(
    fault: ServiceError, raised: type[openai.APIStatusError], status: int
) -> None:
    encoder = FakeEncoder()
    encoder.faults["abc"] = fault
    with pytest.raises(raised) as error:
        await embed(Service(encoder))
    assert (error.value.status_code, error.value.message.endswith(f"{fault}")) == (status, True)
    assert (error.value.response.headers.get("retry-after") == "3") == (status == 429)


async def test_too_large_a_text_and_too_large_a_body() -> None:
    with pytest.raises(openai.BadRequestError, match="at most 10"):
        await embed(Service(text_bytes=10), "x" * 11)
    with pytest.raises(openai.APIStatusError, match="larger than 20 bytes") as error:
        await embed(Service(image_body=20))
    assert error.value.status_code == 413


async def test_a_model_that_could_not_be_loaded() -> None:
    encoder = FakeEncoder()
    encoder.state = ModelState(MODEL, "unavailable", reason="no weights")
    with pytest.raises(openai.InternalServerError, match="no weights"):
        await embed(Service(encoder))
