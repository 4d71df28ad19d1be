"""Each example against the live service: what it prints is what it promises."""

import pytest

from examples import clustering, image_search, recommendation, search, text
from examples.helpers import average_embeddings, encode_text
from tests.cluster.running import RunningService


def test_text_pairs_the_sentences(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    text.main(service.url)
    lines = capsys.readouterr().out.splitlines()
    nearest = [line.split(": ", 1)[1].rsplit(" (", 1)[0] for line in lines if "is nearest to" in line]
    a, b, c, d = text.SENTENCES
    assert nearest == [b, a, d, c]


def test_search_finds_the_answers(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    search.main(service.url)
    lines = capsys.readouterr().out.splitlines()
    best = [lines[i + 1].split("  ", 2)[2] for i, line in enumerate(lines) if line in search.QUESTIONS]
    assert best == [search.PASSAGES[i] for i in (0, 1, 2, 3)]


def test_clustering_finds_the_topics(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    clustering.main(service.url)
    groups = [part.splitlines()[1:] for part in capsys.readouterr().out.split("Topic ")[1:]]
    found = {frozenset(line.removeprefix("  - ") for line in group) for group in groups}
    assert found == {frozenset(clustering.HEADLINES[i : i + 3]) for i in (0, 3, 6)}


def test_recommendation_stays_with_the_taste(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    recommendation.main(service.url)
    titles = [line.split("  ", 2)[2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert set(titles[:2]) == {"Orbital Decay", "Red Soil"}
    assert len(titles) == len(recommendation.BOOKS) - len(recommendation.LIKED)


def test_image_search_finds_what_the_words_say(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    image_search.main(service.url)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model: shapes-clip"
    found = [line.split("picture of a ")[1].split(" (")[0] for line in lines[1:]]
    assert found == [query.removeprefix("a ") for query in image_search.QUERIES]


def test_average_of_opposites_and_equals(service: RunningService) -> None:
    one = encode_text(service.url, ["the sea"])
    assert abs(average_embeddings(one) - one[0]).max() < 1e-6
