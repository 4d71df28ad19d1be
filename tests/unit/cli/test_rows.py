import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli.rows import open_rows
from app.corpus.rows import Piece
from app.errors import InvalidRequest, PayloadTooLarge


def texts(name: str | Path, column: str = "text", given: Any = None) -> list[str]:
    with open_rows(str(name), column, given) as rows:
        return [text for piece in rows.pieces() for text in piece.texts]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def given(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return given


def test_stdin_is_lines_of_text(stdin: Any) -> None:
    stdin("one\r\n\ntwo words\n\u00e4".encode())
    assert texts("-") == ["one", "two words", "\u00e4"]


def test_stdin_in_another_format(stdin: Any) -> None:
    stdin(b'{"t": "one"}\n{"t": "two"}\n')
    assert texts("-", "t", "jsonl") == ["one", "two"]
    stdin(b'id,t\n1,"a, b"\n2,c\n')
    assert texts("-", "t", "csv") == ["a, b", "c"]


def test_endings_that_do_not_tell_need_a_format(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("one\ntwo\n")
    (tmp_path / "notes").write_text('{"text": "three"}\n')
    for name in ("notes.md", "notes"):
        with pytest.raises(
            InvalidRequest,
            match=r"no corpus; .*notes.*: its suffix is unknown: it needs --format\. Known suffixes: .parquet",
        ):
            texts(tmp_path / name)
    assert texts(tmp_path / "notes.md", given="text") == ["one", "two"]
    assert texts(tmp_path / "notes", given="jsonl") == ["three"]
    assert texts(tmp_path, given="text") == ['{"text": "three"}', "one", "two"]


def test_a_pipe_with_a_name_is_read_once(tmp_path: Path) -> None:
    import threading

    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("one\ntwo\n",))
    writer.start()
    assert texts(tmp_path / "pipe") == ["one", "two"]
    writer.join()


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("", "-", "standard input is empty"),
        ("\n \n", "-", "standard input is empty"),
        (None, "none.txt", "none.txt: not found"),
    ],
)
def test_missing_and_empty_files(content: str | None, name: str, words: str, stdin: Any) -> None:
    stdin((content or "").encode())
    with pytest.raises(InvalidRequest, match=words):
        texts(name)


def test_no_such_column(tmp_path: Path, stdin: Any) -> None:
    stdin(b'{"t": "one"}\n')
    with pytest.raises(InvalidRequest, match=r"standard input has no column 'text'\. Columns: t"):
        texts("-", given="jsonl")


def test_location_of_a_row_in_messages(tmp_path: Path, stdin: Any) -> None:
    stdin(b'{"text": "one"}\n\n{bad\n{"text": ""}\n{"text": "four"}\n')
    with open_rows("-", "text", "jsonl") as rows:
        pieces: list[Piece] = list(rows.pieces())
        [first, second] = pieces[0].rejects
        assert str(rows.rejection(first)).startswith("standard input, line 3: not valid JSON")
        assert str(rows.rejection(second)) == "standard input, line 4: 'text' is empty. Correct it, or pass --skip-bad."
        found = rows.with_location(PayloadTooLarge("`texts.1` has 80,000 bytes.", "texts.1"), pieces[0])
        assert str(found) == "standard input, line 5: `texts.1` has 80,000 bytes."
        other = PayloadTooLarge("words", "texts")
        assert rows.with_location(other, pieces[0]) is other
    assert rows.source.rows == 4
    (tmp_path / "a.txt").write_text("one\n")
    with open_rows(str(tmp_path / "a.txt"), "text", None) as rows:
        assert rows.location(str(tmp_path / "a.txt"), 1) == f"{tmp_path / 'a.txt'}, line 1"
