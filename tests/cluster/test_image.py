"""`POST /embed/image` over real HTTP, with shapes-clip behind it."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from examples.shapes import held_out
from loadtests.pictures import b64, encode, file_of, fresh_seed, picture
from tests.support.caching import both_write, stored

JPEG_LIMIT = 10 * 2**20


def embed(client: httpx.Client, images: list[Any], **options: Any) -> dict[str, Any]:
    answer = client.post("/embed/image", json={"images": images, **options})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_every_way_in_gives_the_same_vector(client: httpx.Client, image_folder: Path) -> None:
    data = file_of(picture(fresh_seed()))
    (image_folder / "deep").mkdir(exist_ok=True)
    (image_folder / "deep" / "picture.png").write_bytes(data)
    ways = [f"data:image/png;base64,{b64(data)}", b64(data), "./deep/picture.png", {"path": "deep/picture.png"}]
    body = embed(client, ways)
    assert body["model"] == "shapes-clip"
    assert body["dimensions"] == len(body["embeddings"][0])
    assert body["embeddings"] == [body["embeddings"][0]] * 4
    assert abs(np.linalg.norm(body["embeddings"][0]) - 1) < 1e-3
    upload = client.post("/embed/image", files=[("images", ("x.png", data, "image/png"))]).json()
    assert upload["embeddings"] == body["embeddings"][:1]


def test_the_same_pixels_hit_whatever_file_they_come_in(client: httpx.Client) -> None:
    image = picture(fresh_seed())
    both_write(client)
    with stored(client, 1):
        assert embed(client, [b64(file_of(image, "PNG"))])["cached"] is False
    assert embed(client, [b64(file_of(image, "BMP"))])["cached"] is True
    answer = client.post("/embed/image", files=[("images", ("x.webp", encode_lossless(image), "image/webp"))])
    assert answer.json()["cached"] is True


def encode_lossless(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def test_near_equal_pictures_of_one_size_never_hit(client: httpx.Client) -> None:
    image = picture(fresh_seed())
    other = image.copy()
    red, green, blue = image.getpixel((7, 7))  # type: ignore[misc]
    other.putpixel((7, 7), (red ^ 1, green, blue))
    both_write(client)
    with stored(client, 1):
        embed(client, [b64(file_of(image))])
    assert embed(client, [b64(file_of(other))])["cached"] is False
    # The same bytes of pixels in another shape are another picture.
    turned = Image.frombytes("RGB", (image.height, image.width), image.tobytes())
    assert embed(client, [b64(file_of(turned))])["cached"] is False


def test_answers_name_the_stand_in(client: httpx.Client) -> None:
    body = embed(client, [b64(file_of(picture(1)))])
    assert "openai/clip-vit-base-patch32 is not available" in body["note"]
    assert "shapes-clip" in body["note"]
    health = client.get("/health").json()
    assert health["status"] == "degraded"
    assert any("shapes-clip" in reason for reason in health["reasons"])


def test_normalize_false_gives_the_models_own_output(client: httpx.Client) -> None:
    image = b64(file_of(picture(fresh_seed())))
    own, unit = (np.array(embed(client, [image], normalize=flag)["embeddings"][0]) for flag in (False, True))
    assert abs(np.linalg.norm(own) - 1) > 1e-3
    assert np.abs(own / np.linalg.norm(own) - unit).max() < 1e-5


@pytest.mark.parametrize("unseen", [None, True])
def test_words_find_pictures_and_pictures_find_words(client: httpx.Client, unseen: bool | None) -> None:
    """Recall@1 among 32; shape-colour pairs that training never showed may do a little worse."""
    found_images = found_texts = total = 0
    for seed in (101, 102):
        examples = held_out(seed, 32, unseen=unseen)
        images = np.array(embed(client, [b64(file_of(image)) for image, _, _ in examples])["embeddings"])
        answer = client.post("/embed/text", json={"texts": [text for _, text, _ in examples], "model": "shapes-clip"})
        texts = np.array(answer.json()["embeddings"])
        scores = texts @ images.T
        found_images += int((scores.argmax(1) == np.arange(32)).sum())
        found_texts += int((scores.argmax(0) == np.arange(32)).sum())
        total += 32
    least = 0.7 if unseen else 0.9
    assert min(found_images, found_texts) / total >= least, (found_images, found_texts, total)


@pytest.mark.parametrize(
    ("images", "status", "code", "param", "words"),
    [
        ("x", 400, "invalid_request", "images", "must be a list"),
        ([], 400, "invalid_request", "images", "must not be empty"),
        (["zzzz"], 400, "invalid_image", "images.0", "not a PNG, JPEG, WebP, GIF, BMP"),
        ([None], 400, "invalid_item", "images.0", "data URI, base64"),
        (["http://127.0.0.1/x.png"], 400, "invalid_image", "images.0", "URLs are disabled"),
        (["./../secret.png"], 400, "invalid_image", "images.0", "No image can be read"),
        ([{"path": "/etc/passwd"}], 400, "invalid_image", "images.0", "No image can be read"),
        (["A" * (JPEG_LIMIT * 3 // 2)], 413, "payload_too_large", "images.0", "at most"),
    ],
)
def test_bad_images_are_named(
    client: httpx.Client, images: Any, status: int, code: str, param: str, words: str
) -> None:
    answer = client.post("/embed/image", json={"images": images})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), answer.text
    assert words in error["message"]


def test_a_bomb_is_refused_by_its_header(client: httpx.Client) -> None:
    huge = encode(Image.new("1", (20_000, 20_000)), "PNG")
    answer = client.post("/embed/image", json={"images": [b64(huge)]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (413, "images.0")


def test_too_many_images(client: httpx.Client) -> None:
    answer = client.post("/embed/image", json={"images": [b64(file_of(picture(2)))] * 33})
    assert (answer.status_code, answer.json()["error"]["param"]) == (413, "images")
    files = [("images", ("x.png", file_of(picture(2)), "image/png"))] * 33
    assert client.post("/embed/image", files=files).status_code == 413


def test_upload_mistakes_are_told(client: httpx.Client) -> None:
    data = file_of(picture(3))
    wrong = client.post("/embed/image", files={"file": ("x.png", data, "image/png")})
    assert (wrong.status_code, "`images`" in wrong.json()["error"]["message"]) == (400, True)
    none = client.post("/embed/image", files={"images": ("x.png", b"", "image/png")})
    assert (none.status_code, none.json()["error"]["param"]) == (400, "images.0")
    broken = client.post("/embed/image", content=b"x", headers={"content-type": "multipart/form-data"})
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_request")
    typed = client.post("/embed/image", content=b"x", headers={"content-type": "image/png"})
    assert (typed.status_code, "multipart/form-data" in typed.json()["error"]["message"]) == (415, True)
