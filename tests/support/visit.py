"""A person's visit to the page: what they do, and what they see."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page, expect


@dataclass
class Visit:
    page: Page
    url: str
    errors: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> "Visit":
        """The page, with the samples compared."""
        self.page.goto(self.url + path)
        if path == "/":
            expect(self.page.locator("#heatmap td[data-level]")).to_have_count(36)
        return self

    def compare(self, *sentences: str) -> None:
        self.page.get_by_label("One sentence per line").fill("\n".join(sentences))
        self.page.get_by_role("button", name="Compare").click()
        expect(self.page.locator("#heatmap td[data-level]")).to_have_count(len(sentences) ** 2)

    def search(self, query: str, passages: list[str] | None = None) -> None:
        if passages is not None:
            self.page.get_by_label("Passages, one per line").fill("\n".join(passages))
        self.page.get_by_label("What are you looking for?").fill(query)
        self.page.locator("#search-form").get_by_role("button", name="Search").click()
        expect(self.page.locator("#search-status")).to_contain_text("searched in")

    def draw_samples(self) -> None:
        self.page.get_by_role("button", name="draw samples").click()
        expect(self.page.locator("#images-status")).to_have_text("12 images here.")

    def search_images(self, query: str) -> None:
        self.page.get_by_label("What should the image show?").fill(query)
        self.page.locator("#images-form").get_by_role("button", name="Search").click()
        expect(self.page.locator("#images-status")).to_contain_text(f"Nearest to “{query}”")

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def module(self, path: str, expression: str, argument: Any = None) -> Any:
        """What `expression`, a function of a module and an argument, gives in the browser."""
        script = f"async (argument) => ({expression})(await import('/static/{path}'), argument)"
        return self.page.evaluate(script, argument)

    def style(self, selector: str, name: str) -> str:
        value: str = self.page.locator(selector).first.evaluate(f"node => getComputedStyle(node)['{name}']")
        return value


def dropped(visit: Visit, zone: str, name: str, content: bytes, type_: str) -> None:
    """Drops a file as a file manager does."""
    script = """([name, content, type]) => { const data = new DataTransfer();
        const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
        data.items.add(new File([bytes], name, { type })); return data }"""
    transfer = visit.page.evaluate_handle(script, [name, b64encode(content).decode(), type_])
    for event in ("dragenter", "dragover", "drop"):
        visit.page.dispatch_event(zone, event, {"dataTransfer": transfer})
