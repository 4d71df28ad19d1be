import base64
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidImage, InvalidItem, PayloadTooLarge, ServiceError
from app.images import sources
from loadtests.pictures import encode, limits, noise

LIMITS = limits()
JPEG = encode(noise(), "JPEG")
# 0xFB 0xEF 0xBE is "++++" or "----", 0xFF "////" or "____".
ODD = b"\xfb\xef\xbe\xff\xff\xff!"


def load(entry: object, folder: Path | None = None, **changes: int) -> bytes:
    return sources.load(entry, folder=folder, limits=limits(**changes), param="images.2")


def refused(entry: object, error: type[ServiceError] = InvalidImage, **changes: int) -> str:
    with pytest.raises(error) as caught:
        load(entry, None, **changes)
    assert caught.value.param == "images.2"
    return caught.value.message


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ("./a.png", "path"),
        ("./", "path"),
        ({"path": "a.png"}, "path"),
        ("http://example.org/a.png", "url"),
        ("HTTPS://example.org/a.png", "url"),
        ({"url": "ftp://example.org/a.png"}, "url"),
        ({"url": "./a.png"}, "url"),
        ({"url": "data:image/png;base64,AA=="}, "data"),
        ({"image_url": "https://example.org/a.png"}, "url"),
        ({"image_url": {"url": "https://example.org/a.png", "detail": "low"}}, "url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}, "data"),
        ("data:image/png;base64,AA==", "data"),
        ("DATA:,", "data"),
        ("/9j/4AAQ", "base64"),
        ("/etc/passwd", "base64"),
        ("../a.png", "base64"),
        ("a.png", "base64"),
        ("file:///etc/passwd", "base64"),
        (" ./a.png", "base64"),
        ("", "base64"),
    ],
)
def test_what_an_entry_is(entry: object, kind: str) -> None:
    assert sources.parse(entry, param="p")[0] == kind


@pytest.mark.parametrize(
    "entry", [None, 1, b"", [], ["./a"], {}, {"path": 1}, {"file": "a"}, {"path": "a", "url": "b"}, {1: "a"}]
)
def test_entries_that_are_none(entry: object) -> None:
    assert "data URI" in refused(entry, InvalidItem)


def test_base64_in_every_spelling() -> None:
    plain = base64.b64encode(JPEG).decode()
    assert plain.startswith("/9j/")
    assert load(plain) == JPEG
    assert load(plain.rstrip("=")) == JPEG
    assert load(base64.encodebytes(JPEG).decode()) == JPEG
    assert load("\r\n\t " + plain[:5] + " " + plain[5:] + "\n") == JPEG
    for data in (ODD, ODD + b"x", ODD + b"xy"):
        for code in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
            assert load(code.decode()) == load(code.decode().rstrip("=")) == data


@pytest.mark.parametrize(
    "entry",
    [
        "A",
        "AAAAA",
        "AA=",
        "AA===",
        "AAA==",
        "AAAA=",
        "AA==AAAA",
        "=AAA",
        "A=AA",
        "AA$A",
        "AAA\0",
        "AA\x0bA",
        "AAAÄ",
        "AAA\ud800",
        "AA%3D%3D",
        "++--",
        "//__",
        "file:///etc/passwd",
        "../../etc/passwd",
    ],
)
def test_base64_is_strict(entry: str) -> None:
    assert refused(entry).startswith("This is not base64.")


@pytest.mark.parametrize("entry", ["", "=", "====", "  \n", "data:image/png;base64,", "data:image/png;base64,%0A"])
def test_empty_images(entry: str) -> None:
    assert refused(entry) == "The image is empty."


def test_data_uris() -> None:
    plain = base64.b64encode(JPEG).decode()
    quoted = plain.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D")
    for uri in (
        f"data:image/jpeg;base64,{plain}",
        f"DATA:Image/JPEG;name=a.jpg;BASE64,{plain}",
        f"data:image/jpeg; base64,{plain}",
        f"data:image/jpeg;base64,{quoted}",
        f"data:image/x-whatever;base64,{plain[:40]}%0D%0A{plain[40:]}\n",
        f"data:;base64,{plain}",
        f"DATA:; BASE64,{plain}",
        f"data:application/octet-stream;base64,{plain}",
        f"data:binary/octet-stream;name=a.jpg;base64,{plain}",
        f"data:text/plain;base64,{plain}",
    ):
        assert load(uri) == JPEG


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("data:", "comma"),
        ("data:image/png;base64", "comma"),
        ("data:" + "a" * 300 + ",AAAA", "comma"),
        ("data:,AAAA", "must be base64"),
        ("data:base64,AAAA", "must be base64"),
        ("data:image/png,AAAA", "must be base64"),
        ("data:image/png;base64;name=a,AAAA", "must be base64"),
        ("data:image/svg+xml;utf8,<svg/>", "must be base64"),
        ("data:image/png;base64,AA%41A", "not base64"),
        ("data:image/png;base64,AA%", "not base64"),
    ],
)
def test_data_uris_are_strict(uri: str, words: str) -> None:
    assert words in refused(uri)


def test_size_is_known_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = base64.b64encode(b"x" * 1000).decode()
    over = base64.b64encode(b"x" * 1001).decode()
    assert len(load(exact, image_bytes=1000)) == 1000
    monkeypatch.setattr("binascii.a2b_base64", lambda *_, **__: pytest.fail("decoded"))
    for code in (over, over.rstrip("="), "\n".join(over), "data:image/png;base64," + over):
        assert (
            refused(code, PayloadTooLarge, image_bytes=1000)
            == "The image has too many bytes; at most 1,000 are allowed."
        )


def test_long_texts_are_not_looked_at() -> None:
    # Not base64, but nobody reads that far.
    assert "bytes" in refused("ü" * 10_000, PayloadTooLarge, image_bytes=1000)
    began = time.process_time()
    refused("data:image/png;base64," + "%41" * 4_000_000)
    # Of this process, not of the wall: reading it all takes many times as long, on any machine.
    assert time.process_time() - began < 2


@pytest.mark.parametrize("entry", ["http://10.0.0.1/a.png", "https://example.org/a.png", "http", {"url": "x"}])
def test_urls_are_off(entry: object) -> None:
    message = refused(entry)
    assert message.startswith("Image URLs are disabled")
    assert "example" not in message


@pytest.mark.parametrize("entry", ["./a.png", {"path": "a.png"}, "./../a.png", {"path": "/etc/passwd"}])
def test_paths_are_off_until_configured(entry: object) -> None:
    assert refused(entry) == "Image paths are disabled; set IMAGE_FOLDER to enable paths beneath that folder."


def test_image_paths(tmp_path: Path) -> None:
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path" / "to" / "image.jpg").write_bytes(JPEG)
    assert load("./path/to/image.jpg", tmp_path) == JPEG
    assert load({"path": "path/to/image.jpg"}, tmp_path) == JPEG


TEXTS = st.one_of(
    st.text(max_size=80),
    st.text("ABCDabcd0123+/-_= \n%", max_size=80),
    st.builds("data:{};base64,{}".format, st.text(max_size=20), st.text("ABab01+/=%2BF", max_size=60)),
    st.builds("./{}".format, st.text("./a\0\ud800", max_size=20)),
)


@settings(max_examples=300)
@given(TEXTS)
def test_any_text_is_bytes_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    try:
        data = sources.load(text, folder=tmp_path_factory.getbasetemp(), limits=LIMITS, param="images.0")
    except ServiceError as error:
        assert 400 <= error.status < 500  # noqa: PT017
        assert error.param == "images.0"  # noqa: PT017
    else:
        assert data


@pytest.mark.parametrize(
    "entry",
    [
        {"image_url": 1},
        {"image_url": {}},
        {"image_url": {"url": 1}},
        {"image_url": {"image_url": "https://example.org/a.png"}},
        {"type": "text", "image_url": "https://example.org/a.png"},
        {"image_url": "https://example.org/a.png", "path": "./a.png"},
    ],
)
def test_items_of_a_chat_that_are_none(entry: object) -> None:
    assert "data URI" in refused(entry, InvalidItem)
