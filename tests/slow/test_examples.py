"""Each example against the live service: what it prints is what it promises."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples import clustering, image_search, recommendation, search, text
from examples.helpers import average_embeddings, encode_text
from examples.works import WORKS, placed
from loadtests.running import ROOT, RunningService


def test_text_finds_the_proverbs_said_twice(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    text.main(service.url)
    pairs = [part.splitlines() for part in capsys.readouterr().out.split("\n\n")[1:]]
    places = [frozenset(line[2:17].strip() for line in lines[1:]) for lines in pairs]
    assert len(places) == text.PAIRS
    assert set(places[:5]) == {
        frozenset({f"Proverbs {one}", f"Proverbs {other}"})
        for one, other in [
            ("18:8", "26:22"), ("21:9", "25:24"), ("14:12", "16:25"), ("22:3", "27:12"), ("20:16", "27:13")
        ]
    }  # fmt: skip
    scores = [float(lines[0]) for lines in pairs]
    assert scores == sorted(scores, reverse=True)


def test_search_finds_the_paragraphs(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    search.main(service.url)
    lines = capsys.readouterr().out.splitlines()
    best = [lines[i + 1].split("  ", 2)[2].split(":")[0] for i, line in enumerate(lines) if line in search.QUESTIONS]
    assert best == [
        "Article II, Section 1", "Amendment III", "Amendment V", "Amendment IV", "Amendment XIX",
        "Amendment XXII, Section 1",
    ]  # fmt: skip


def test_clustering_finds_the_works(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    clustering.main(service.url)
    groups = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("Group")]
    largest = [group.split(", ")[0].split(" from ") for group in groups]
    assert {work for _, work in largest} == set(WORKS)
    assert sum(int(count) for count, _ in largest) >= 50  # of 60


def test_recommendation_stays_with_the_taste(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    recommendation.main(service.url)
    lines = capsys.readouterr().out.splitlines()
    words = [line.split("  ", 2)[2].partition(",")[0] for line in lines[1:]]
    assert len(words) == recommendation.SHOWN
    assert {"DIAGNOSIS", "MEDICINE", "HOMOEOPATHIST"} <= set(words)
    assert not {*recommendation.LIKED} & set(words)


def test_image_search_finds_what_the_words_say(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    image_search.main(service.url)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model: shapes-clip"
    found = [line.split("picture of a ")[1].split(" (")[0] for line in lines[1:]]
    assert found == [query.removeprefix("a ") for query in image_search.QUERIES]


def test_average_of_opposites_and_equals(service: RunningService) -> None:
    one = encode_text(service.url, ["the sea"])
    assert abs(average_embeddings(one) - one[0]).max() < 1e-6


def test_the_pictures_show_all_groups_and_rows(service: RunningService, tmp_path: Path) -> None:
    env = os.environ | {"URL": service.url, "PICTURES": str(tmp_path), "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    command = [sys.executable, "-W", "error", "-m", "examples.pictures"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cluster_map = np.asarray(Image.open(tmp_path / "cluster_map.png").convert("RGB"))
    for colour in [(0x42, 0x69, 0xD0), (0xEF, 0xB1, 0x18), (0xFF, 0x72, 0x5C), (0x6C, 0xC5, 0xB0), (0x9C, 0x6B, 0x4E)]:
        assert (cluster_map == colour).all(axis=2).sum() > 300  # more than its number's disc alone
    found = np.asarray(Image.open(tmp_path / "image_search.png").convert("RGB")).astype(int)
    # The first of "a red star" and of "a yellow square": red and yellow where the first column is.
    first = found[:, 130:290]
    red, yellow = first[50:205], first[230:380]
    assert ((red[..., 0] > 200) & (red[..., 1] < 60)).sum() > 500
    assert ((yellow[..., 0] > 200) & (yellow[..., 1] > 180) & (yellow[..., 2] < 90)).sum() > 500


def test_the_texts_are_whole() -> None:
    counts = {title: len(placed(title)) for title in WORKS}
    assert list(counts.values()) == [12, 33, 126, 134, 595]
    assert all(text and "\t" not in text for title in WORKS for _, text in placed(title))
