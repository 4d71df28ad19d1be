"""How the page looks and how it is reached: themes, widths, keyboard, accessibility."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.visit import Visit

DARK: dict[str, Any] = {"color_scheme": "dark"}
LIGHT: dict[str, Any] = {"color_scheme": "light"}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
CALM: dict[str, Any] = {"reduced_motion": "reduce"}


def use_everything(visit: Visit) -> None:
    visit.open()
    visit.search("How long do I have to send something back?")
    visit.draw_samples()
    visit.search_images("a blue star")


def brightness(visit: Visit, selector: str, name: str) -> float:
    """0 black to 1 white."""
    visit.page.evaluate("document.getAnimations().forEach((animation) => animation.finish())")
    script = """([selector, name]) => { const pen = new OffscreenCanvas(1, 1).getContext("2d");
        pen.fillStyle = getComputedStyle(document.querySelector(selector))[name]; pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).reduce((a, b) => a + b) / 765 }"""
    value: float = visit.page.evaluate(script, [selector, name])
    return value


@pytest.mark.parametrize("troubled", [LIGHT, DARK], ids=["light", "dark"], indirect=True)
def test_the_routes_page_is_accessible_too(visit: Visit) -> None:
    visit.open("/docs")
    expect(visit.page.locator("#routes details")).not_to_have_count(0)
    visit.page.locator("summary").first.click()
    found = Axe().run(visit.page).response["violations"]
    assert [(it["id"], [node["html"][:200] for node in it["nodes"]][:3]) for it in found] == []


@pytest.mark.parametrize(
    ("troubled", "dark"), [(LIGHT, False), (DARK, True)], ids=["light", "dark"], indirect=["troubled"]
)
def test_the_systems_theme_is_followed(visit: Visit, dark: bool) -> None:
    visit.open()
    assert (brightness(visit, "body", "backgroundColor") < 0.2) == dark
    assert (brightness(visit, "body", "color") > 0.8) == dark
    assert visit.page.locator("#theme").get_attribute("aria-pressed") == str(dark).lower()


@pytest.mark.parametrize("troubled", [LIGHT], indirect=True)
def test_the_button_changes_the_theme_and_it_is_remembered(visit: Visit) -> None:
    visit.open()
    visit.page.get_by_role("button", name="Dark").click()
    assert brightness(visit, "body", "backgroundColor") < 0.2
    visit.open()
    assert brightness(visit, "body", "backgroundColor") < 0.2
    visit.open("/docs")
    assert brightness(visit, "body", "backgroundColor") < 0.2
    visit.page.get_by_role("button", name="Dark").click()
    assert brightness(visit, "body", "backgroundColor") > 0.8


WIDER = """() => [...document.querySelectorAll("body *")].filter((node) => {
    const box = node.getBoundingClientRect();
    const hidden = node.closest(".skip, svg, .words, .heatmap-frame, .frame, pre");
    return box.width && !hidden && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map((node) => node.outerHTML.slice(0, 120))"""
SMALL = """() => [...document.querySelectorAll("a, button, select, summary, input, label.pick, .choices label")]
    .filter((node) => node.checkVisibility() && !node.closest(".skip") && !node.matches(".choices input, .pick input"))
    .map((node) => [node.outerHTML.slice(0, 100), node.getBoundingClientRect()])
    .filter(([, { width, height }]) => width && (height < 43.5 || width < 43.5))
    .map(([html, { width, height }]) => [html, width, height])"""


@pytest.mark.parametrize("troubled", [PHONE], indirect=True)
def test_a_phone_needs_no_sideways_scrolling_and_a_fingertip_finds_everything(visit: Visit) -> None:
    use_everything(visit)
    visit.page.get_by_label("Passages, one per line").fill("x" * 400)
    visit.search("y" * 200, ["x" * 400, "z" * 90])
    is_as_wide_as_a_phone(visit)
    for panel, name in {"sentences": "Code", "search": "Vectors", "map": "Code", "live": "Code"}.items():
        visit.page.locator(f"#{panel} .foot").get_by_role("button", name=name).click()
    assert visit.page.evaluate(SMALL) == []


@pytest.mark.parametrize("troubled", [PHONE], indirect=True)
def test_the_routes_page_needs_no_sideways_scrolling(visit: Visit) -> None:
    visit.open("/docs")
    expect(visit.page.locator("#routes details")).not_to_have_count(0)
    visit.page.evaluate("document.querySelectorAll('details').forEach((box) => (box.open = true))")
    is_as_wide_as_a_phone(visit)


def is_as_wide_as_a_phone(visit: Visit) -> None:
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 360
    assert visit.page.evaluate(WIDER) == []


CUT = """() => [...document.querySelectorAll("h1, h2, h3, button, figcaption, dt, dd, .score, .about, td span")]
    .filter((node) => node.checkVisibility() && node.clientWidth > 0 && node.scrollWidth > node.clientWidth + 1)
    .map((node) => node.outerHTML.slice(0, 120))"""
OVERLAPPING = """() => { const all = "h1, h2, h3, p, li, label, button, figcaption, th, td[data-level], dt, dd, .chart";
    const nodes = [...document.querySelectorAll(all)].filter((node) => node.checkVisibility() &&
        (node.textContent.trim() || node.matches("svg")) && !node.closest(".skip, .masthead, #map-tip"));
    const boxes = nodes.map((node) => [node, node.getBoundingClientRect()]);
    const meet = (x, y) => Math.min(x.right, y.right) - Math.max(x.left, y.left) > 1 &&
        Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top) > 1;
    return boxes.flatMap(([a, x], i) => boxes.slice(i + 1)
        .filter(([b, y]) => !a.contains(b) && !b.contains(a) && meet(x, y))
        .map(([b]) => [a.outerHTML.slice(0, 90), b.outerHTML.slice(0, 90)])) }"""


@pytest.mark.parametrize(
    "troubled", [LIGHT | CALM, DARK | CALM, PHONE | CALM], ids=["light", "dark", "phone"], indirect=True
)
def test_accessibility_rules_find_nothing_and_no_words_are_cut_off_or_overlap(visit: Visit) -> None:
    use_everything(visit)
    found = Axe().run(visit.page).response["violations"]
    assert [(it["id"], [node["html"][:200] for node in it["nodes"]][:3]) for it in found] == []
    assert visit.page.evaluate(CUT) == []
    assert visit.page.evaluate(OVERLAPPING) == []


def test_the_keyboard_is_enough(visit: Visit) -> None:
    visit.open()
    press, page = visit.page.keyboard.press, visit.page
    press("Tab")
    expect(page.get_by_role("link", name="Skip to the panels")).to_be_focused()
    press("Enter")
    expect(page.locator("#main")).to_be_focused()
    press("Tab")
    expect(page.get_by_label("One sentence per line")).to_be_focused()
    press("Control+a")
    page.keyboard.insert_text("tea\ncoffee\ngranite")
    press("Tab")
    expect(page.get_by_role("button", name="Compare")).to_be_focused()
    press("Enter")
    expect(page.locator("#heatmap td[data-level]")).to_have_count(9)
    press("Tab")
    expect(page.locator("#sentences-model")).to_be_focused()
    press("Tab")
    expect(page.locator("#heatmap td[data-level]").first).to_be_focused()
    for name in ("Code", "Vectors", "Copy link"):
        press("Tab")
        expect(page.locator("#sentences").get_by_role("button", name=name)).to_be_focused()
    press("Tab")
    expect(page.get_by_label("Passages, one per line")).to_be_focused()
    press("Tab")
    expect(page.locator("#search-file")).to_be_focused()
    press("Tab")
    expect(page.get_by_label("What are you looking for?")).to_be_focused()
    press("Enter")
    expect(page.locator("#search-results li")).to_have_count(5)
    for _ in range(6):
        press("Tab")
    expect(page.locator("#images-file")).to_be_focused()
    press("Tab")
    press("Enter")
    expect(page.locator("#gallery li")).to_have_count(12)
    press("Tab")
    expect(page.get_by_label("What should the image show?")).to_be_focused()
    press("Enter")
    expect(page.locator("#gallery .name").first).to_have_text("blue star on white")
    for _ in range(3):
        press("Tab")
    expect(page.get_by_role("button", name="More like blue star on white")).to_be_focused()
    press("Enter")
    expect(page.locator("#gallery .is-asked")).to_have_count(1)


# What has the focus, and whether it, its stand-in or its ring is drawn around.
OUTLINED = """() => { const node = document.activeElement;
    const marks = [node, ...node.parentElement.querySelectorAll(".reach, span")].map((it) => getComputedStyle(it));
    const ringed = (m) => (parseFloat(m.outlineWidth) >= 2 && m.outlineStyle !== "none") ||
        (parseFloat(m.strokeWidth) >= 3 && m.stroke !== "none");
    return [node.outerHTML.slice(0, 100), marks.some(ringed)] }"""


def test_focus_is_seen(visit: Visit) -> None:
    visit.open()
    unseen = []
    reached = set()
    for _ in range(60):
        visit.page.keyboard.press("Tab")
        name, outline = visit.page.evaluate(OUTLINED)
        reached.add(name)
        if not outline and not name.startswith(("<body", "<html")):
            unseen.append(name)
    assert unseen == []
    assert len(reached) > 15


@pytest.mark.parametrize("troubled", [CALM], indirect=True)
def test_nothing_moves_for_those_who_asked_for_calm(visit: Visit) -> None:
    visit.open()
    visit.search("How long do I have to send something back?")
    assert visit.page.evaluate("document.getAnimations().length") == 0
    assert visit.style("html", "scrollBehavior") == "auto"
