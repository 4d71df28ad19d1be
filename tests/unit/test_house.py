"""Rules of the house that no linter knows."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/python/src"
SOURCES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("deployments/**/*.py"), *CLIENT.glob("**/*.py")])
INTERNALS = ROOT / "deployments/serve_internals"
# What knows Ray, outside the folder that may lean on what Ray does not promise.
RAY = [path for path in SOURCES if path.is_relative_to(ROOT / "deployments") and path.parent != INTERNALS]
RAY.append(ROOT / "app/main.py")
# Names of Ray's that are not public and stand elsewhere all the same, each with its reason.
OF_RAY = {
    "__serve_build_asgi_app__": "Serve asks the ingress's own class for it: with it, routes are plain functions",
    "record_replica_metadata": "Serve asks a deployment's own class for it; without it replicas have no RPC endpoint",
    "_by_reference": "an option of a handle, and the only way to have one argument go by the object store",
    "node:__internal_head__": "the resource by which Ray itself marks the head node; there is no public mark",
    "ray.data._internal": "a logger, set to be quiet; an unknown name would change nothing",
}
# What Python itself asks a class for.
OF_PYTHON = {"__init__", "__call__", "__del__", "__reduce__"}


def _reads_environment(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} for node in ast.walk(tree))


def test_only_settings_read_the_environment() -> None:
    readers = [path for path in SOURCES if _reads_environment(ast.parse(path.read_text()))]
    assert readers == [ROOT / "app/config/settings.py"]


def test_every_module_says_what_lives_there() -> None:
    assert [path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def _ray_names(tree: ast.AST) -> set[str]:
    """Names of other objects that begin with an underscore, and what only Ray's source tells to be a name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            found.add(node.attr if node.attr.startswith("_") and node.attr not in OF_PYTHON else "")
        elif isinstance(node, ast.keyword):
            found.add(node.arg if node.arg and node.arg.startswith("_") else "")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = node.name.startswith("__") and node.name not in OF_PYTHON
            found.add(node.name if own or node.name in OF_RAY else "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"^ray\S*\._|__", node.value):
            found.add(node.value)
    return found - {""}


def test_underscore_names_of_ray_stand_in_one_folder_or_are_listed() -> None:
    found = {name for path in RAY for name in _ray_names(ast.parse(path.read_text()))}
    assert found == set(OF_RAY)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("handle._router", "_router"),
        ("handle.options(_on_separate_loop=True)", "_on_separate_loop"),
        ("class A:\n    def __serve_other__(self): ...", "__serve_other__"),
        ("getattr(worker, '__ray_x__')", "__ray_x__"),
        ("import_module('ray._private.worker')", "ray._private.worker"),
    ],
)
def test_an_underscore_name_is_found(line: str, name: str) -> None:
    assert _ray_names(ast.parse(line)) == {name}


def test_private_imports_are_ruffs_to_refuse() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert set(rules["flake8-tidy-imports"]["banned-api"]) == {"ray._private", "ray.serve._private"}
    allowed = {pattern for pattern, codes in rules["per-file-ignores"].items() if "TID251" in codes}
    assert allowed == {"deployments/serve_internals/*", "tests/*", "loadtests/*"}


def test_private_imports_of_ray_are_lazy() -> None:
    """But for the module that is itself imported lazily, since it subclasses what is private."""
    eager = {
        path.name
        for path in INTERNALS.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom) and re.match(r"ray(\.\w+)*\._", node.module or "")
    }
    assert eager <= {"rpc_replica.py"}


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


def test_every_package_has_its_place_in_ten_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    named = [name.strip() for layer in layers for name in re.split("[|:]", layer)]
    children = {f"app.{path.stem}" for path in ROOT.glob("app/*.py")}
    children |= {f"app.{path.parent.name}" for path in ROOT.glob("app/*/__init__.py")}
    assert len(layers) <= 10
    assert sorted(named) == sorted(children - {"app.__init__"} | {"deployments"})
    assert len(list(ROOT.glob("app/*.py"))) <= 8
