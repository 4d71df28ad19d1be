"""Rules of the house that no linter knows."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("deployments/**/*.py")])


def _reads_environment(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} for node in ast.walk(tree))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_settings_read_the_environment(path: Path) -> None:
    reads = _reads_environment(ast.parse(path.read_text()))
    assert reads == (path == ROOT / "app/config/settings.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_lives_there(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_constraints_pin_every_version_plainly() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    assert "torch==2.13.0" in lines
    assert any(line.startswith("ray==2.60.") for line in lines)


def test_every_package_has_its_place_in_ten_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    named = [name.strip() for layer in layers for name in layer.split("|")]
    children = {f"app.{path.stem}" for path in ROOT.glob("app/*.py")}
    children |= {f"app.{path.parent.name}" for path in ROOT.glob("app/*/__init__.py")}
    assert len(layers) <= 10
    assert sorted(named) == sorted(children - {"app.__init__"} | {"deployments"})
    assert len(list(ROOT.glob("app/*.py"))) <= 8
