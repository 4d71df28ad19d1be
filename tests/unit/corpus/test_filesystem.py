"""Files that appear whole or not at all."""

from pathlib import Path

import pytest

from app.corpus.filesystem import locate


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt(), SystemExit(143)])
def test_what_fails_halfway_leaves_the_file_as_it_was_and_nothing_beside_it(
    tmp_path: Path, failure: BaseException
) -> None:
    place = locate(str(tmp_path / "out.npy"))
    place.write(b"before")

    def half() -> None:
        with place.writing("out.npy") as file:
            file.write(b"half")
            raise failure

    with pytest.raises(type(failure)):
        half()
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("out.npy", b"before")]
