"""The panel that searches images."""

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from examples.shapes import Scene, draw
from tests.support.visit import Visit, dropped

NAMES = "#gallery .name"
SCORES = "#gallery .score"


def png(shape: str, colour: str) -> bytes:
    buffer = io.BytesIO()
    draw(Scene(shape, colour)).save(buffer, "PNG")
    return buffer.getvalue()


def scores(visit: Visit) -> list[float]:
    return [float(text.replace("−", "-")) for text in visit.texts(SCORES) if text != "asked"]


def test_the_page_says_which_model_reads_images(visit: Visit) -> None:
    visit.open()
    expect(visit.page.locator("#images-about")).to_contain_text(
        "shapes-clip, which only knows simple drawn shapes, serves"
    )


def test_samples_are_found_by_words(visit: Visit) -> None:
    visit.open()
    visit.draw_samples()
    assert len(visit.texts(NAMES)) == 12
    for query, best in {
        "a blue star": "blue star on white",
        "a red cross": "red cross on white",
        "a green triangle": "green triangle on white",
    }.items():
        visit.search_images(query)
        assert visit.texts(NAMES)[0] == best
        ranked = scores(visit)
        assert len(ranked) == 12
        assert ranked == sorted(ranked, reverse=True)
        expect(visit.page.locator("#images-status")).to_contain_text(f"Nearest to “{query}”: {best}, ")


def test_images_are_found_by_another_image(visit: Visit, client: httpx.Client, tmp_path: Path) -> None:
    files = {
        "pine": png("triangle", "green"),
        "sun": png("circle", "yellow"),
        "orange": png("circle", "orange"),
        "love": png("heart", "red"),
        "brick": png("square", "brown"),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.png").write_bytes(content)
    visit.open()
    visit.page.locator("#images-file").set_input_files([tmp_path / f"{name}.png" for name in files])
    expect(visit.page.locator("#images-status")).to_have_text("5 images here.")
    visit.page.get_by_role("button", name="More like sun").click()
    expect(visit.page.locator("#images-status")).to_contain_text("Nearest to sun: orange, ")
    # The one asked for comes first, the others in the order of the service's own vectors.
    upload = [("images", (name, content)) for name, content in files.items()]
    rows = np.asarray(client.post("/embed/image", files=upload).json()["embeddings"])
    order = [name for i in np.argsort(-(rows @ rows[1])) if (name := list(files)[i]) != "sun"]
    assert visit.texts(NAMES) == ["sun", *order]
    expected = sorted((rows @ rows[1])[[0, 2, 3, 4]], reverse=True)
    assert scores(visit) == pytest.approx(expected, abs=0.0051)
    assert visit.texts("#gallery .is-asked .score") == ["asked"]
    expect(visit.page.get_by_role("button", name="More like sun")).to_be_focused()


def test_own_images_are_dropped_and_chosen(visit: Visit, tmp_path: Path) -> None:
    visit.open()
    dropped(visit, "#images-zone", "mine.png", png("heart", "red"), "image/png")
    expect(visit.page.locator("#images-status")).to_have_text("1 image here.")
    files = [tmp_path / "sky.png", tmp_path / "sun.png"]
    for file, content in zip(files, (png("square", "blue"), png("circle", "yellow")), strict=True):
        file.write_bytes(content)
    visit.page.locator("#images-file").set_input_files(files)
    expect(visit.page.locator("#images-status")).to_have_text("3 images here.")
    visit.search_images("a yellow circle")
    assert visit.texts(NAMES)[0] == "sun"
    widths = visit.page.locator("#gallery img").evaluate_all("images => images.map((image) => image.naturalWidth)")
    assert widths == [160] * 3


def test_a_damaged_image_is_named_and_the_others_stay(troubled: Visit, tmp_path: Path) -> None:
    files = [tmp_path / "good.png", tmp_path / "broken.png", tmp_path / "fine.png"]
    for file, content in zip(files, (png("star", "red"), b"no image", png("star", "blue")), strict=True):
        file.write_bytes(content)
    troubled.open()
    troubled.page.locator("#images-file").set_input_files(files)
    status = troubled.page.locator("#images-status")
    expect(status).to_contain_text("broken.png: ")
    expect(status).to_contain_text("This is not a PNG, ")
    expect(status).to_contain_text("2 images here.")
    assert troubled.texts(NAMES) == ["good", "fine"]
    assert len(troubled.errors) == 1


def test_what_is_no_image_is_said_to_be_skipped(troubled: Visit) -> None:
    troubled.open()
    status = troubled.page.locator("#images-status")
    dropped(troubled, "#images-zone", "notes.txt", b"some words", "text/plain")
    expect(status).to_have_text("notes.txt is no image and is skipped: search it above. 0 images here.")
    for name, type_ in {"paper.pdf": "application/pdf", "all.zip": "application/zip"}.items():
        dropped(troubled, "#images-zone", name, b"%PDF", type_)
        expect(status).to_have_text(f"{name} is no image and is skipped. 0 images here.")


def test_without_images_and_after_removing_them(visit: Visit) -> None:
    visit.open()
    button = visit.page.locator("#images-form").get_by_role("button", name="Search")
    button.click()
    expect(visit.page.locator("#images-status")).to_have_text("Add some images first, or draw samples.")
    visit.draw_samples()
    visit.page.get_by_role("button", name="Remove all").click()
    expect(visit.page.locator("#gallery li")).to_have_count(0)
    expect(visit.page.get_by_role("button", name="draw samples")).to_be_focused()
