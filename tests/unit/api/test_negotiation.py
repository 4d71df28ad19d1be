import pytest

from tests.support.calling import Service, error_of

JSON, OCTETS, NPY = "application/json", "application/octet-stream", "application/x-npy"


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (OCTETS, OCTETS),
        (NPY, NPY),
        ("APPLICATION/X-NPY", NPY),
        (f"{OCTETS}, */*", OCTETS),
        (f"*/*, {OCTETS}", OCTETS),
        (f"application/*, {NPY}", NPY),
        (f"{JSON}, text/plain, */*", JSON),
        (f"{JSON}, {OCTETS}", JSON),
        (f"{OCTETS}, {JSON}", OCTETS),
        (f"{JSON};q=0.5, {OCTETS};q=0.4, {NPY};q=0.6", NPY),
        (f"{OCTETS};q=0.2, */*;q=0.1", OCTETS),
        (f"{OCTETS};q=0.2, */*;q=0.9", JSON),
        (f"{JSON};q=0, */*", OCTETS),
        (f"{JSON} ; charset=utf-8 ; Q=0.3, {NPY};q=0.2", JSON),
        (f"{NPY};q=much, text/html;q=0.1, {OCTETS};q=0.1", OCTETS),
        (f"{NPY};q=7", JSON),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
    ],
)
def test_negotiate_preferred_media_type(accept: str | None, answer: str) -> None:
    headers = {} if accept is None else {"accept": accept}
    got = Service().post("/embed/text", json={"texts": ["a"]}, headers=headers)
    assert (got.status_code, got.headers["content-type"]) == (200, answer)


def test_several_lines_are_one_list() -> None:
    headers = [("accept", f"{JSON};q=0.1"), ("accept", NPY)]
    assert Service().post("/embed/text", json={"texts": ["a"]}, headers=headers).headers["content-type"] == NPY


@pytest.mark.parametrize("accept", ["text/html", "application/npy", f"{JSON};q=0", "image/*", "*/*;q=0"])
def test_what_can_not_be_served_is_refused_before_any_work(accept: str) -> None:
    service = Service()
    answer = service.post("/embed/text", json={"texts": ["a"]}, headers={"accept": accept})
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == (406, "not_acceptable", "accept")
    assert f"{JSON}, {OCTETS}, {NPY}" in error["message"]
    assert service.embeddings.encoders["makers/small-model"].calls == []  # type: ignore[attr-defined]
