"""The panel that compares sentences."""

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.support.visit import Visit

CELLS = "#heatmap td[data-level]"


def test_samples_are_compared_at_once(visit: Visit, client: httpx.Client) -> None:
    visit.open()
    sentences = visit.page.get_by_label("One sentence per line").input_value().splitlines()
    assert len(sentences) == 6
    assert visit.texts("#heatmap .words") == sentences
    shown = np.asarray([float(text.replace("−", "-")) for text in visit.texts(CELLS)])
    rows = np.asarray(client.post("/embed/text", json={"texts": sentences}).json()["embeddings"])
    assert shown == pytest.approx((rows @ rows.T).ravel(), abs=0.0051)
    # Three pairs: what is most like each sentence, but itself, is its neighbour.
    others = shown.reshape(6, 6) - 2 * np.eye(6)
    assert others.argmax(1).tolist() == [1, 0, 3, 2, 5, 4]
    expect(visit.page.locator("#sentences-status")).to_contain_text(f"Closest: “{sentences[0]}” and “{sentences[1]}”")


def test_typing_is_enough(visit: Visit) -> None:
    visit.open()
    visit.page.get_by_label("One sentence per line").fill("a dog\n\n  a hound  \nsteel")
    expect(visit.page.locator(CELLS)).to_have_count(9)
    expect(visit.page.locator("#sentences-status")).to_contain_text("Closest: “a dog” and “a hound”")
    assert visit.texts("#heatmap .words") == ["a dog", "a hound", "steel"]
    visit.page.get_by_label("One sentence per line").fill("alone")
    expect(visit.page.locator("#sentences-status")).to_have_text("Write at least two lines.")
    expect(visit.page.locator("#heatmap-box")).to_be_hidden()


def test_warmth_follows_the_value(visit: Visit) -> None:
    visit.open()
    pairs = visit.page.locator(CELLS).evaluate_all("cells => cells.map((c) => [c.textContent, c.dataset.level])")
    for text, level in pairs:
        assert abs(max(float(text.replace("−", "-")), 0) * 10 - int(level)) <= 0.55
    assert visit.style(f'{CELLS}[data-level="10"]', "backgroundColor") != visit.style(
        f'{CELLS}[data-level="0"]', "backgroundColor"
    )


def test_cells_are_read_by_hovering_and_by_arrow_keys(visit: Visit) -> None:
    visit.open()
    visit.compare("a red apple", "a green apple", "the stock market")
    cells, readout = visit.page.locator(CELLS), visit.page.locator("#heatmap-readout")
    value = cells.nth(1).inner_text()
    cells.nth(1).hover()
    expect(readout).to_have_text(f"{value} “a red apple” and “a green apple”")
    cells.nth(0).focus()
    expect(readout).to_have_text("1.00 1 is itself: “a red apple”")
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown"):
        visit.page.keyboard.press(key)
    expect(cells.nth(5)).to_be_focused()
    expect(readout).to_contain_text("“a green apple” and “the stock market”")
    assert visit.page.locator(f'{CELLS}[tabindex="0"]').count() == 1
    assert cells.nth(5).get_attribute("aria-label") == f"{cells.nth(5).inner_text()}: a green apple / the stock market"


def test_no_more_than_forty_are_shown_and_the_page_says_so(visit: Visit) -> None:
    visit.open()
    lines = [f"line number {i}" for i in range(57)]
    visit.page.get_by_label("One sentence per line").fill("\n".join(lines))
    expect(visit.page.locator(CELLS)).to_have_count(1600)
    expect(visit.page.locator("#sentences-status")).to_contain_text("Of 57 lines the first 40 are compared.")


def test_the_services_own_words_are_shown(troubled: Visit) -> None:
    troubled.open()
    troubled.page.get_by_label("One sentence per line").fill("fine\n" + "x" * 65_537)
    status = troubled.page.locator("#sentences-status")
    expect(status).to_contain_text("texts.1")
    expect(status).to_contain_text("at most 65,536")
    assert status.get_attribute("data-state") == "error"
    [error] = troubled.errors
    assert "413" in error
