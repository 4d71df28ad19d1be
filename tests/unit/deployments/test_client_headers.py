"""What `deployments.client_headers` lets through. The imports of Ray warn, and warnings are errors here."""

import asyncio
import warnings
from collections.abc import MutableMapping
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deployments.client_headers import WithoutClientHeaders, middlewares
    from deployments.serve_internals.bypass_middleware import BypassMiddleware


def seen(scope: dict[str, Any]) -> Any:
    scopes: list[MutableMapping[str, Any]] = []

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        scopes.append(scope)

    asyncio.run(WithoutClientHeaders(app)(scope, None, None))
    return scopes[0]


def test_what_is_for_load_balancers_goes_and_the_rest_stays() -> None:
    rest = [(b"x-request-id", b"7"), (b"authorization", b"Bearer k"), (b"x-embedding-shape", b"1,2")]
    told = [
        (b"x-request-timeout-seconds", b"0"),
        (b"x-request-disconnect-disabled", b"?1"),
        (b"x-session-id", b"\xff"),
        (b"x_session_id", b"1"),
        (b"serve_multiplexed_model_id", b"\xff"),
        (b"serve-multiplexed-model-id", b"a"),
        (b"x-serve-router-target", b"a"),
    ]
    for header in told:
        assert seen({"type": "http", "headers": [header, *rest]})["headers"] == rest
    assert seen({"type": "http", "headers": [told[0], *rest, *told]})["headers"] == rest
    assert seen({"type": "http", "headers": rest})["headers"] is rest
    assert seen({"type": "lifespan"}) == {"type": "lifespan"}


@pytest.mark.parametrize("id_", [b"\xff\xfe", b"<script>", b"a b", b"a\tb", b"", b"a" * 129, b"a%0d%0ab"])
def test_a_request_id_that_is_none_is_not_handed_on(id_: bytes) -> None:
    host = (b"host", b"h")
    assert seen({"type": "http", "headers": [(b"x-request-id", id_), host]})["headers"] == [host]
    both = [(b"x-request-id", id_), (b"x-request-id", b"mine"), host]
    assert seen({"type": "http", "headers": both})["headers"] == both[1:]


def test_of_two_request_ids_the_first_counts() -> None:
    two = [(b"x-request-id", b"1"), (b"x-request-id", b"2")]
    assert seen({"type": "http", "headers": two})["headers"] == two[:1]


def test_serve_is_handed_a_list_of_middlewares() -> None:
    classes: list[Any] = [m.cls for m in middlewares()]
    assert classes == [BypassMiddleware, WithoutClientHeaders]
