"""The panel that searches lines by meaning."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Request, expect

from tests.support.visit import Visit, dropped

FOUND = "#search-results .found"


def test_a_question_finds_the_passage_that_answers_it(visit: Visit) -> None:
    visit.open()
    visit.search("How long do I have to send something back?")
    found = visit.texts(FOUND)
    assert len(found) == 5
    assert found[0] == "Returns are free within thirty days if the box is unopened."
    expect(visit.page.locator("#search-status")).to_contain_text("12 passages searched in")
    visit.search("insects")
    assert visit.texts(FOUND)[0] == "Honeybees dance to tell each other where the flowers are."


def test_order_and_scores_are_the_services_own(visit: Visit, client: httpx.Client) -> None:
    passages = ["a violin", "the cello section", "rust on iron", "a bowl of soup", "drums", "snow", "a piano lesson"]
    visit.open()
    visit.search("musical instruments", passages)
    body: dict[str, Any] = {
        "query": {"text": "musical instruments"},
        "candidates": [{"text": text} for text in passages],
    }
    expected = client.post("/search", json=body | {"topK": 5}).json()["results"]
    assert visit.texts(FOUND) == [passages[it["index"]] for it in expected]
    scores = [float(text.replace("−", "-")) for text in visit.texts("#search-results .score")]
    assert scores == pytest.approx([it["score"] for it in expected], abs=0.0051)


def test_a_chosen_file_is_searched_and_nothing_is_sent_twice(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "rivers.txt"
    lines = [f"Note {i}: nothing of interest." for i in range(299)]
    file.write_text("\n".join([*lines[:200], "The Danube flows into the Black Sea.", *lines[200:]]))
    sent: list[int] = []

    def count(request: Request) -> None:
        if request.url.endswith("/embed/text"):
            sent.append(len(json.loads(request.post_data or "")["texts"]))

    visit.open()
    visit.page.on("request", count)
    visit.page.locator("#search-file").set_input_files(file)
    expect(visit.page.locator("#search-status")).to_have_text("rivers.txt: 300 passages.")
    visit.search("Where does that river end?")
    assert visit.texts(FOUND)[0] == "The Danube flows into the Black Sea."
    assert sent == [1, 128, 128, 44]
    visit.search("Which sea?")
    assert sent[4:] == [1]


def test_a_file_is_dropped(visit: Visit) -> None:
    visit.open()
    dropped(visit, "#search-zone", "notes.md", "Käse reift im Keller.\r\nThe sun is a star.".encode(), "text/markdown")
    expect(visit.page.locator("#search-status")).to_have_text("notes.md: 2 passages.")
    assert (
        visit.page.get_by_label("Passages, one per line").input_value() == "Käse reift im Keller.\nThe sun is a star."
    )
    visit.search("astronomy")
    assert visit.texts(FOUND)[0] == "The sun is a star."


def test_what_is_no_text_is_refused_in_words(visit: Visit) -> None:
    visit.open()
    dropped(visit, "#search-zone", "photo.jpg", b"\xff\xd8\xff\xe0", "image/jpeg")
    expect(visit.page.locator("#search-status")).to_have_text("photo.jpg is not a text file in UTF-8.")
    dropped(visit, "#search-zone", "big.txt", b"a" * (2 * 2**20 + 1), "text/plain")
    expect(visit.page.locator("#search-status")).to_contain_text("big.txt is larger than 2 MB")


def test_nothing_to_search_or_to_search_for(visit: Visit) -> None:
    visit.open()
    visit.search("insects")
    button = visit.page.locator("#search-form").get_by_role("button", name="Search")
    visit.page.get_by_label("What are you looking for?").fill("  ")
    button.click()
    expect(visit.page.locator("#search-status")).to_have_text("Write what you are looking for.")
    expect(visit.page.locator("#search-results li")).to_have_count(0)
    visit.page.get_by_label("Passages, one per line").fill("\n \n")
    button.click()
    expect(visit.page.locator("#search-status")).to_have_text("Paste some lines to search, or open a text file.")


BOOKS = """title;summary;year
"Dune; a novel";"A desert planet, and the ""spice"" that
everybody wants";1965
Walden;Two years alone in a cabin by a pond;1854
Ulysses;One day in Dublin;1922
"""


def test_a_column_of_a_table_is_searched_and_the_others_are_shown(visit: Visit) -> None:
    visit.open()
    dropped(visit, "#search-zone", "books.csv", BOOKS.encode(), "text/csv")
    status = visit.page.locator("#search-status")
    expect(status).to_have_text("books.csv: 3 passages.")
    expect(visit.page.get_by_role("radio", name="summary")).to_be_checked()
    visit.search("life in the woods")
    assert visit.texts(FOUND)[0] == "Two years alone in a cabin by a pond\ntitle: Walden · year: 1854"
    visit.page.get_by_role("radio", name="title").check()
    expect(status).to_have_text("3 passages.")
    assert visit.page.get_by_label("Passages, one per line").input_value() == "Dune; a novel\nWalden\nUlysses"
    expect(visit.page.locator(FOUND)).to_have_count(0)
    dropped(visit, "#search-zone", "plain.txt", b"one\ntwo", "text/plain")
    expect(status).to_have_text("plain.txt: 2 passages.")
    expect(visit.page.locator("#search-columns")).to_be_hidden()
