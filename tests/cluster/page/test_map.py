"""The map of everything that was embedded."""

from playwright.sync_api import expect

from tests.support.visit import Visit

POINTS = "#map-plot .point"


def colours(visit: Visit) -> set[str]:
    script = "dots => dots.map((dot) => getComputedStyle(dot).fill)"
    return set(visit.page.locator(f"{POINTS} .dot").evaluate_all(script))


def test_everything_embedded_is_on_the_map(visit: Visit) -> None:
    visit.open()
    expect(visit.page.locator(POINTS)).to_have_count(6)
    visit.search("How long do I have to send something back?")
    expect(visit.page.locator(POINTS)).to_have_count(6 + 12 + 1)
    # The query is a diamond.
    assert visit.page.locator(f"{POINTS} path.dot").count() == 1
    expect(visit.page.locator("#map-words")).to_contain_text("19 items of sentence-transformers/all-MiniLM-L6-v2.")


def test_three_topics_are_three_groups(visit: Visit) -> None:
    visit.open()
    visit.page.get_by_role("slider", name="Groups").fill("3")
    expect(visit.page.locator("#map-legend li")).to_have_count(3)
    labels = visit.page.locator(POINTS).evaluate_all("nodes => nodes.map((node) => node.getAttribute('aria-label'))")
    assert [label.rsplit("group ", 1)[1] for label in labels] == ["1", "1", "2", "2", "3", "3"]
    assert len(colours(visit)) == 3
    assert visit.texts("#map-legend .count") == ["2", "2", "2"]
    visit.page.get_by_role("slider", name="Groups").fill("5")
    expect(visit.page.locator("#map-legend li")).to_have_count(5)
    assert len(colours(visit)) == 5


def test_points_of_one_topic_lie_together(visit: Visit) -> None:
    visit.open()
    script = """nodes => nodes.map((node) => node.getAttribute("transform").match(/[-\\d.]+/g).map(Number))"""
    places = visit.page.locator(POINTS).evaluate_all(script)
    for i, (x, y) in enumerate(places):
        gaps = {j: (x - u) ** 2 + (y - v) ** 2 for j, (u, v) in enumerate(places) if j != i}
        assert min(gaps, key=lambda j: gaps[j]) == i ^ 1


def test_text_is_told_on_hover_and_on_focus(visit: Visit) -> None:
    visit.open()
    tip = visit.page.locator("#map-tip")
    expect(tip).to_be_hidden()
    visit.page.locator(POINTS).nth(2).hover()
    expect(tip).to_contain_text("Interest rates went up again this week. · group")
    visit.page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    visit.page.locator(f'{POINTS}[tabindex="0"]').focus()
    expect(tip).to_contain_text("A cat is asleep on the warm windowsill.")
    for _ in range(6):
        visit.page.keyboard.press("ArrowLeft")
    seen = [tip.inner_text()]
    for _ in range(5):
        visit.page.keyboard.press("ArrowRight")
        seen.append(tip.inner_text())
    assert len(set(seen)) == 6
    height = "node => node.getBoundingClientRect().y"
    before = visit.page.locator(f"{POINTS}:focus").evaluate(height)
    visit.page.keyboard.press("ArrowUp")
    assert visit.page.locator(f"{POINTS}:focus").evaluate(height) <= before
    assert visit.page.locator(f'{POINTS}[tabindex="0"]').count() == 1


def test_images_have_a_map_of_their_own(visit: Visit) -> None:
    visit.open()
    visit.draw_samples()
    visit.search_images("a red heart")
    visit.page.get_by_role("radio", name="shapes-clip").check()
    expect(visit.page.locator(POINTS)).to_have_count(13)
    assert visit.page.locator(f"{POINTS} image").count() == 12
    expect(visit.page.get_by_role("radio", name="shapes-clip")).to_be_focused()
    visit.page.get_by_role("radio", name="all-MiniLM-L6-v2").check()
    expect(visit.page.locator(POINTS)).to_have_count(6)


def test_there_is_no_map_of_two_points(visit: Visit) -> None:
    visit.open()
    visit.compare("one", "two")
    expect(visit.page.locator("#map-empty")).to_be_visible()
    expect(visit.page.locator("#map-figure")).to_be_hidden()
