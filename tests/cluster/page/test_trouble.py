"""What the page says when the service is not there or not well."""

import json

from playwright.sync_api import Route, expect

from tests.support.visit import Visit

UNREACHABLE = "The service can't be reached. Is it still running?"


def test_a_service_that_is_gone_is_told_and_found_again(troubled: Visit) -> None:
    troubled.open()
    troubled.search("insects")
    page = troubled.page
    page.context.set_offline(True)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#sentences-status")).to_have_text(UNREACHABLE)
    expect(page.locator("#live-status")).to_have_text(UNREACHABLE)
    expect(page.locator("#health")).to_have_text("Not reachable")
    # What no longer holds is gone: the answers and the figures.
    expect(page.locator("#heatmap-box")).to_be_hidden()
    expect(page.locator("#search-results li")).to_have_count(5)
    page.locator("#search-form").get_by_role("button", name="Search").click()
    expect(page.locator("#search-status")).to_have_text(UNREACHABLE)
    expect(page.locator("#search-results li")).to_have_count(0)
    expect(page.locator("#live-p50")).to_have_text("–")
    expect(page.locator("#live-models li")).to_have_count(0)
    page.locator("#health").click()
    expect(page.locator("#live-reasons")).to_contain_text("No answer came from the service.")
    page.context.set_offline(False)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#sentences-status")).to_contain_text("Closest: ")
    expect(page.locator("#health")).to_have_text("Ready")
    expect(page.locator("#live-models li")).to_have_count(2)
    assert all("ERR_INTERNET_DISCONNECTED" in error for error in troubled.errors)


def test_an_answer_that_is_not_the_services_is_told_by_its_status(troubled: Visit) -> None:
    troubled.open()
    page = troubled.page

    def gateway(route: Route) -> None:
        route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")

    page.route("**/embed/text", gateway)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#sentences-status")).to_contain_text("The service answered 502")


def test_words_of_the_service_are_text_and_never_markup(troubled: Visit) -> None:
    troubled.open()
    page = troubled.page
    words = "<img src=x onerror=alert(1)> is no text"

    def refuse(route: Route) -> None:
        error = {"code": "invalid_request", "message": words, "param": None, "requestId": "1"}
        route.fulfill(status=400, content_type="application/json", body=json.dumps({"error": error}))

    page.route("**/embed/text", refuse)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#sentences-status")).to_have_text(words)
    assert page.locator("#sentences-status img").count() == 0


def test_a_late_answer_does_not_replace_a_newer_one(troubled: Visit) -> None:
    troubled.open()
    page = troubled.page
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if "slow" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route("**/embed/text", hold_the_first)
    lines = page.get_by_label("One sentence per line")
    with page.expect_request("**/embed/text"):
        lines.fill("slow one\nslow two")
        page.get_by_role("button", name="Compare").click()
    lines.fill("new one\nnew two\nnew three")
    expect(page.locator("#heatmap td[data-level]")).to_have_count(9)
    with page.expect_response("**/embed/text"):
        held[0].continue_()
    page.evaluate("new Promise((done) => setTimeout(done))")
    assert troubled.texts("#heatmap .words") == ["new one", "new two", "new three"]
    assert troubled.errors == []


def test_a_model_that_is_not_there_is_told_and_its_panel_waits(troubled: Visit) -> None:
    page = troubled.page

    def without_images(route: Route) -> None:
        health = route.fetch().json()
        image = next(model for model in health["details"] if model["kind"] == "image")
        image |= {"status": "unavailable", "reason": "No weights.", "note": None}
        route.fulfill(json=health)

    page.route("**/health", without_images)
    troubled.open()
    expect(page.locator("#images-about")).to_have_text("openai/clip-vit-base-patch32 is unavailable: No weights.")
    expect(page.get_by_role("button", name="draw samples")).to_be_disabled()
