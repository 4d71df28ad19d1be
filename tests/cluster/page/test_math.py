"""The page's pure logic, run where it runs: in the browser."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from loadtests.running import RunningService
from tests.support.browsing import visiting
from tests.support.visit import Visit


@pytest.fixture(scope="module")
def at(browser: Browser, service: RunningService) -> Iterator[Visit]:
    """One for all: any page of the same origin may import the modules."""
    with visiting(browser, service.url) as visit:
        yield visit.open("/docs")
        assert visit.errors == []


def test_pca_is_the_singular_value_decomposition(at: Visit) -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((40, 24)) * np.linspace(3, 0.2, 24) + 5
    found = at.module("math/pca.js", "(m, rows) => m.project(rows)", rows.tolist())
    _, values, axes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    expected = (rows - rows.mean(0)) @ axes[:2].T
    assert np.abs(np.abs(found["points"]) - np.abs(expected)).max() < 1e-3
    assert found["explained"] == pytest.approx(values[:2] ** 2 / (values**2).sum(), rel=1e-6)


def test_pca_is_the_same_each_time_and_no_axis_flips_with_the_order(at: Visit) -> None:
    rows = np.random.default_rng(4).standard_normal((9, 5)).tolist()
    first, again, turned = at.module(
        "math/pca.js", "(m, rows) => [rows, rows, [...rows].reverse()].map((r) => m.project(r).points)", rows
    )
    assert first == again
    assert turned[::-1] == pytest.approx(np.asarray(first), abs=1e-4)


@pytest.mark.parametrize(
    ("rows", "points", "explained"),
    [
        ([[1, 2], [1, 2], [1, 2]], [[0, 0]] * 3, [0, 0]),
        ([[0, 0], [3, 0], [6, 0]], [[-3, 0], [0, 0], [3, 0]], [1, 0]),
        ([[7.0]], [[0, 0]], [0, 0]),
        # Whichever way the search for an axis begins, it points to where its largest part grows.
        *(([[0.0] * 6, [float(i == j) for j in range(6)]], [[-0.5, 0], [0.5, 0]], [1, 0]) for i in range(6)),
        ([], [], [0, 0]),
    ],
)
def test_pca_of_points_that_have_no_second_direction(at: Visit, rows: Any, points: Any, explained: Any) -> None:
    found = at.module("math/pca.js", "(m, rows) => m.project(rows)", rows)
    assert np.asarray(found["points"]) == pytest.approx(np.asarray(points), abs=1e-6)
    assert found["explained"] == pytest.approx(explained, abs=1e-6)


def test_kmeans_finds_what_lies_apart(at: Visit) -> None:
    rng = np.random.default_rng(5)
    true = rng.permutation(np.repeat([0, 1, 2], 20))
    rows = np.asarray([[0, 0, 9], [9, 0, 0], [0, 9, 0]])[true] + rng.standard_normal((60, 3)) * 0.5
    found, again = at.module("math/kmeans.js", "(m, rows) => [m.groups(rows, 3), m.groups(rows, 3)]", rows.tolist())
    assert found == again
    # Numbered in order of first appearance, and one number for each true group.
    _, first = np.unique(true, return_index=True)
    renumbered = np.argsort(np.argsort(first))[true]
    assert found == renumbered.tolist()


def test_kmeans_makes_no_more_groups_than_there_are_different_vectors(at: Visit) -> None:
    cases: list[Any] = [[[1, 1], [2, 2], [1, 1]], [[5, 5]], []]
    found = at.module("math/kmeans.js", "(m, cases) => cases.map((rows) => m.groups(rows, 4))", cases)
    assert found == [[0, 1, 0], [0], []]


def test_exposition_reads_what_prometheus_writes(at: Visit) -> None:
    registry = CollectorRegistry()
    requests = Counter(
        "embedding_requests", 'Help with "quotes" \\ and {braces}', ["route", "status"], registry=registry
    )
    requests.labels('/a "quoted" \\ path\nof, two="lines"', "200").inc(3)
    requests.labels("/b", "503").inc(1.5e9)
    times = Histogram("seconds", "Times", ["route"], buckets=(0.1, 1), registry=registry)
    for value in (0.05, 0.5, 0.6, 7):
        times.labels("/a").observe(value)
    times.labels("/b").observe(0.01)
    text = (
        generate_latest(registry).decode()
        + 'with_time 4 1700000000000\nnan NaN\nlow{a="1",} -Inf\nnot a sample at all\n'
    )
    samples = at.module("math/exposition.js", "(m, text) => m.parse(text)", text)
    found = {(it["name"], *it["labels"].values()): it["value"] for it in samples}
    assert found["embedding_requests_total", '/a "quoted" \\ path\nof, two="lines"', "200"] == 3
    assert found["embedding_requests_total", "/b", "503"] == 1.5e9
    assert found["with_time",] == 4
    assert np.isnan(found["nan",])
    assert found["low", "1"] == -np.inf
    assert not any(name == "not" for name, *_ in found)
    summed, one, buckets = at.module(
        "math/exposition.js",
        """(m, text) => { const all = m.parse(text); return [
            m.total(all, "embedding_requests_total"),
            m.total(all, "embedding_requests_total", ({ status }) => status === "200"),
            m.buckets(all, "seconds").map(({ bound, count }) => [String(bound), count])] }""",
        text,
    )
    assert (summed, one) == (1.5e9 + 3, 3)
    assert buckets == [["0.1", 2], ["1", 4], ["Infinity", 5]]


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ([10, 10, 10, 10], 0.5, 0.05),  # all in the first bucket: half of the way from zero
        ([0, 10, 20, 20], 0.5, 0.2),  # exactly at a bound
        ([0, 10, 20, 20], 0.75, 0.35),
        ([0, 0, 0, 4], 0.99, 0.5),  # above every finite bound
        ([0, 0, 0, 0], 0.5, None),
        ([5, 5, 5, 10], 0.5, 0.1),
        ([1, 1, 3, 3], 1.0, 0.5),  # an empty bucket in between
    ],
)
def test_percentile_of_buckets(at: Visit, counts: list[int], share: float, value: float | None) -> None:
    found = at.module(
        "math/percentile.js",
        """(m, [counts, share]) =>
            m.percentile([0.1, 0.2, 0.5, Infinity].map((bound, i) => ({ bound, count: counts[i] })), share)""",
        [counts, share],
    )
    assert found == (value if value is None else pytest.approx(value))


def test_buckets_between_two_readings(at: Visit) -> None:
    script = """(m, [old, now]) => { const of = (counts) => counts.map((count, i) => ({ bound: i, count }));
        return m.since(of(old), of(now)).map(({ count }) => count) }"""
    cases = {((1, 2, 3), (1, 5, 9)): [0, 3, 6], ((), (1, 2)): [1, 2], ((4, 9), (1, 2)): [1, 2]}
    for (old, now), expected in cases.items():
        assert at.module("math/percentile.js", script, [old, now]) == expected


BEFORE = """
embedding_requests_total{route="/embed/text",method="POST",status="200"} 100
embedding_requests_total{route="/metrics",method="GET",status="200"} 50
embedding_request_duration_seconds_bucket{route="/embed/text",le="0.01"} 90
embedding_request_duration_seconds_bucket{route="/embed/text",le="0.1"} 100
embedding_request_duration_seconds_bucket{route="/embed/text",le="+Inf"} 100
embedding_request_duration_seconds_bucket{route="/metrics",le="0.01"} 50
embedding_request_duration_seconds_bucket{route="/metrics",le="0.1"} 50
embedding_request_duration_seconds_bucket{route="/metrics",le="+Inf"} 50
embedding_cache_lookups_total{tier="near",result="hit"} 10
embedding_cache_lookups_total{tier="near",result="miss"} 100
embedding_cache_lookups_total{tier="shared",result="hit"} 20
embedding_cache_lookups_total{tier="shared",result="miss"} 80
embedding_batch_size_sum{model="m"} 300
embedding_batch_size_count{model="m"} 30
"""
AFTER = """
embedding_requests_total{route="/embed/text",method="POST",status="200"} 110
embedding_requests_total{route="/search",method="POST",status="400"} 10
embedding_requests_total{route="/metrics",method="GET",status="200"} 90
embedding_request_duration_seconds_bucket{route="/embed/text",le="0.01"} 90
embedding_request_duration_seconds_bucket{route="/embed/text",le="0.1"} 110
embedding_request_duration_seconds_bucket{route="/embed/text",le="+Inf"} 110
embedding_request_duration_seconds_bucket{route="/metrics",le="0.01"} 90
embedding_request_duration_seconds_bucket{route="/metrics",le="0.1"} 90
embedding_request_duration_seconds_bucket{route="/metrics",le="+Inf"} 90
embedding_cache_lookups_total{tier="near",result="hit"} 25
embedding_cache_lookups_total{tier="near",result="miss"} 110
embedding_cache_lookups_total{tier="shared",result="hit"} 25
embedding_cache_lookups_total{tier="shared",result="miss"} 82
embedding_batch_size_sum{model="m"} 340
embedding_batch_size_count{model="m"} 35
embedding_replicas{deployment="Ingress"} 2
embedding_replicas{deployment="TextEncoder-m"} 1
"""


def test_figures_between_two_readings(at: Visit) -> None:
    script = """async (m, [before, after]) => { const { parse } = await import("/static/math/exposition.js");
        const now = parse(after);
        return [m.figures({ at: 10, samples: parse(before) }, { at: 15, samples: now }), m.replicas(now)] }"""
    found, replicas = at.module("math/figures.js", script, [BEFORE, AFTER])
    # Who looks at the service is not its work: the forty readings of /metrics count for nothing.
    assert found == {
        "requests": pytest.approx(20 / 5),
        "p50": pytest.approx(55),
        "p95": pytest.approx(95.5),
        "p99": pytest.approx(99.1),
        "hitRate": pytest.approx(20 / 25),  # 15 near and 5 shared hits of 25 items
        "batch": pytest.approx(8),
    }
    assert replicas == [["Ingress", 2], ["TextEncoder-m", 1]]
    idle, _ = at.module("math/figures.js", script, [AFTER, AFTER])
    assert idle == {"requests": 0, "p50": None, "p95": None, "p99": None, "hitRate": None, "batch": None}


def test_cosine_ranks_best_first_and_ties_by_index(at: Visit) -> None:
    vectors = [[0, 2], [3, 0], [1, 1], [5, 0], [0, 0]]
    found = at.module("math/cosine.js", "(m, vectors) => m.ranked([1, 0], vectors)", vectors)
    assert [it["index"] for it in found] == [1, 3, 2, 0, 4]
    assert [it["score"] for it in found] == pytest.approx([1, 1, 0.5**0.5, 0, 0])


def test_passages_are_lines_and_long_lines_are_cut_where_sentences_end(at: Visit) -> None:
    cases: dict[str, list[str]] = {
        " a \r\n\r\n b\rc \n": ["a", "b", "c"],
        "": [],
        "One two. Three four! Five six?": ["One two.", "Three four!", "Five six?"],
        "no sentence ends in here at all": ["no sentence", "ends in here", "at all"],
        "x" * 30: ["x" * 12, "x" * 12, "x" * 6],
        "😀" * 10: ["😀" * 6, "😀" * 4],
        "ab😀😀😀😀😀😀😀": ["ab😀😀😀😀😀", "😀😀"],
        "a😀😀😀😀😀😀😀": ["a😀😀😀😀😀", "😀😀"],
    }
    for text, expected in cases.items():
        assert at.module("parts/passages.js", "(m, text) => m.passages(text, 12)", text) == expected


def test_tables_are_read_as_spreadsheets_write_them(at: Visit) -> None:
    script = "(m, [text, name]) => { const found = m.table(text, name); return found && [found.header, ...found.rows] }"
    quoted = 'a,b\r\n"1,2","say ""hi""\nthere"\r\n,\r\n x ,"y"\n'
    cases: dict[tuple[str, str], list[list[str]] | None] = {
        (quoted, "t.csv"): [["a", "b"], ["1,2", 'say "hi"\nthere'], ["", ""], [" x ", "y"]],
        ("\ufeffname;age\nAda;36", "T.CSV"): [["name", "age"], ["Ada", "36"]],
        ("one\ttwo\n1\t", "t.tsv"): [["one", "two"], ["1", ""]],
        # The first line is no header where it holds a number; short rows are filled up.
        ("1,two\n3", "t.csv"): [["Column 1", "Column 2"], ["1", "two"], ["3", ""]],
        ("only\none\ncolumn", "t.csv"): None,
        ("", "t.csv"): None,
        ("a,b\n1,2", "notes.txt"): None,
        ('{"t": "x", "n": 1}\n\n{"t": "y", "tags": ["z"]}', "t.jsonl"): [
            ["t", "n", "tags"],
            ["x", "1", ""],
            ["y", "", '["z"]'],
        ],
        ('{"t": 1}\nno json', "t.jsonl"): None,
        ("[1, 2]", "t.jsonl"): None,
    }
    for (text, name), expected in cases.items():
        assert at.module("math/csv.js", script, [text, name]) == expected, text


def test_silhouette_is_its_definition(at: Visit) -> None:
    points = np.asarray([[0.0, 0], [0, 1], [5, 0], [5, 1], [5, 2], [20, 20]])
    labels = [0, 0, 1, 1, 1, 2]
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    values = []
    for i, own in enumerate(labels):
        means = {k: np.mean([gaps[i, j] for j in range(6) if labels[j] == k and j != i] or [0]) for k in (0, 1, 2)}
        outside = min(mean for k, mean in means.items() if k != own)
        values.append(0 if labels.count(own) == 1 else (outside - means[own]) / max(outside, means[own]))
    found = at.module("math/silhouette.js", "(m, [d, labels]) => m.silhouette(d, labels)", [gaps.tolist(), labels])
    assert found == pytest.approx(np.mean(values))
    pairs = [[0, 0], [0, 1], [9, 0], [9, 1], [4, 9], [4, 10]]
    assert at.module("math/silhouette.js", "(m, rows) => m.suggest(rows, 8)", pairs) == 3


def test_a_zoom_keeps_what_is_under_the_pointer(at: Visit) -> None:
    script = """(m) => { const view = new m.View(); view.fit([[0, 0], [1, 0], [0.25, 0]], 400, 300);
        const first = view.places()[2]; view.zoomBy(4, ...first); const zoomed = view.places()[2];
        view.zoomBy(1 / 1000); return [first, zoomed, view.places(), view.zoom] }"""
    first, zoomed, whole, zoom = at.module("math/view.js", script)
    assert (first, zoomed) == (pytest.approx([117, 150]), pytest.approx([117, 150]))
    assert whole == [pytest.approx(place) for place in ([34, 150], [366, 150], [117, 150])]
    assert zoom == 1
