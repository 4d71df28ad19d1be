"""Rules of the house that no linter knows."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("deployments/**/*.py")])


def _reads_environment(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} for node in ast.walk(tree))


def test_only_settings_read_the_environment() -> None:
    readers = [path for path in SOURCES if _reads_environment(ast.parse(path.read_text()))]
    assert readers == [ROOT / "app/config/settings.py"]


def test_every_module_says_what_lives_there() -> None:
    assert [path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_constraints_pin_every_version_plainly() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    assert "torch==2.13.0" in lines
    assert any(line.startswith("ray==2.60.") for line in lines)


def imported(path: Path) -> set[str]:
    """Every module that a file imports, by its full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_no_test_module_is_imported_and_load_tests_need_none_of_them() -> None:
    wrong: list[str] = []
    for path in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("loadtests/**/*.py"), *SOURCES]:
        if not re.search(r"^\s*(from|import) tests\b", path.read_text(), re.MULTILINE):
            continue
        outside = path.is_relative_to(ROOT / "loadtests") or path in SOURCES
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "tests" and (outside or any(part.startswith(("test_", "conftest")) for part in parts)):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []
