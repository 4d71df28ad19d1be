from pathlib import Path

import pytest

from examples import corpus, corpus_faiss


def test_alice_has_the_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus.main(str(tmp_path / "alice"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "12 passages, 12 embedded now"
    best = dict(zip(lines[1::2], lines[2::2], strict=True))
    assert "took a watch out of its waistcoat-pocket" in best[corpus.QUESTIONS[0]]
    assert "took down a jar" in best[corpus.QUESTIONS[1]]


def test_faiss_finds_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus.main(str(tmp_path / "alice"))
    own = capsys.readouterr().out.splitlines()[1:]
    corpus_faiss.main(str(tmp_path / "alice"))
    assert capsys.readouterr().out.splitlines() == own
