from dataclasses import replace
from io import BytesIO
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np
import pytest

from app.vectors.quantization import bound
from tests.support.calling import Service, error_of
from tests.support.service_fakes import MODEL, FakeEncoder

OCTETS, NPY = "application/octet-stream", "application/x-npy"
TEXTS = ["a", "bb bb", "c " * 9, "a"]


def ask(accept: str, service: Service | None = None, texts: list[str] = TEXTS, **options: Any) -> httpx.Response:
    answer = (service or Service()).post("/embed/text", json={"texts": texts} | options, headers={"accept": accept})
    assert answer.status_code == 200, answer.text
    return answer


def named(id_: str, note: str) -> Service:
    encoder = FakeEncoder(id_)
    assert encoder.state.info is not None
    encoder.state = replace(encoder.state, info=replace(encoder.state.info, note=note))
    return Service(encoder)


def matrix(answer: httpx.Response) -> Any:
    shape = [int(size) for size in answer.headers["x-embedding-shape"].split(",")]
    dtype = np.dtype(answer.headers["x-embedding-dtype"]).newbyteorder("<")
    return np.frombuffer(answer.content, dtype).reshape(shape)


@pytest.mark.parametrize("normalize", [True, False])
def test_bytes_are_the_numbers_of_the_json_answer(normalize: bool) -> None:
    told = ask("application/json", normalize=normalize).json()["embeddings"]
    rows = matrix(ask(OCTETS, normalize=normalize))
    assert (rows.shape, rows.dtype.name) == ((4, 3), "float32")
    assert rows.tobytes() == np.array(told, np.float32).tobytes()
    file = np.load(BytesIO(ask(NPY, normalize=normalize).content))
    assert (file.tobytes(), file.dtype, file.flags.c_contiguous) == (rows.tobytes(), np.dtype("<f4"), True)


@pytest.mark.parametrize("output", ["int8", "uint8"])
def test_small_integers(output: str) -> None:
    told = ask("application/json", outputType=output).json()
    answer = ask(OCTETS, outputType=output)
    assert answer.headers["x-embedding-dtype"] == output
    assert matrix(answer).tolist() == told["embeddings"]
    low, high = map(float, answer.headers["x-embedding-range"].split(","))
    assert [low, high] == told["range"] == [-bound(3), bound(3)]
    assert np.load(BytesIO(ask(NPY, outputType=output).content)).tolist() == told["embeddings"]


def test_headers_say_what_json_says() -> None:
    service = Service()
    ask(OCTETS, service, ["bb bb"])
    headers = ask(OCTETS, service).headers
    about = {name: value for name, value in headers.items() if name.startswith("x-embedding-")}
    assert about == {
        "x-embedding-shape": "4,3",
        "x-embedding-dtype": "float32",
        "x-embedding-model": MODEL,
        "x-embedding-dimensions": "3",
        "x-embedding-space": f"{MODEL}@print of makers/",
        "x-embedding-tokens": "12",
        "x-embedding-cache-hits": "1",
        "x-embedding-truncated": "2",
    }
    assert headers["server-timing"].startswith("decode")
    assert "x-embedding-truncated" not in ask(OCTETS, texts=["a"]).headers


def test_names_and_notes_survive_headers() -> None:
    service = named("/models/größe", "größer: 100 % of it\nserves")
    headers = ask(OCTETS, service).headers
    assert unquote(headers["x-embedding-note"]) == "größer: 100 % of it\nserves"
    assert unquote(headers["x-embedding-model"]) == "/models/größe"
    assert headers["x-embedding-note"].isascii()


def test_many_truncated_texts_are_told_in_lines_that_clients_take() -> None:
    texts = [f"{i} " * 9 for i in range(2048)]
    lines = ask(OCTETS, texts=texts).headers.get_list("x-embedding-truncated")
    assert [int(index) for line in lines for index in line.split(",")] == list(range(2048))
    assert max(map(len, lines)) < 8000


def test_more_truncated_texts_than_headers_can_name() -> None:
    body = {"texts": [f"{i} " * 9 for i in range(2049)]}
    service = Service(texts=3000)
    answer = service.post("/embed/text", json=body, headers={"accept": NPY})
    assert (answer.status_code, error_of(answer)["code"]) == (406, "not_acceptable")
    assert len(service.post("/embed/text", json=body).json()["truncated"]) == 2049


def test_errors_stay_json() -> None:
    answer = Service().post("/embed/text", json={"texts": [""]}, headers={"accept": OCTETS})
    assert (answer.status_code, error_of(answer)["param"]) == (400, "texts.0")
