"""The command's own doings, without Ray."""

import argparse
import json
import os
import threading
from pathlib import Path

import pytest

from app.__main__ import _parser, main
from app.cli.embed_corpus import bounded_start, chunk_rule, sparse_model
from app.config.args import ModelArgs
from app.config.settings import AppArgs
from app.corpus import search
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.errors import InvalidRequest
from app.service.chunks import ChunkRule
from tests.support.corpus_fakes import CountingModel, CountingSparseModel


def test_a_start_without_end_is_ended_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    left: list[int] = []
    over = threading.Event()

    def leave(code: int) -> None:
        left.append(code)
        over.set()

    with bounded_start(0, leave):
        assert over.wait(10)
    assert left == [1]
    assert "Ray did not start within 0 s. Run the same command again" in capsys.readouterr().err


def test_a_start_in_time_is_left_alone() -> None:
    left: list[int] = []
    with bounded_start(60, left.append) as started:
        started()
        [timer] = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
        timer.join(10)
        assert not timer.is_alive()
    assert left == []


def test_a_child_whose_parent_is_gone_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.system.processes.die_with_parent", lambda: None)
    assert main(["embed-corpus", "nothing.txt", "--out", "nowhere", "--here", str(os.getpid())]) == 1


def flags_of(*flags: str) -> argparse.Namespace:
    return _parser().parse_args(["embed-corpus", "in.jsonl", "--out", "out", *flags])


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ((), None),
        (("--chunks",), ChunkRule()),
        (("--chunks", "200", "--overlap", "0", "--by", "sentences"), ChunkRule(200, 0, "sentences")),
        (("--overlap", "20", "--chunks"), ChunkRule(None, 20)),
    ],
)
def test_chunks_are_asked_for(flags: tuple[str, ...], rule: ChunkRule | None) -> None:
    assert chunk_rule(flags_of(*flags)) == rule


@pytest.mark.parametrize("flags", [("--overlap", "3"), ("--overlap", "0"), ("--by", "tokens")])
def test_how_to_cut_needs_chunks(flags: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest, match=f"{flags[0]} needs --chunks"):
        chunk_rule(flags_of(*flags))


@pytest.mark.parametrize("flags", [("--chunks", "0"), ("--chunks", "--overlap", "-1"), ("--by", "words")])
def test_what_no_chunk_has_is_refused(flags: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        flags_of(*flags)


def test_a_sparse_model_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = AppArgs(sparse_models=[ModelArgs(id="makers/splade", batch_size=9)])
    for name in ("splade", "makers/splade"):
        assert sparse_model(flags_of("--model", name), args) == args.sparse_models[0]
    found = sparse_model(flags_of("--model", "splade", "--batch-size", "3"), args)
    assert found is not None
    assert found.batch_size == 3
    for flags in ((), ("--model", "all-MiniLM-L6-v2")):
        assert sparse_model(flags_of(*flags), args) is None
    # Folders of one name are two models.
    for name in ("one/model", "two/model"):
        (tmp_path / name).mkdir(parents=True)
    args = AppArgs(sparse_models=[ModelArgs(id=str(tmp_path / "one/model"))])
    monkeypatch.chdir(tmp_path)
    for name in ("one/model", "./one/model/", str(tmp_path / "one/model"), "model"):
        assert sparse_model(flags_of("--model", name), args) == args.sparse_models[0]
    assert sparse_model(flags_of("--model", "two/model"), args) is None


def test_two_corpora_are_fused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["cat dog", "ant", "cat", "elephant"]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"id": i, "text": text}) for i, text in enumerate(texts)))
    models = {"text": CountingModel(), "sparse": CountingSparseModel()}
    for kind, model in models.items():
        options = CorpusOptions(sparse=kind == "sparse")
        embed_corpus(str(tmp_path / "in.jsonl"), str(tmp_path / kind), options, in_process(model.load))
    monkeypatch.setattr(search.encode_query, "__defaults__", (lambda args, kind, *_: models[kind], None))
    both = [str(tmp_path / "text"), "--sparse", str(tmp_path / "sparse"), "--top-k", "3"]
    assert main(["search", "ant", *both]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3
    assert lines[0] == {"score": round(2 / 61, 6), "ranks": {"dense": 1, "sparse": 1}, "id": 1, "text": "ant"}
    assert [{*line["ranks"]} for line in lines[1:]] == [{"dense"}, {"dense"}]
    assert main(["search", "cat", str(tmp_path / "sparse")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"score": 18, "id": 0, "text": "cat dog"}, {"score": 18, "id": 2, "text": "cat"}]
    assert main(["search", "cat", str(tmp_path / "sparse"), "--sparse", str(tmp_path / "text")]) == 2
    assert "beside one of a text model" in capsys.readouterr().err
    assert main(["search", "cat", str(tmp_path / "in.jsonl"), "--sparse", str(tmp_path / "sparse")]) == 2
    assert "--sparse is for a corpus" in capsys.readouterr().err
