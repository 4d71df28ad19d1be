import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from app.corpus.vector_file import create_vector_file
from app.errors import InvalidRequest

ABOUT = {"embedding_model": "small", "embedding_space": "small@1"}


def write(
    path: Path,
    sizes: list[int],
    dtype: type = np.float32,
    names: Sequence[str] = ("text",),
    then: BaseException | None = None,
) -> NDArray[Any]:
    vectors: NDArray[Any] = np.arange(sum(sizes) * 3).reshape(-1, 3).astype(dtype)
    start = 0
    with create_vector_file(path) as file:
        for size in sizes:
            places = list(range(start, start + size))
            table = pa.table({"line": places, names[start % len(names)]: [f"t{i}" for i in places]})
            file.write(table, vectors[start : start + size], ABOUT)
            start += size
        if then is not None:
            raise then
    return vectors


@pytest.mark.parametrize("sizes", [[1], [4, 7, 2], [5000]])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint8])
def test_npy_vector_file(tmp_path: Path, sizes: list[int], dtype: type) -> None:
    vectors = write(tmp_path / "v.npy", sizes, dtype)
    found = np.load(tmp_path / "v.npy")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, vectors)
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy", mmap_mode="r"), vectors)


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_parquet_vector_file(tmp_path: Path, dtype: type) -> None:
    vectors = write(tmp_path / "v.parquet", [4, 7], dtype)
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["line", "text", "embedding"]
    np.testing.assert_array_equal(np.stack(table["embedding"].to_numpy()), vectors)
    assert np.stack(table["embedding"].to_numpy()).dtype == dtype
    assert table["text"].to_pylist() == [f"t{i}" for i in range(11)]
    assert table.schema.metadata == {k.encode(): v.encode() for k, v in ABOUT.items()}


def test_json_lines_vector_file(tmp_path: Path) -> None:
    vectors = write(tmp_path / "v.jsonl", [4, 7])
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == [f"t{i}" for i in range(11)]
    np.testing.assert_array_equal([row["embedding"] for row in rows], vectors)


@pytest.mark.parametrize("ending", [".npy", ".parquet", ".jsonl"])
@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_is_not_finished_leaves_nothing(tmp_path: Path, ending: str, fault: type[BaseException]) -> None:
    (tmp_path / f"v{ending}").write_text("before")
    with pytest.raises(fault):
        write(tmp_path / f"v{ending}", [1, 1], then=fault())
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(f"v{ending}", "before")]


def test_the_name_appears_with_the_whole(tmp_path: Path) -> None:
    with create_vector_file(tmp_path / "v.npy") as file:
        file.write(pa.table({"text": ["a"]}), np.ones((1, 3), np.float32), ABOUT)
        assert not (tmp_path / "v.npy").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["v.npy"]


def test_names_that_can_not_be(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidRequest, match=r"must end in \.parquet, \.jsonl, \.npy"),
        create_vector_file(tmp_path / "v.csv"),
    ):
        pass
    with pytest.raises(InvalidRequest, match="no folder"), create_vector_file(tmp_path / "none" / "v.npy"):
        pass


def test_columns_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="different columns"):
        write(tmp_path / "v.parquet", [1, 1], names=("text", "word"))
    assert list(tmp_path.iterdir()) == []
