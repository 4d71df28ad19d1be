"""What the pages are made of, and how it is served."""

import re
from pathlib import Path

import pytest

from app.api.endpoints.pages import FILES, HEADERS, TYPES
from app.api.middleware.security_headers import POLICY
from tests.support.calling import Service, error_of

FOLDER = Path(str(FILES.directory))
NAMES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file())
PAGES = {"/": "index.html", "/docs": "docs.html"}


@pytest.fixture(scope="module")
def service() -> Service:
    return Service()


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_served_with_its_type_and_nothing_may_come_from_elsewhere(service: Service, name: str) -> None:
    answer = service.get(f"/static/{name}")
    assert (answer.status_code, answer.content) == (200, (FOLDER / name).read_bytes())
    assert answer.headers["content-type"] == TYPES[Path(name).suffix]
    assert {key: answer.headers[key] for key in HEADERS} == HEADERS
    again = service.get(f"/static/{name}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    changed = service.get(f"/static/{name}", headers={"if-none-match": '"another"'})
    assert changed.status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_are_under_the_same_rules(service: Service, path: str) -> None:
    answer = service.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["etag"]
    assert service.request("HEAD", path).content == b""


def test_a_slash_too_many_leads_to_the_page_whose_links_are_relative(service: Service) -> None:
    answer = service.get("/docs/")
    assert (answer.status_code, answer.headers["location"]) == (308, "../docs")


@pytest.mark.parametrize("path", [*PAGES, "/static/main.js"])
@pytest.mark.parametrize("asked", ["bytes=0-5", "bytes=0-1,3-4", "bytes=99999999-", "bytes=a-b", "lines=1-2", "\xff"])
def test_a_part_of_a_file_is_the_whole(service: Service, path: str, asked: str) -> None:
    headers = {"range": asked.encode("latin-1")}
    answer, whole = service.get(path, headers=headers), service.get(path)
    assert (answer.status_code, answer.content) == (200, whole.content)
    assert "content-range" not in answer.headers
    assert service.get(path, headers=headers | {"if-none-match": whole.headers["etag"].encode()}).status_code == 304


@pytest.mark.parametrize(
    "path",
    ["nothing.js", "", ".", "parts", "../page.py", "..%2fpage.py", "%2e%2e/page.py", "/etc/passwd", "%00", "a" * 300],
)
def test_what_is_not_there_is_a_404(service: Service, path: str) -> None:
    answer = service.get(f"http://service/static/{path}")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize("page", PAGES.values())
def test_pages_have_nothing_inline_and_refer_to_files_that_are_there(page: str) -> None:
    html = (FOLDER / page).read_text()
    assert "<style" not in html
    assert re.findall(r"<script(?![^>]*\ssrc=)", html) == []
    assert re.findall(r"\s(?:style|on[a-z]+)=", html) == []
    files = re.findall(r'(?:src|href)="static/([^"]+)"', html)
    assert len(files) > 5
    assert [name for name in files if name not in NAMES] == []
    targets = re.findall(r'(?:href="#|for="|aria-labelledby=")([^"]+)"', html)
    assert [id_ for id_ in targets if f'id="{id_}"' not in html] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".js")])
def test_modules_are_small_say_what_they_are_and_import_what_is_there(name: str) -> None:
    source = (FOLDER / name).read_text()
    assert source.startswith("// ")
    assert len(source.splitlines()) < 250
    imported = re.findall(r'^import .* from "([^"]+)"', source, re.MULTILINE)
    assert [path for path in imported if not (FOLDER / name).parent.joinpath(path).is_file()] == []
    # Text from people and from the service is never read as markup.
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", source)


@pytest.mark.parametrize("name", NAMES)
def test_no_address_of_another_place(name: str) -> None:
    assert re.findall(r"https?://(?!www\.w3\.org/)[^\s\"'`]*", (FOLDER / name).read_text()) == []


def test_every_id_that_a_module_looks_for_is_on_the_page() -> None:
    html = (FOLDER / "index.html").read_text()
    looked_for = r'(?:byId|Picker|keep)\("([^"]+)"'
    wanted = {
        id_ for name in NAMES if name.endswith(".js") for id_ in re.findall(looked_for, (FOLDER / name).read_text())
    }
    assert len(wanted) > 30
    assert {id_ for id_ in wanted if f'id="{id_}"' not in html} == set()
