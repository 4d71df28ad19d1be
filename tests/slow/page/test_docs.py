"""The page of the routes: find one, read what it takes and answers, send a request, take it along as code."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from playwright.sync_api import Locator, Request, expect

from tests.support import web
from tests.support.visit import Visit

AWKWARD = {"texts": ['it\'s "quoted" $HOME `id` \\n é\n%', "2"], "normalize": False, "promptName": None}


def opened(visit: Visit, name: str) -> Locator:
    """A route, opened by its address."""
    visit.page.goto(f"{visit.url}/docs#{name}")
    route = visit.page.locator(f"#{name}")
    expect(route.locator("> summary")).to_be_in_viewport()
    expect(route).to_have_attribute("open", "")
    return route


def document(visit: Visit) -> dict[str, Any]:
    doc: dict[str, Any] = web.get(f"{visit.url}/openapi.json").json()
    return doc


def test_routes_stand_in_the_groups_of_the_document(visit: Visit) -> None:
    doc = document(visit)
    visit.open("/docs")
    expect(visit.page.locator(".group > h2")).to_have_text([tag["name"] for tag in doc["tags"]])
    operations = [it for methods in doc["paths"].values() for it in methods.values()]
    for tag in doc["tags"]:
        group = visit.page.get_by_role("region", name=tag["name"], exact=True)
        ids = group.locator(".route").evaluate_all("all => all.map(({ id }) => id)")
        assert ids == [it["operationId"] for it in operations if it["tags"] == [tag["name"]]]


def test_a_routes_address_opens_it(visit: Visit) -> None:
    opened(visit, "post_search")
    visit.page.locator("#get_health > summary").click()
    expect(visit.page).to_have_url(f"{visit.url}/docs#get_health")
    visit.page.evaluate("location.hash = '#post_v1_rerank'")
    expect(visit.page.locator("#post_v1_rerank > summary")).to_be_in_viewport()
    expect(visit.page.locator("#post_v1_rerank")).to_have_attribute("open", "")


def test_a_field_finds_its_routes(visit: Visit) -> None:
    visit.open("/docs")
    routes, field = visit.page.locator(".route"), visit.page.get_by_label("Find a route or a field")
    count = routes.count()
    field.fill("candidatespace")
    expect(visit.page.locator("#found")).to_have_text(f"1 route of {count}.")
    expect(visit.page.locator(".route:visible")).to_have_id("post_similarity")
    expect(visit.page.locator(".group:visible")).to_have_count(1)
    field.press("Enter")
    expect(visit.page.locator("#post_similarity")).to_have_attribute("open", "")
    field.fill("rank jina")
    expect(visit.page.locator(".route:visible")).to_have_id("post_v1_rerank")
    field.fill("no such thing")
    expect(visit.page.locator("#found")).to_have_text(f"0 routes of {count}.")
    field.fill("")
    expect(visit.page.locator(".route:visible")).to_have_count(count)


def test_required_fields_come_first_and_types_unfold(visit: Visit) -> None:
    route = opened(visit, "post_search")
    names = route.locator(".frame").first.locator("> table > tbody > tr > td:first-child").all_inner_texts()
    assert names[:3] == ["query required", "candidates required", "topK"]
    nested = route.locator(".nested", has_text="TextItem").first
    expect(nested.locator("td")).to_have_count(0)
    nested.locator("summary").click()
    expect(nested.locator("td:first-child")).to_have_text("text required")


def test_every_example_answer_is_one_of_its_schema(visit: Visit) -> None:
    doc = document(visit)
    visit.open("/docs")
    script = """({ exampleOf }, doc) => import("/static/routes/schemas.js").then(({ Schemas }) => {
        const schemas = new Schemas(doc.components.schemas);
        return Object.values(doc.paths).flatMap((methods) => Object.values(methods)).map((it) =>
            [it.operationId, it.responses["200"].content["application/json"]?.schema])
            .filter(([, schema]) => schema).map(([id, schema]) => [id, exampleOf(schema, schemas), schema]) })"""
    examples = visit.module("routes/example.js", script, doc)
    assert len(examples) > 20
    for name, example, schema in examples:
        whole = schema | {"components": doc["components"]}
        assert [(name, error.message) for error in Draft202012Validator(whole).iter_errors(example)] == []
    shown = visit.page.locator("#post_embed_text").get_by_label("Example answer").text_content()
    assert json.loads(shown or "") == next(example for name, example, _ in examples if name == "post_embed_text")


def test_a_request_is_changed_sent_and_answered(troubled: Visit) -> None:
    route = opened(troubled, "post_embed_text")
    body, send, status = route.get_by_label("Body"), route.get_by_role("button", name="Send"), route.locator(".status")
    body.fill('{"texts": ["one", "two", "three"]}')
    send.click()
    expect(status).to_have_text(re.compile(r"^200 OK in \d+ ms\.$"))
    answer = route.get_by_label("Answer", exact=True)
    expect(answer).to_contain_text('"dimensions": 384')
    assert (answer.text_content() or "").count("… 380 more]") == 3
    route.get_by_text("Headers", exact=True).click()
    expect(route.get_by_label("Headers")).to_contain_text("server-timing: ")
    # What is refused is shown as it is.
    body.fill('{"texts": [""]}')
    send.click()
    expect(status).to_have_text(re.compile("^400 Bad Request in "))
    expect(answer).to_contain_text('"param": "texts.0"')
    # What is no JSON is not sent.
    sent: list[Request] = []
    troubled.page.on("request", lambda request: sent.append(request))
    body.fill('{"texts": ')
    send.click()
    expect(status).to_contain_text("The body is not JSON: ")
    assert sent == []
    assert ["400" in error for error in troubled.errors] == [True]


def test_a_path_is_filled_in(visit: Visit) -> None:
    route = opened(visit, "get_v1_models_model")
    route.get_by_label("model", exact=True).fill("sentence-transformers/all-MiniLM-L6-v2")
    route.get_by_role("button", name="Send").click()
    expect(route.get_by_label("Answer", exact=True)).to_contain_text('"id": "sentence-transformers/all-MiniLM-L6-v2"')


def test_the_code_sends_what_the_page_sends(visit: Visit, tmp_path: Path) -> None:
    route = opened(visit, "post_embed_text")
    route.get_by_label("Body").fill(json.dumps(AWKWARD))
    wanted = web.post(f"{visit.url}/embed/text", json=AWKWARD).json()
    runs = {"curl": ["bash"], "Python": [sys.executable], "TypeScript": ["node"]}
    for language, command in runs.items():
        route.get_by_role("radio", name=language).check()
        code = route.get_by_label("Code", exact=True).last.text_content() or ""
        if shutil.which(command[0]) is None:
            continue
        # Without types it is JavaScript; arrays are printed whole.
        code = code.replace("console.log(await response.json())", "console.log(JSON.stringify(await response.json()))")
        code = code.replace("print(response.raise_for_status().json())", "print(response.raise_for_status().text)")
        file = tmp_path / ("code.mjs" if language == "TypeScript" else "code")
        file.write_text(code)
        done = subprocess.run([*command, str(file)], capture_output=True, text=True, timeout=100, check=True)
        assert json.loads(done.stdout)["embeddings"] == wanted["embeddings"]
    # The language is that of every route, now and after a reload.
    expect(visit.page.locator("#post_search pre", has_text="await fetch")).to_have_count(1)
    visit.open("/docs")
    expect(visit.page.locator("#post_search pre", has_text="await fetch")).to_have_count(1)


@pytest.mark.parametrize("troubled", [{"permissions": ["clipboard-read", "clipboard-write"]}], indirect=True)
def test_code_and_addresses_are_copied(visit: Visit) -> None:
    route = opened(visit, "get_health")
    read = "navigator.clipboard.readText()"
    route.get_by_role("button", name="Copy link").click()
    expect(route.get_by_role("button", name="Copied")).to_be_visible()
    assert visit.page.evaluate(read) == f"{visit.url}/docs#get_health"
    route.get_by_role("button", name="Copy", exact=True).click()
    expect(route.get_by_role("button", name="Copied")).to_have_count(2)
    assert visit.page.evaluate(read) == f"curl -sS {visit.url}/health"
