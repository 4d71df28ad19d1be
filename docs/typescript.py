"""Writes the TypeScript client's types from the OpenAPI document: `make client-types`. They say of which document they
are, and a test fails while that is not today's. Needs Node.js and npm."""

import json
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.api.openapi import document
from app.api.routes import ROUTES
from app.config.args import Limits

FOLDER = Path(__file__).parents[1] / "clients/typescript"
TYPES = Path("src/openapi.ts")


def described() -> bytes:
    """The document, without response headers and made-up titles, which would make half of the types, and without tags,
    which make none."""
    whole = document(ROUTES, Limits(), "", keys=True)
    del whole["tags"]
    for path in whole["paths"].values():
        for operation in path.values():
            del operation["tags"]
            for answer in operation["responses"].values():
                answer.pop("headers", None)
    _without_titles(whole["components"]["schemas"])
    return json.dumps(whole, indent=1, ensure_ascii=False).encode()


def _without_titles(node: Any) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        for inner in node.values():
            _without_titles(inner)
    elif isinstance(node, list):
        for inner in node:
            _without_titles(inner)


def mark() -> str:
    """The first line of the types."""
    return f"// Of the OpenAPI document {sha256(described()).hexdigest()[:16]}, by `make client-types`.\n"


def write(folder: Path) -> None:
    """Into a folder with the client's packages, as `npm ci` installs them."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(described())
        file.flush()
        command = ["node_modules/.bin/openapi-typescript", file.name, "--default-non-nullable=false"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S603
    (folder / TYPES).write_text(mark() + done.stdout, encoding="utf-8")


if __name__ == "__main__":
    subprocess.run(["npm", "ci", "--silent", "--no-fund", "--no-audit"], cwd=FOLDER, check=True)  # noqa: S607
    write(FOLDER)
