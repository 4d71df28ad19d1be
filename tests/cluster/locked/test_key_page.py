"""The field for the API key, on a service that asks for keys."""

from playwright.sync_api import Request, expect

from tests.support.locked import Locked
from tests.support.visit import Visit

CELLS = "#heatmap td[data-level]"


def give(visit: Visit, key: str) -> None:
    visit.page.get_by_label("API key", exact=True).fill(key)
    visit.page.keyboard.press("Enter")


def test_the_field_appears_and_the_page_goes_on_with_the_key(troubled: Visit, locked: Locked) -> None:
    page = troubled.page
    sent: list[str | None] = []

    def note(request: Request) -> None:
        if request.url.endswith(("/metrics", "/embed/text")):
            sent.append(request.headers.get("authorization"))

    page.on("request", note)
    page.goto(locked.service.url)
    expect(page.get_by_label("API key", exact=True)).to_be_focused()
    expect(page.locator("#key-message")).to_have_text(
        "Send an API key, as `Authorization: Bearer KEY` or `x-api-key: KEY`."
    )
    assert page.get_by_label("API key", exact=True).get_attribute("type") == "password"
    give(troubled, "wrong")
    expect(page.locator("#key-message")).to_have_text("This API key is unknown.")
    give(troubled, locked.keys["page"])
    expect(page.locator("#key")).to_be_hidden()
    expect(page.locator(CELLS)).to_have_count(36)
    expect(page.locator("#live-models li")).to_have_count(2)
    troubled.search("How long do I have to send something back?")
    # Once without a key and once with a wrong one: while the field is open nobody knocks again.
    assert sent[:3] == [None, "Bearer wrong", f"Bearer {locked.keys['page']}"]
    assert set(sent[3:]) == {f"Bearer {locked.keys['page']}"}
    assert len(troubled.errors) == 2
    assert all("401" in error for error in troubled.errors)


def test_the_key_stays_in_the_tab_and_nowhere_else(troubled: Visit, locked: Locked) -> None:
    page = troubled.page
    page.goto(locked.service.url)
    give(troubled, locked.keys["page"])
    expect(page.locator(CELLS)).to_have_count(36)
    page.reload()
    expect(page.locator(CELLS)).to_have_count(36)
    expect(page.locator("#key")).to_be_hidden()
    elsewhere = page.evaluate("[JSON.stringify(localStorage), document.cookie, location.href]")
    assert not any(locked.keys["page"] in text for text in elsewhere)
    other = page.context.new_page()
    other.goto(locked.service.url)
    expect(other.get_by_label("API key", exact=True)).to_be_visible()


def test_a_request_from_the_routes_page_has_the_key_of_the_tab(troubled: Visit, locked: Locked) -> None:
    page = troubled.page
    page.goto(f"{locked.service.url}/docs#post_embed_text")
    route = page.locator("#post_embed_text")
    expect(route.locator("pre", has_text="curl")).to_contain_text("authorization: Bearer $EMBEDDING_API_KEY")
    route.get_by_role("button", name="Send").click()
    give(troubled, locked.keys["page"])
    expect(route.locator(".status")).to_contain_text("200 OK in ")
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".status")).to_contain_text("200 OK in ")
    expect(page.locator("#key")).to_be_hidden()
    assert locked.keys["page"] not in page.content()
    assert ["401" in error for error in troubled.errors] == [True]
    # On the other page it is the same tab.
    troubled.open()
    expect(page.locator("#key")).to_be_hidden()


def test_a_panel_says_that_it_waits_for_a_key(troubled: Visit, locked: Locked) -> None:
    page = troubled.page
    page.goto(locked.service.url)
    expect(page.get_by_label("API key", exact=True)).to_be_visible()
    page.locator("#search-form").get_by_role("button", name="Search").click()
    expect(page.locator("#search-status")).to_have_text("Enter an API key at the top of the page; this continues then.")
    give(troubled, locked.keys["page"])
    expect(page.locator("#search-status")).to_contain_text("12 passages searched in")


def test_a_key_that_may_not_embed_is_told_so(troubled: Visit, locked: Locked) -> None:
    page = troubled.page
    page.goto(locked.service.url)
    give(troubled, locked.keys["read"])
    expect(page.locator("#sentences-status")).to_contain_text(
        "This needs an API key with the scope `embed`; yours has read."
    )
    expect(page.locator("#key")).to_be_hidden()
    page.get_by_role("button", name="Use another key").click()
    give(troubled, locked.keys["page"])
    # What was refused runs again.
    expect(page.locator(CELLS)).to_have_count(36)
