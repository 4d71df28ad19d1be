"""What the benchmarks compute themselves; what they measure is theirs to say."""

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtests import bench, bench_fairness, bench_peers, workloads
from loadtests.bench_peers import Result, Row
from loadtests.measuring import Run, percentile_ms
from loadtests.systems import System, peers, write_results

OURS = System("ours", 1, 1, "/embed/text", "/embed/image", "text", "image")
PEER = System("peer", 2, 2, "/embeddings", "/embeddings", "text", "image")


def test_no_text_is_made_twice() -> None:
    texts = [*workloads.mid(300), *workloads.short(300), *workloads.mixed(300, 1), *workloads.mixed(300, 1)]
    assert len(set(texts)) == 1200


def test_mixed_lengths_are_spread() -> None:
    words = sorted(len(text.split()) for text in workloads.mixed(2000, 7))
    assert words[0] <= 6
    assert 25 <= words[1000] <= 36
    assert 150 <= words[-1] <= 241


def test_zipf_prefers_the_first() -> None:
    counts = Counter(workloads.zipf(20_000, 100, 3))
    assert set(counts) <= set(range(100))
    assert counts[0] > 1.7 * counts[1] > 0
    assert counts[0] == pytest.approx(20_000 / sum(1 / k for k in range(1, 101)), rel=0.05)


def test_pictures_differ_and_have_their_size() -> None:
    first, second = workloads.jpegs(2, (64, 48))
    assert first != second
    assert first.startswith(b"\xff\xd8")


@pytest.mark.parametrize(("percentile", "expected"), [(50, 50.0), (99, 99.0), (100, 100.0), (1, 1.0)])
def test_percentiles_by_nearest_rank(percentile: float, expected: float) -> None:
    assert percentile_ms([n / 1e3 for n in range(100, 0, -1)], percentile) == pytest.approx(expected)


def test_a_run_counts_by_wall_time() -> None:
    run = Run([0.1, 0.3], 0.2, 0.5)
    assert [run.per_s, run.mean_ms] == pytest.approx([10, 200])


def test_each_system_is_asked_in_its_own_words() -> None:
    assert orjson.loads(OURS.texts(["a"])) == {"texts": ["a"]}
    assert orjson.loads(PEER.texts(["a"])) == {"model": "text", "input": ["a"]}
    assert orjson.loads(OURS.images(["data:x"])) == {"images": ["data:x"]}
    assert orjson.loads(PEER.images(["data:x"])) == {"model": "image", "input": ["data:x"], "modality": "image"}


def test_ratios_are_of_each_turn_and_then_the_median() -> None:
    row = Row("work", lambda system: {}, None, "p50")
    result = Result(row, {"ours": [{"p50": 1}, {"p50": 10}, {"p50": 3}], "peer": [{"p50": 2}, {"p50": 20}, {"p50": 3}]})
    assert result.ratio("peer", "p50") == 0.5
    assert result.median("ours", "p50") == 3
    assert result.ratio("nobody", "p50") is None
    table = bench_peers.text_table([result], ["peer", "nobody"])
    assert table.splitlines()[-1] == "| work | 3.00 | 3.00 | 0.50 | – | – |"


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ([], "peers"),
        (["--only", "JPEG"], "peers JPEG"),
        (["--precision", "f32", "--random", "base", "--only", "tokens"], "peers base f32 tokens"),
    ],
)
def test_some_rows_of_the_peers_do_not_take_the_place_of_all(flags: list[str], name: str) -> None:
    assert bench_peers.results_name(bench_peers.arguments(flags)) == name


def test_benchmarks_write_beside_one_another(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    for name, figures in (("one", {"a": 1}), ("two", {"b": 2}), ("one", {"a": 3})):
        write_results(file, name, figures)
    results: dict[str, Any] = orjson.loads(file.read_bytes())
    assert results == {"one": {"a": 3}, "two": {"b": 2}}


def test_make_bench_runs_all_parts_and_its_sisters_one() -> None:
    assert bench.arguments([]).parts == ["core", "batch", "cache"]
    assert bench.arguments(["cache"]).parts == ["cache"]
    with pytest.raises(SystemExit):
        bench.arguments(["nothing"])


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/embed", {"inputs": ["a"], "truncate": True}),
        ("/v1/embeddings", {"model": "text", "input": ["a"]}),
        ("/embeddings", {"model": "text", "input": ["a"]}),
    ],
)
async def test_a_server_that_runs_is_asked_until_it_answers(path: str, asked: dict[str, Any]) -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        seen.append(head.split(b" ")[1])
        status = b"200 OK" if seen[-1] == path.encode() else b"404 Not Found"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    [system] = await asyncio.to_thread(peers, f"tei=http://127.0.0.1:{port}", "text")
    listening.close()
    assert (system.name, system.port, system.text_path) == ("tei", port, path)
    assert orjson.loads(system.texts(["a"])) == asked
    assert seen[-1] == path.encode()


@pytest.mark.parametrize("given", ["tei", "tei=", "tei=127.0.0.1:8080", "=http://127.0.0.1:1"])
def test_a_peer_has_a_name_and_an_address(given: str) -> None:
    with pytest.raises(SystemExit, match="NAME=http"):
        peers(given, "text")


def test_rows_are_what_the_peers_can_do() -> None:
    names = [row.name for row in bench_peers.rows(0.1)]
    assert [name for name in names if "tokens" in name] == ["32 texts of 256 tokens, texts/s"]
    assert "1 mid text every 50 ms, p50 ms" in names
    texts_only = [row.name for row in bench_peers.rows(0.1, pictures_too=False, longest=512)]
    assert set(texts_only) - set(names) == {"32 texts of 512 tokens, texts/s"}
    assert not any("JPEG" in name for name in texts_only)


async def test_singles_beside_piles_are_counted_and_refused_piles_come_again() -> None:
    sizes: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                texts = orjson.loads(await reader.readexactly(length))["inputs"]
                sizes.append(len(texts))
                status = b"429 Too Many Requests" if len(texts) > 1 else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    server = System("m", port, 0, "/embed", "", "text", "")
    seen = await bench_fairness.beside(
        server, 2, texts=3, words=4, seconds=0.0, head_start_s=0.01, think_s=0.0, least=2
    )
    listening.close()
    assert (len(seen.seconds), seen.refused, seen.piles_done) == (2, 0, 0)
    assert seen.piles_refused > 0
    assert set(sizes) == {1, 3}
    row = {"piles": 2, "system": "m"} | seen.figures()
    assert bench_fairness.table([row]).splitlines()[2].split("|")[4:6] == [f" {row['p99']} ", " 2 "]
