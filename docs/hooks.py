"""MkDocs' hooks. Files of the repository that pages link to become a part of the site, so every such link is checked
and works without a network; the marks `run` and `run-with PACKAGES` of code blocks, which are for the tests, are not shown."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = "repository/"
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^()#\s]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        for link in LINK.findall((ROOT / _in_repository(page)).read_text("utf-8")):
            path = _target(page, link)
            wanted = _on_site(path)
            if wanted.startswith(OUTSIDE) and (ROOT / path).is_file() and files.get_file_from_path(wanted) is None:
                source = str(ROOT / path)
                files.append(File.generated(config, wanted, abs_src_path=source, inclusion=InclusionLevel.NOT_IN_NAV))
                if wanted.endswith(".md"):
                    waiting.append(wanted)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = page.file.src_uri

    def moved(found: re.Match[str]) -> str:
        wanted = _on_site(_target(here, found[0]))
        known = files.get_file_from_path(wanted) is not None
        return posixpath.relpath(wanted, posixpath.dirname(here)) if known else found[0]

    return re.sub(r"^```(\w+) run(-with .*)?$", r"```\1", LINK.sub(moved, markdown), flags=re.MULTILINE)


def _in_repository(page: str) -> str:
    """Where a page of the site lies in the repository."""
    return page.removeprefix(OUTSIDE) if page.startswith(OUTSIDE) else f"docs/{page}"


def _on_site(path: str) -> str:
    """The inverse: where a file of the repository lies in the site."""
    return path.removeprefix("docs/") if path.startswith("docs/") else OUTSIDE + path


def _target(page: str, link: str) -> str:
    """The file of the repository that a page's link names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(_in_repository(page)), link))
