"""README is short, its links lead somewhere, and its figures are those of the documentation."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from statistics import median

import pytest

from loadtests.plots import peers_rows

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
# Pages that are read on a forge; MkDocs checks the links of those in docs/.
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *ROOT.glob("*/README.md"),
    *ROOT.glob("*/*/README.md"),
]
LINK = re.compile(r"\]\((?!\w+:)([^()#\s]*)(?:#([^()\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """Those of a page's headings, as forges and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def dead(page: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    wrong = []
    for link, anchor in LINK.findall(page.read_text("utf-8")):
        target = page.parent / link if link else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(f"{link}#{anchor}")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page, here\n[a](page.md#a-page-here) [b](#a-page) [c](no.md) [d](https://d.example)")
    assert dead(page) == ["#a-page", "no.md#"]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_it_leads_to_every_page_of_the_documentation() -> None:
    linked = {link for link, _ in LINK.findall(README)}
    pages = {str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md")} - {"docs/index.md"}
    assert pages <= linked
    assert {"SECURITY.md", "k8s/README.md", "clients/python/README.md"} <= linked


def test_every_make_command_of_the_documents_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    pages = [*PAGES, *ROOT.glob("docs/**/*.md")]
    command = re.compile(r"(?:`|^)(?:\w+=\S+ )*make ([a-z-]*[a-z])\b(?![-*])")
    named = {name for page in pages for name in command.findall(page.read_text("utf-8"))}
    assert {"serve", "test", "docs"} <= named
    assert named - targets == set()


def test_its_figures_are_those_of_the_benchmarks() -> None:
    table = README.partition("| work |")[2].partition("\n\n")[0]
    benchmarks = (ROOT / "docs/explain/benchmarks.md").read_text("utf-8")
    assert table == benchmarks.partition("| work |")[2].partition("\n\n")[0]
    measured = peers_rows(json.loads((ROOT / "loadtests/results.json").read_bytes()))
    ours = [f"| {row['work']} | {median(run[row['figure']] for run in row['runs']['ours']):.2f} " for row in measured]
    assert len(ours) == 14
    assert [line[: len(own)] for line, own in zip(table.splitlines()[2:], ours, strict=True)] == ours


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_what_an_install_needs_is_said_before_it(tmp_path: Path) -> None:
    def made(*command: str) -> str:
        env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["make", "-C", ROOT, f"VENV={tmp_path}/venv", *command],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    said, _, _ = made("--dry-run", f"{tmp_path}/venv/.serve").partition("sh install.sh")
    assert re.search(r"\d+ GB of disk\b.* in \d+ GB of memory", said)
    (tmp_path / "uname").write_text("#!/bin/sh\necho FreeBSD\n")
    (tmp_path / "uname").chmod(0o700)
    assert "Linux or macOS is needed" in made(f"{tmp_path}/venv/.created")
    assert not (tmp_path / "venv").exists()
