"""The live panel, on the service's own metrics."""

import re

import httpx
from playwright.sync_api import expect

from tests.support.visit import Visit

NUMBER = re.compile(r"^[\d,.]+$")


def test_figures_follow_the_work(visit: Visit, client: httpx.Client) -> None:
    visit.open()
    page = visit.page
    expect(page.locator("#live-requests")).to_have_text(NUMBER)
    for i in range(20):
        client.post("/embed/text", json={"texts": [f"live {i}", f"live {i}", "always the same"]}).raise_for_status()
    for name in ("p50", "p95", "p99", "batch"):
        expect(page.locator(f"#live-{name}")).to_have_text(NUMBER)
    expect(page.locator("#live-hits")).to_have_text(re.compile(r"^\d+%$"))
    # At once: a moment later they may be those of another reading.
    script = "['p50', 'p95', 'p99'].map((name) => document.getElementById(`live-${name}`).textContent)"
    p50, p95, p99 = (float(shown.replace(",", "")) for shown in page.evaluate(script))
    assert 0 < p50 <= p95 <= p99


def test_charts_move(visit: Visit) -> None:
    visit.page.clock.install()
    visit.open()
    visit.page.clock.run_for(2_000)
    expect(visit.page.locator("#live-requests")).to_have_text(NUMBER)
    visit.page.clock.run_for(2_000)
    line = visit.page.locator("#chart-requests .line-1")
    expect(line).to_have_attribute("d", re.compile("^M.*L.*L"))
    before = line.get_attribute("d") or ""
    visit.page.clock.run_for(2_000)
    expect(line).not_to_have_attribute("d", before)
    after = line.get_attribute("d") or ""
    # The newest value is at the right edge, and the older ones have moved to the left.
    assert re.search(r"[ML]120 [\d.]+$", before)
    assert re.search(r"[ML]120 [\d.]+$", after)
    assert float(re.findall(r"[ML]([\d.]+)", after)[0]) < float(re.findall(r"[ML]([\d.]+)", before)[0])


def test_replicas_and_models_are_listed(visit: Visit) -> None:
    visit.open()
    rows = visit.page.locator("#live-replicas li")
    expect(rows).to_have_count(4)
    counts = dict(zip(visit.texts("#live-replicas .name"), visit.texts("#live-replicas .count"), strict=True))
    assert counts["Ingress"] == "2"
    assert counts["TextEncoder-all-MiniLM-L6-v2"] == "1"
    assert visit.texts("#live-models .name") == ["all-MiniLM-L6-v2", "clip-vit-base-patch32"]
    assert visit.texts("#live-models .about") == ["text, 384 dimensions", "image, 64 dimensions, built-in"]
    # The built-in image model in place of one that nobody asked for is no alarm; the reason is one click away.
    expect(visit.page.locator("#health")).to_have_text("Ready")
    expect(visit.page.locator("#health-note")).to_have_text("Images by the built-in model.")
    expect(visit.page.locator("#live-reasons")).to_be_hidden()
    visit.page.locator("#health").click()
    expect(visit.page.locator("#live-reasons")).to_contain_text("shapes-clip")
    visit.page.locator("#health").click()
    expect(visit.page.locator("#live-reasons")).to_be_hidden()


def test_the_panel_can_be_paused(visit: Visit) -> None:
    page = visit.page
    page.clock.install()
    visit.open()
    with page.expect_response("**/metrics"):
        page.clock.run_for(2_000)
    asked: list[str] = []
    page.get_by_role("button", name="Pause").click()
    # Nothing is under way any more.
    page.wait_for_load_state("networkidle")
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(5):
        page.clock.run_for(2_000)
    assert asked == []
    with page.expect_response("**/metrics"):
        page.get_by_role("button", name="Go on").click()
        page.clock.run_for(2_000)
