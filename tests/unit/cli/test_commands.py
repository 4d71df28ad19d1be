"""`python -m app embed`, against a service that one can read; the real one is in `cluster`."""

import io
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.__main__ import main
from app.cli.session import report
from app.config.settings import ClientSettings
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.errors import InvalidRequest
from tests.support.command import LINES, World
from tests.support.serving import served
from tests.support.talking import SPACE, FakeService, error, vector_of

ROOT = Path(__file__).parents[3]


EXPECTED = np.array([vector_of(line) for line in LINES], np.float32)


def test_lines_to_a_matrix(world: World, lines: Path) -> None:
    code, out, err = world("embed", lines, "--out", "v.npy")
    assert code == 0, err
    np.testing.assert_array_equal(np.load("v.npy"), EXPECTED)
    assert json.loads(out) == {
        "rows": 700, "skipped": 0, "model": "makers/small", "space": SPACE, "dimensions": 3, "outputType": "float32",
        "tokens": 1400, "truncated": 0, "cacheHits": 3, "out": "v.npy",
    }  # fmt: skip
    assert err.startswith("700 rows in ")
    assert world.service.sizes("texts") == [256, 256, 188]


def test_truncated_texts_are_counted(world: World, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("\n".join(["a", "b" * 60, "c" * 70]))
    code, out, err = world("embed", "in.txt", "--out", "v.npy")
    assert (code, json.loads(out)["truncated"]) == (0, 2)
    told = "2 texts were longer than the model reads and were truncated"
    assert err.splitlines()[-1] == told
    assert told in world("search", "a", "in.txt")[2].splitlines()


def test_lines_to_parquet(world: World, lines: Path) -> None:
    assert world("embed", lines, "--out", "v.parquet")[0] == 0
    table = pq.read_table("v.parquet")
    assert table["text"].to_pylist() == LINES
    assert table["line"].to_pylist() == list(range(1, 701))
    np.testing.assert_array_equal(np.stack(table["embedding"].to_numpy()), EXPECTED)
    assert table.schema.metadata[b"embedding_space"] == SPACE.encode()


def test_columns_of_json_lines_are_kept(world: World, tmp_path: Path) -> None:
    rows = [{"id": i, "title": line} for i, line in enumerate(LINES[:5])]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert world("embed", "in.jsonl", "--column", "title", "--out", "v.jsonl", "--model", "m")[0] == 0
    found = [json.loads(line) for line in Path("v.jsonl").read_text().splitlines()]
    assert [{"id": row["id"], "title": row["title"]} for row in found] == rows
    np.testing.assert_array_equal([row["embedding"] for row in found], EXPECTED[:5])
    assert world.service.body(world.service.requests[0])["model"] == "m"


def test_csv_and_parquet_are_read(world: World, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('id,text\n1,"a, b"\n2,c\n')
    pq.write_table(pa.table({"text": ["a, b", "c"]}), "in.parquet")
    for name in ("in.csv", "in.parquet"):
        assert world("embed", name, "--out", "v.npy")[0] == 0
        np.testing.assert_array_equal(np.load("v.npy"), [vector_of("a, b"), vector_of("c")])


def test_a_folder_of_images(world: World, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for i in range(20):
        (tmp_path / "pictures" / f"{i:02}.png").write_bytes(bytes([65 + i]) * (i + 1))
    code, out, err = world("embed", "pictures", "--out", "v.parquet")
    assert (code, json.loads(out)["rows"]) == (0, 20), err
    table = pq.read_table("v.parquet")
    assert table["path"].to_pylist() == [f"{i:02}.png" for i in range(20)]
    np.testing.assert_array_equal(
        np.stack(table["embedding"].to_numpy()), [vector_of(bytes([65 + i]) * (i + 1)) for i in range(20)]
    )


def test_embed_from_stdin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert world("embed", "-", "--out", "v.npy")[0] == 0
    np.testing.assert_array_equal(np.load("v.npy"), [vector_of("one"), vector_of("two")])


def test_bad_rows_stop_or_are_left_out(world: World, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "one"}\n{bad\n{"text": ""}\n{"text": "four"}\n')
    code, out, err = world("embed", "in.jsonl", "--out", "v.npy")
    assert (code, out) == (1, "")
    assert "in.jsonl, line 2: not valid JSON" in err
    assert not Path("v.npy").exists()
    code, out, _ = world("embed", "in.jsonl", "--out", "v.npy", "--skip-bad")
    assert (code, json.loads(out)["rows"], json.loads(out)["skipped"]) == (0, 2, 2)
    np.testing.assert_array_equal(np.load("v.npy"), [vector_of("one"), vector_of("four")])


def test_items_that_the_service_refuses_are_skipped_and_named(world: World, tmp_path: Path) -> None:
    bad = {3, 4, 300, 699}
    (tmp_path / "in.txt").write_text("\n".join([*LINES[:650], "bad\0", *LINES[650:]]))

    def refuse(request: httpx.Request) -> httpx.Response | None:
        texts = world.service.body(request)["texts"]
        at = next((i for i, text in enumerate(texts) if text in {LINES[j] for j in bad}), None)
        return None if at is None else error(500, "not_finite", f"The vector of `texts.{at}` is NaN.", f"texts.{at}")

    world.service.script.extend([refuse] * 1000)
    code, out, err = world("embed", "in.txt", "--out", "v.npy")
    assert (code, out) == (1, "")
    code, out, err = world("embed", "in.txt", "--out", "v.npy", "--skip-bad", "--progress")
    summary = json.loads(out)
    assert (code, summary["rows"], summary["skipped"]) == (0, 696, 5)
    np.testing.assert_array_equal(np.load("v.npy"), [row for i, row in enumerate(EXPECTED) if i not in bad])
    skipped = sorted(line for line in err.replace("\r", "\n").splitlines() if line.startswith("Skipped"))
    places = [int(line.partition(", line ")[2].partition(":")[0]) for line in skipped]
    assert sorted(places) == [4, 5, 301, 651, 701]
    assert all("is NaN" in line or "NUL byte" in line for line in skipped)
    assert "701/701" in err


def test_all_rows_rejected_make_no_file(world: World, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": ""}\n{bad\n')
    code, out, err = world("embed", "in.jsonl", "--out", "v.parquet", "--skip-bad")
    assert (code, out, Path("v.parquet").exists()) == (1, "", False)
    assert "in.jsonl has no row that can be embedded" in err


def test_files_of_a_folder_are_read_or_named(world: World, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("one\n")
    (tmp_path / "in/b.docx").write_text("two\n")
    (tmp_path / "in/.c").write_text("three\n")
    code, out, err = world("embed", "in", "--out", "v.npy")
    assert (code, out) == (1, "")
    assert "in/b.docx: its suffix is unknown: it needs --format. Correct it, or pass --skip-bad." in err
    code, out, err = world("embed", "in", "--out", "v.npy", "--skip-bad")
    summary = json.loads(out)
    assert (code, summary["rows"], summary["skipped"], summary["hidden"]) == (0, 1, 1, [str(tmp_path / "in/.c")])
    assert "Skipped " in err
    assert "in/b.docx" in err


def test_int8_states_its_range(world: World, lines: Path) -> None:
    def quantized(request: httpx.Request) -> httpx.Response:
        found = FakeService()(request)
        found.headers["x-embedding-range"] = "-0.25,0.25"
        return found

    world.service.script.extend([quantized] * 3)
    code, out, _ = world("embed", lines, "--out", "v.parquet", "--output-type", "int8")
    assert (code, json.loads(out)["range"]) == (0, [-0.25, 0.25])
    assert json.loads(pq.read_schema("v.parquet").metadata[b"embedding_range"]) == [-0.25, 0.25]


@pytest.mark.parametrize("command", [("embed", "--out", "v.npy"), ("search",), ("embed-corpus", "--out", "v")])
@pytest.mark.parametrize("name", ["empty.parquet", "half.parquet", "lfs.parquet", "folder", "twice.csv"])
def test_broken_files_are_one_line_in_all_commands(
    command: tuple[str, ...], name: str, world: World, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"text": ["a", "b"]}), "good.parquet")
    Path("empty.parquet").touch()
    Path("half.parquet").write_bytes(Path("good.parquet").read_bytes()[:-50])
    Path("lfs.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    Path("twice.csv").write_text("id,text,text\n1,a,b\n")
    Path("folder").mkdir()
    for file in ("good.parquet", "half.parquet"):
        Path("folder", file).write_bytes(Path(file).read_bytes())
    if command[0] == "search" and name == "folder":
        pytest.skip("a folder is a corpus here")
    if command[0] == "embed-corpus":
        # Without its child process and without Ray.
        with pytest.raises(InvalidRequest) as refused:
            embed_corpus(name, "v", CorpusOptions(), in_process())
        code, err = report(refused.value), f"{refused.value}\n"
        world.capsys.readouterr()
    else:
        code, _, err = world(command[0], *(["x"] if command[0] == "search" else []), name, *command[1:])
    assert code == 2
    assert len(err.splitlines()) == 1
    assert ("half.parquet" if name == "folder" else name) in err
    assert not Path("v").exists()
    assert not Path("v.npy").exists()


def test_what_the_service_refuses_is_placed(world: World, lines: Path) -> None:
    refusal = error(413, "payload_too_large", "`texts.3` has 80,000 bytes.", "texts.3")
    world.service.script.append(lambda request: None)
    lines.write_text("\n".join([*LINES[:400], ""]))
    world.service.script[0] = lambda request: refusal if LINES[300] in request.content.decode() else None
    world.service.script.append(world.service.script[0])
    code, out, err = world("embed", lines, "--out", "v.npy")
    assert (code, out) == (1, "")
    assert f"{lines}, line 260: `texts.259` has 80,000 bytes. (request request-7)" in err
    assert not Path("v.npy").exists()


@pytest.mark.parametrize(
    ("argv", "script", "code", "words"),
    [
        (["embed", "none.txt", "--out", "v.npy"], [], 2, "none.txt: not found"),
        (["embed", "in.txt", "--out", "v.csv"], [], 2, "must end in .parquet, .jsonl, .npy"),
        (["embed", "in.txt", "--out", "none/v.npy"], [], 2, "no folder none"),
        (["embed", "in.jsonl", "--out", "v.npy", "--column", "t"], [], 2, "in.jsonl has no column 't'"),
        (
            ["embed", "in.txt", "--out", "v.npy"],
            [error(401, "unauthorized", "A key, please.")] * 2,
            2,
            "A key, please.",
        ),
        (["embed", "in.txt", "--out", "v.npy"], [error(500, "internal_error", "Ours.")] * 2, 1, "Ours."),
        (["search", "x", "in.txt"], [error(404, "model_not_found", "No such.", "model")], 2, "No such."),
        (["search", "x", "in.txt", "--format", "csv"], [], 2, "in.txt has no column 'text'"),
    ],
)
def test_error_messages_and_exit_codes(
    argv: list[str], script: list[httpx.Response], code: int, words: str, world: World, lines: Path
) -> None:
    Path("in.jsonl").write_text('{"text": "one"}\n')
    world.service.script.extend(script)
    found, out, err = world(*argv)
    assert (found, out) == (code, "")
    assert words in err
    assert "Traceback" not in err
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["in.jsonl", "in.txt"]


def test_unreachable_service(lines: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.client.AsyncEmbeddingClient._pause", staticmethod(_at_once))
    for url, words in [("http://127.0.0.1:9", "can't be reached"), ("127.0.0.1:9", "must begin with http")]:
        code = main(["embed", str(lines), "--out", str(lines.with_name("v.npy")), "--url", url])
        assert (code, words in capsys.readouterr().err) == (1 if "reached" in words else 2, True)
    assert [path.name for path in lines.parent.iterdir()] == ["in.txt"]


async def _at_once(seconds: float) -> None:
    pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_leaves_no_output_file(number: int, lines: Path, tmp_path: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(request: httpx.Request) -> httpx.Response:
        asked.set()
        go_on.wait(60)
        return httpx.Response(503)

    with served(slow) as url:
        argv = [sys.executable, "-m", "app", "embed", str(lines), "--out", str(tmp_path / "v.npy"), "--url", url]
        # A shell that put the tests into the background has them ignore Ctrl-C.
        process = subprocess.Popen(
            argv, cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        )
        assert asked.wait(60)
        assert [path.suffix for path in tmp_path.iterdir() if path.name != "in.txt"] == [".tmp"]
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        go_on.set()
    assert process.returncode == 128 + number
    assert b"Traceback" not in err
    assert (b"Interrupted; nothing was written." in err) == (number == signal.SIGINT)
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


def test_url_and_api_key_settings(monkeypatch: pytest.MonkeyPatch, world: World, lines: Path) -> None:
    for name in ("EMBEDDING_URL", "EMBEDDING_API_KEY", "HOST", "PORT"):
        monkeypatch.delenv(name, raising=False)
    assert ClientSettings.from_environment() == ClientSettings(url="http://127.0.0.1:3000", api_key=None)
    monkeypatch.setenv("PORT", "3999")
    assert ClientSettings.from_environment().url == "http://127.0.0.1:3999"
    monkeypatch.setenv("EMBEDDING_URL", world.url)
    monkeypatch.setenv("EMBEDDING_API_KEY", "from-environment")
    assert main(["search", "x", str(lines)]) == 0
    assert main(["search", "x", str(lines), "--api-key", "from-flag"]) == 0
    keys = {request.headers["authorization"] for request in world.service.requests}
    assert keys == {"Bearer from-environment", "Bearer from-flag"}
    assert "from-environment" not in repr(ClientSettings.from_environment())


def test_commands_work_anywhere(world: World, lines: Path) -> None:
    """No Serve config is needed to ask a service; the folder has none."""
    assert [path.name for path in Path.cwd().iterdir()] == ["in.txt"]
    assert world("embed", "in.txt", "--out", "v.npy")[0] == 0


def test_the_bar_is_for_terminals_or_on_demand(world: World, lines: Path) -> None:
    assert "it/s" not in (plain := world("embed", lines, "--out", "v.npy")[2])
    assert "700/700" not in plain
    shown: Any = world("embed", lines, "--out", "v.npy", "--progress")[2]
    assert "700/700" in shown
