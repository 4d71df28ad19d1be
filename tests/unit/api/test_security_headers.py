import re
from pathlib import Path

import pytest

import app
from app.api.middleware.security_headers import POLICY, SHOWN, security_headers
from tests.support.calling import Service, error_of

PAGE, OPENAI = "https://page.example", "/v1/embeddings"
PREFLIGHT = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}


def test_no_other_origin_by_default() -> None:
    service = Service()
    assert service.request("OPTIONS", "/embed/text", headers=PREFLIGHT).status_code == 405
    answer = service.post("/embed/text", json={"texts": ["a"]}, headers={"origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_origins_of_the_settings_may_call_and_read_errors_too() -> None:
    service = Service(settings={"cors_origins": (PAGE,)})
    answer = service.request("OPTIONS", "/embed/text", headers=PREFLIGHT)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "access-control-allow-credentials" not in answer.headers
    for body, status in (({"texts": ["a"]}, 200), ({}, 400)):
        answer = service.post("/embed/text", json=body, headers={"origin": PAGE})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
    other = service.post("/embed/text", json={"texts": ["a"]}, headers={"origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_page_may_call_a_service_at_a_private_address() -> None:
    """Chrome asks for it in the preflight that it sends anyway."""
    for origins, origin in (((PAGE,), PAGE), (("*",), "*")):
        service = Service(settings={"cors_origins": origins})
        asked = PREFLIGHT | {"access-control-request-private-network": "true"}
        answer = service.request("OPTIONS", "//embed/text/", headers=asked)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        assert answer.headers["access-control-allow-private-network"] == "true"
    other = service.request("OPTIONS", "/embed/text", headers=PREFLIGHT | {"access-control-request-method": "PUT"})
    assert other.status_code == 400


@pytest.mark.parametrize("names", ["X-Stainless-Lang, x-stainless-os", "authorization", "*", "", "x y", "a" * 2000])
def test_pages_may_send_the_headers_that_they_ask_for(names: str) -> None:
    service = Service(settings={"cors_origins": (PAGE,)})
    answer = service.request("OPTIONS", OPENAI, headers=PREFLIGHT | {"access-control-request-headers": names})
    assert (answer.status_code, answer.headers["access-control-allow-headers"]) == (200, names)


def test_pages_may_read_every_header_that_the_service_gives_of_its_own() -> None:
    source = "".join(file.read_text() for file in Path(app.__file__).parent.rglob("*.py"))
    own = set(re.findall(r"x-embedding-[a-z]+(?:-[a-z]+)*", source))
    assert own >= {"x-embedding-max-items", "x-embedding-method", "x-embedding-ignored-fields"}
    assert own <= set(SHOWN)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_foreign_page_empties_no_cache_where_nobody_is_asked_for_a_key(site: str) -> None:
    service = Service()
    answer = service.post("/cache/clear", headers={"sec-fetch-site": site, "origin": PAGE})
    assert (answer.status_code, error_of(answer)["code"], service.control.clears) == (403, "forbidden", 0)
    assert service.get("/health", headers={"sec-fetch-site": site}).status_code == 200
    for fine in ({"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {}):
        assert service.post("/cache/clear", headers=fine).status_code == 200
    allowed = Service(settings={"cors_origins": (PAGE,)})
    assert allowed.post("/cache/clear", headers={"sec-fetch-site": site, "origin": PAGE}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_run_nothing_but_our_own_files(path: str) -> None:
    page = Service().get(path)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/docs"])
def test_types_are_never_guessed(path: str) -> None:
    answer = Service().get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ("content-security-policy" in answer.headers) == (path == "/docs")


def test_a_page_that_says_nothing_of_itself_gets_the_policy() -> None:
    headers = dict(security_headers([(b"content-type", b"text/html; charset=utf-8")]))
    assert headers[b"content-security-policy"] == POLICY.encode()
    assert "unsafe" not in POLICY
    assert headers[b"x-frame-options"] == b"DENY"
