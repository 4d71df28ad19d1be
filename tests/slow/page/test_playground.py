"""What a developer takes along: code that runs, vectors, a link; and what stays over a reload."""

import csv
import io
import json
import os
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Locator, expect

from examples.shapes import Scene, draw
from loadtests.running import ROOT
from tests.support.visit import Visit, dropped

QUERY = 'What\'s "free" for $HOME?'
PASSAGES = ['It\'s "free" \\ for $HOME', "`date` costs $5", "Käse — 😀", "'; rm nothing #"]
# A shown image as a PNG, in base64.
PIXELS = """image => { const canvas = document.createElement("canvas"); canvas.width = canvas.height = 160;
    canvas.getContext("2d").drawImage(image, 0, 0); return canvas.toDataURL().split(",")[1] }"""
FILES = ("json", "csv", "npy")
CELLS = "#heatmap td[data-level]"


def code(visit: Visit, panel: str, language: str) -> str:
    drawer = visit.page.locator(f"#{panel}-drawer")
    if drawer.is_hidden():
        visit.page.locator(f"#{panel} .foot").get_by_role("button", name="Code").click()
    drawer.get_by_role("radio", name=language).check()
    text: str | None = drawer.get_by_role("region", name=f"Request in {language}").text_content()
    return text or ""


def run(language: str, text: str, folder: Path) -> str:
    command = ["bash", "-c", text] if language == "curl" else [sys.executable, "-c", text]
    known = os.environ | {"PYTHONPATH": str(ROOT / "clients/python/src"), "no_proxy": "*"}
    done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def saved(visit: Visit, button: Locator) -> bytes:
    with visit.page.expect_download() as download:
        button.click()
    return Path(download.value.path()).read_bytes()


def test_code_of_each_panel_runs(visit: Visit, tmp_path: Path) -> None:
    visit.open()
    sentences = visit.page.get_by_label("One sentence per line").input_value().splitlines()
    answer = json.loads(run("curl", code(visit, "sentences", "curl"), tmp_path))
    assert (len(answer["embeddings"]), answer["cached"]) == (len(sentences), True)
    shown = run("Python", code(visit, "sentences", "Python"), tmp_path)
    assert shown.count("[") == len(sentences) + 1
    visit.search(QUERY, PASSAGES)
    found = [line.split("\n")[0] for line in visit.texts("#search-results .found")]
    results = json.loads(run("curl", code(visit, "search", "curl"), tmp_path))["results"]
    assert [PASSAGES[it["index"]] for it in results] == found
    printed = run("Python", code(visit, "search", "Python"), tmp_path).splitlines()
    assert [line.split(" ", 1)[1] for line in printed] == found
    assert json.loads(run("curl", code(visit, "live", "curl").splitlines()[0], tmp_path))["details"]
    assert "import { EmbeddingClient }" in code(visit, "search", "TypeScript")


def test_code_of_images_runs_where_the_images_are(visit: Visit, tmp_path: Path) -> None:
    names = ['it\'s; "a" red.png', "blue, square.png"]
    visit.open()
    visit.draw_samples()
    for button, name in zip(("red circle on white", "blue square on grey"), names, strict=True):
        image = visit.page.get_by_role("button", name=f"More like {button}").locator("img")
        (tmp_path / name).write_bytes(b64decode(image.evaluate(PIXELS)))
    visit.page.get_by_role("button", name="Remove all").click()
    visit.page.locator("#images-file").set_input_files([tmp_path / name for name in names])
    expect(visit.page.locator("#images-status")).to_have_text("2 images here.")
    visit.page.get_by_label("What should the image show?").fill("a blue square")
    answer = json.loads(run("curl", code(visit, "images", "curl"), tmp_path))
    assert len(answer["embeddings"]) == 2
    printed = run("Python", code(visit, "images", "Python"), tmp_path).splitlines()
    assert [line.split(" ", 1)[1] for line in printed] == names[::-1]


def test_vectors_are_seen_and_downloaded(visit: Visit, client: httpx.Client) -> None:
    visit.open()
    texts = ["plain", 'with "quotes", and a comma', "  käse"]
    visit.compare(*texts)
    texts[2] = texts[2].strip()
    expected = np.asarray(client.post("/embed/text", json={"texts": texts}).json()["embeddings"], np.float32)
    page = visit.page
    expect(page.locator("#sentences .facts")).to_contain_text("384 dimensions · ")
    page.locator("#sentences .foot").get_by_role("button", name="Vectors").click()
    assert visit.texts("#sentences .vectors .name") == texts
    download = {name: page.locator("#sentences").get_by_role("button", name=f"Download as {name}") for name in FILES}
    table = list(csv.reader(io.StringIO(saved(visit, download["csv"]).decode())))
    assert table[0] == ["text", *(f"v{i}" for i in range(384))]
    assert [row[0] for row in table[1:]] == texts
    found = json.loads(saved(visit, download["json"]))
    assert [item["text"] for item in found["items"]] == texts
    for rows in (
        np.load(io.BytesIO(saved(visit, download["npy"]))),
        np.asarray([row[1:] for row in table[1:]], np.float32),
        np.asarray([item["vector"] for item in found["items"]], np.float32),
    ):
        assert (rows.dtype, rows.shape) == (np.float32, (3, 384))
        np.testing.assert_array_equal(rows, expected)


def test_tokens_and_cache_hits_are_told(visit: Visit, client: httpx.Client) -> None:
    visit.open()
    texts = ["cache me once if you can", "then cache me twice"]
    tokens = client.post("/embed/text", json={"texts": texts}).json()["usage"]["tokens"]
    visit.compare(*texts)
    expect(visit.page.locator("#sentences .facts")).to_have_text(
        f"384 dimensions · {tokens} tokens · 2 of 2 from the cache"
    )


def test_another_model_compares_and_is_kept(visit: Visit) -> None:
    visit.open()
    facts = visit.page.locator("#sentences .facts")
    visit.page.locator("#sentences-model").select_option("clip-vit-base-patch32")
    expect(facts).to_contain_text("64 dimensions")
    visit.page.reload()
    expect(facts).to_contain_text("64 dimensions")
    assert '"model": "openai/clip-vit-base-patch32"' in code(visit, "sentences", "curl")


def test_input_stays_over_a_reload_and_only_in_this_tab(visit: Visit) -> None:
    visit.open()
    visit.search("Which sea?", ["The Black Sea", "A hill"])
    visit.compare("one\ttab", "zwei")
    visit.page.reload()
    expect(visit.page.locator(CELLS)).to_have_count(4)
    assert visit.page.get_by_label("One sentence per line").input_value() == "one\ttab\nzwei"
    assert visit.page.get_by_label("Passages, one per line").input_value() == "The Black Sea\nA hill"
    assert visit.page.get_by_label("What are you looking for?").input_value() == "Which sea?"
    other = visit.page.context.new_page()
    other.goto(visit.url)
    expect(other.locator(CELLS)).to_have_count(36)


def test_images_stay_over_a_reload_in_their_tab_until_they_are_removed(visit: Visit, tmp_path: Path) -> None:
    colours = ["red", "green", "blue"]
    for colour in colours:
        draw(Scene("circle", colour)).save(tmp_path / f"{colour}.png")
    status, names, kept = visit.page.locator("#images-status"), "#gallery .name", "parts/pictures.js"
    visit.open()
    visit.page.locator("#images-file").set_input_files([tmp_path / "red.png", tmp_path / "green.png"])
    expect(status).to_have_text("2 images here.")
    dropped(visit, "#images-zone", "blue.png", (tmp_path / "blue.png").read_bytes(), "image/png")
    expect(status).to_have_text("3 images here.")
    visit.search_images("a green circle")
    before = visit.texts("#gallery .caption")
    visit.page.reload()
    expect(status).to_have_text("3 images here.")
    assert visit.texts(names) == colours
    visit.search_images("a green circle")
    assert visit.texts("#gallery .caption") == before
    # Another tab has none of them, empties the database, and this one fills it again.
    other = visit.page.context.new_page()
    other.goto(visit.url)
    expect(other.locator(CELLS)).to_have_count(36)
    assert other.locator("#gallery li").count() == 0
    visit.module(kept, "async ({ stored }) => { while (!(await stored((tabs) => tabs.count()))); }")
    visit.page.reload()
    expect(status).to_have_text("3 images here.")
    visit.page.get_by_role("button", name="Remove all").click()
    visit.module(kept, "async ({ stored }) => { while ((await stored((tabs) => tabs.getAll())).flat().length); }")
    visit.page.reload()
    expect(visit.page.locator(CELLS)).to_have_count(36)
    expect(visit.page.get_by_role("button", name="draw samples")).to_be_enabled()
    assert visit.module(kept, "async ({ stored }) => (await stored((tabs) => tabs.getAll())).flat().length") == 0
    assert visit.page.locator("#gallery li").count() == 0


def test_images_that_a_reload_would_lose_are_told(visit: Visit) -> None:
    visit.open()
    script = """({ keepPictures }, sizes) => keepPictures(sizes.map((size) =>
        new File([new Uint8Array(size * 2 ** 20)], size)))"""
    assert visit.module("parts/pictures.js", script, [40, 20, 10]) == 2
    visit.page.add_init_script("IDBFactory.prototype.open = () => { throw new Error() }")
    visit.page.reload()
    expect(visit.page.locator(CELLS)).to_have_count(36)
    visit.page.get_by_role("button", name="draw samples").click()
    expect(visit.page.locator("#images-status")).to_have_text("12 images here. A reload keeps none of them.")


def test_a_link_shows_others_the_same(visit: Visit) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.open()
    visit.search(QUERY, PASSAGES)
    button = visit.page.locator("#search .foot").get_by_role("button", name="Copy link")
    button.click()
    expect(visit.page.locator("#search .foot").get_by_role("button", name="Copied")).to_be_visible()
    url = visit.page.evaluate("navigator.clipboard.readText()")
    assert url.startswith(f"{visit.url}/#search?")
    # In this tab, where only the fragment differs, too.
    visit.page.get_by_label("What are you looking for?").fill("something else")
    visit.page.goto(url)
    expect(visit.page.get_by_label("What are you looking for?")).to_have_value(QUERY)
    expect(visit.page.locator("#search-results li")).to_have_count(4)
    assert visit.page.get_by_label("Passages, one per line").input_value().splitlines() == PASSAGES
    assert visit.page.url == f"{visit.url}/#search"
    visit.page.goto(url[:-9] + "?")
    expect(visit.page.locator("#search-status")).to_have_text("This link is not whole: the samples are shown instead.")


@pytest.mark.parametrize("panel", ["sentences", "search"])
def test_too_much_for_a_link_is_told(visit: Visit, panel: str) -> None:
    visit.open()
    noise = np.random.default_rng(1).integers(0x4E00, 0x9FFF, 30_000)
    text = "".join(map(chr, noise))
    # Set without the event, so that nothing is sent.
    visit.page.locator(f"#{panel} textarea").evaluate("(field, text) => { field.value = text }", text)
    visit.page.locator(f"#{panel} .foot").get_by_role("button", name="Copy link").click()
    expect(visit.page.locator(f"#{panel}-status")).to_contain_text("This is too much for a link: ")


def test_a_line_that_is_read_in_part_is_marked(visit: Visit) -> None:
    visit.open()
    long = "a very long line " * 100
    visit.compare("short", long, "also short")
    expect(visit.page.locator("#sentences-status")).to_contain_text(
        "Line 2 is longer than the model reads: the end is left out."
    )
    assert visit.page.locator("#heatmap tr").filter(has_text="end not read").count() == 1
    expect(visit.page.locator("#heatmap tbody tr").nth(1)).to_contain_text("end not read")
