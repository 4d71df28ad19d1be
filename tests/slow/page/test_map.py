"""The map of everything that was embedded."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.visit import Visit

PLOT = "#map-plot"
TIP = "#map-tip"


def items(visit: Visit, count: int) -> None:
    expect(visit.page.locator("#map-words")).to_contain_text(f"{count} items of ")


def walk(visit: Visit, steps: int) -> list[str]:
    """The items from left to right."""
    visit.page.locator(PLOT).focus()
    for _ in range(steps):
        visit.page.keyboard.press("ArrowLeft")
    seen = []
    for _ in range(steps):
        seen.append(visit.page.locator(TIP).inner_text().split(" · ")[0])
        visit.page.keyboard.press("ArrowRight")
    return seen


def test_everything_embedded_is_on_the_map(visit: Visit) -> None:
    visit.open()
    items(visit, 6)
    sentences = visit.page.get_by_label("One sentence per line").input_value().splitlines()
    assert sorted(walk(visit, 6)) == sorted(sentences)
    visit.search("How long do I have to send something back?")
    items(visit, 6 + 12 + 1)
    visit.page.get_by_label("One sentence per line").fill("alone")
    items(visit, 12 + 1)


def test_three_topics_are_three_groups_without_being_asked(visit: Visit) -> None:
    visit.open()
    expect(visit.page.locator("#map-groups-value")).to_have_text("3, as suggested")
    assert visit.texts("#map-legend .count") == ["2", "2", "2"]
    visit.page.get_by_role("slider", name="Groups").fill("5")
    expect(visit.page.locator("#map-legend li")).to_have_count(5)
    expect(visit.page.locator("#map-groups-value")).to_have_text("5")
    visit.page.get_by_role("button", name="as suggested").click()
    expect(visit.page.locator("#map-legend li")).to_have_count(3)


def test_an_item_shows_its_neighbours_and_they_lead_on(visit: Visit) -> None:
    visit.open()
    items(visit, 6)
    box = visit.page.locator("#map-chosen")
    first = walk(visit, 1)[0]
    visit.page.keyboard.press("ArrowLeft")
    visit.page.keyboard.press("Enter")
    title = visit.page.locator("#map-chosen-title")
    expect(title).to_have_text(first)
    scores = [float(text.replace("−", "-")) for text in visit.texts("#map-neighbours .score")]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.4
    nearest = visit.page.locator("#map-neighbours button").first
    name = nearest.locator("span").last.inner_text()
    nearest.click()
    expect(title).to_have_text(name)
    # The pair are each other's nearest.
    expect(visit.page.locator("#map-neighbours button").first).to_contain_text(first)
    visit.page.locator(PLOT).focus()
    visit.page.keyboard.press("Escape")
    expect(box).to_be_hidden()


def test_items_that_lie_upon_each_other_are_reached_in_turn(visit: Visit) -> None:
    visit.open()
    visit.compare("Rain again today.", "rain again today.", "RAIN AGAIN TODAY.", "A violin concerto.")
    items(visit, 4)
    order = walk(visit, 4)
    upon = [text for text in order if text.lower() == "rain again today."]
    assert len(upon) == 3
    plot = visit.page.locator(PLOT)
    while visit.page.locator(TIP).inner_text().startswith("A violin"):
        visit.page.keyboard.press("ArrowLeft")
    expect(visit.page.locator(TIP)).to_contain_text("2 more here")
    size = plot.bounding_box()
    assert size is not None
    # This model reads no case, so the three lie together at one end, and the fourth at the other.
    at = {"x": 34 if order[0] in upon else size["width"] - 34, "y": size["height"] / 2}
    found = []
    for _ in range(3):
        plot.click(position=at)  # type: ignore[arg-type]
        found.append(visit.page.locator("#map-chosen-title").inner_text())
        expect(visit.page.locator("#map-stack")).to_contain_text("of 3 that lie here")
    assert sorted(found) == sorted(upon)


def test_text_is_told_on_hover_and_on_focus(visit: Visit) -> None:
    visit.open()
    items(visit, 6)
    tip = visit.page.locator(TIP)
    expect(tip).to_be_hidden()
    plot = visit.page.locator(PLOT)
    plot.focus()
    visit.page.keyboard.press("ArrowLeft")
    assert len(set(walk(visit, 6))) == 6
    expect(tip).to_contain_text(re.compile(" · group [123]"))


def test_the_most_typical_of_each_group_have_labels(visit: Visit) -> None:
    visit.page.add_init_script("""const pen = CanvasRenderingContext2D.prototype, draw = pen.fillText;
        window.labels = new Set();
        pen.fillText = function (text, ...at) { labels.add(text); draw.call(this, text, ...at) }""")
    visit.open()
    items(visit, 6)
    expect(visit.page.locator("#map-legend li")).to_have_count(3)
    typical = [text.split("\n")[-1].lstrip("0123456789 ") for text in visit.texts("#map-legend li")]
    visit.page.evaluate("new Promise(requestAnimationFrame)")
    labels = visit.page.evaluate("[...labels]")
    assert [text for text in typical if not any(text.startswith(label.rstrip("…")) for label in labels)] == []


def test_the_map_is_zoomed_and_moved(visit: Visit) -> None:
    visit.open()
    items(visit, 6)
    plot = visit.page.locator(PLOT)
    zoom = re.compile(r"^1\.60$")
    visit.page.get_by_role("button", name="Zoom in").click()
    expect(plot).to_have_attribute("data-zoom", zoom)
    visit.page.get_by_role("button", name="All").click()
    expect(plot).to_have_attribute("data-zoom", "1.00")
    plot.hover()
    visit.page.keyboard.down("Control")
    visit.page.mouse.wheel(0, -200)
    visit.page.keyboard.up("Control")
    expect(plot).to_have_attribute("data-zoom", re.compile(r"^2\.\d+$"))
    picture = "canvas => canvas.toDataURL()"
    before = plot.evaluate(picture)
    visit.page.mouse.down()
    visit.page.mouse.move(300, 300)
    visit.page.mouse.up()
    visit.page.evaluate("new Promise(requestAnimationFrame)")
    assert plot.evaluate(picture) != before
    expect(visit.page.locator("#map-chosen")).to_be_hidden()


def test_images_have_a_map_of_their_own(visit: Visit) -> None:
    visit.open()
    visit.draw_samples()
    visit.search_images("a red heart")
    visit.page.get_by_role("radio", name="shapes-clip").check()
    items(visit, 13)
    expect(visit.page.get_by_role("radio", name="shapes-clip")).to_be_focused()
    visit.page.get_by_role("radio", name="all-MiniLM-L6-v2").check()
    items(visit, 6)


def test_there_is_no_map_of_two_points(visit: Visit) -> None:
    visit.open()
    visit.compare("one", "two")
    expect(visit.page.locator("#map-empty")).to_be_visible()
    expect(visit.page.locator("#map-figure")).to_be_hidden()


@pytest.mark.parametrize(("count", "groups"), [(2000, 5), (40, 3)])
def test_many_points_fall_into_the_groups_they_are_made_of(visit: Visit, count: int, groups: int) -> None:
    """In turn, as the lines of a list often come; the page's thread does little of it."""
    visit.open("/docs")
    script = """async (m, [count, groups]) => {
        const { seeded } = await import("/static/math/random.js");
        const random = seeded(3);
        const row = () => Float32Array.from({ length: 64 }, () => random() - 0.5);
        const middles = Array.from({ length: groups }, row);
        const vectors = Array.from({ length: count }, (_, i) => row().map((x, d) => middles[i % groups][d] + 0.6 * x));
        return new Promise((done) => new m.Mapper(done).draw(vectors, null)) }"""
    found: dict[str, Any] = visit.module("parts/mapper.js", script, [count, groups])
    assert found["suggested"] == groups
    assert found["labels"] == [i % groups for i in range(count)]
    assert [i % groups for i in found["typical"]] == list(range(groups))
    assert len(found["points"]) == count
