"""The TypeScript client: its own tests, its types, and its tarball, alone in a folder, against the real service."""

import base64
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs import typescript
from loadtests.pictures import file_of, fresh_seed, picture
from loadtests.running import ROOT, RunningService
from tests.support.needs import missing
from tests.support.oracle import Oracle

TEXTS = ["Hello world", "A puppy plays in the garden.", "The stock market fell."]
DOCUMENTS = [ROOT / "docs/guides/typescript.md", ROOT / "clients/typescript/README.md"]
BLOCK = re.compile(r"^```ts run\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [block for path in DOCUMENTS for block in BLOCK.findall(path.read_text("utf-8"))]
# A stranger's settings: as strict as they come, and nothing of Node's.
COMPILED = ("--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom")
TALK = """
import { EmbeddingClient, ServiceError, type components } from "embeddings-client";

declare const process: { argv: string[] };
const [url, picture, ...texts] = process.argv.slice(2);
const bytes = Uint8Array.from(atob(picture), (character) => character.charCodeAt(0));
const client = new EmbeddingClient({ url });
const made = await client.embedTexts(texts);
const levels: Int8Array[] = (await client.embedTexts(texts, { outputType: "int8" })).vectors;
const images = await client.embedImages([bytes, new Blob([bytes]), `data:image/png;base64,${picture}`]);
const found = await client.search("a small dog", texts, { topK: 1, returnCandidates: true });
const mixed = await client.search(made.vectors[1], [made.vectors[1], texts[1], texts[2]], { space: made.space });
const ranked = await client.similarity(made.vectors[0], made.vectors, { topK: 2, space: made.space });
const failed = await client.embedTexts([...texts, ""]).catch((error) => error as ServiceError);

// Fields with a default are optional in requests; unknown ones and wrong values are not taken.
const least: components["schemas"]["SearchRequest"] = { query: { text: "a" }, candidates: [{ vector: [1] }] };
// @ts-expect-error
client.embedTexts(texts, { outputTyp: "int8" }).catch(() => undefined);
// @ts-expect-error
const wrong: components["schemas"]["TextRequest"] = { texts, outputType: "int4" };

console.log(JSON.stringify({
  rows: made.vectors.map((row) => [...row]),
  about: [made.model, made.dimensions, made.truncated, made.space === ranked.space, least.candidates.length],
  levels: levels.map((row) => [row instanceof Int8Array, row.length]),
  images: images.vectors.map((row) => [row.length, row.every((number, i) => number === images.vectors[0][i])]),
  found: found.results.map(({ index, candidate }) => [index, candidate]),
  mixed: mixed.results.map(({ index }) => index),
  ranked: ranked.results,
  failed: failed instanceof ServiceError && [failed.status, failed.code, failed.param, failed.requestId !== null],
}));
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, with what they are built with."""
    if shutil.which("npm") is None:
        missing("needs Node.js 18 or newer, and npm")
    if int(run("node", "--version", cwd=ROOT).strip("v").partition(".")[0]) < 18:
        missing("needs Node.js 18 or newer")
    built = shutil.ignore_patterns("node_modules", "build", "dist")
    folder = shutil.copytree(typescript.FOLDER, tmp_path_factory.mktemp("typescript") / "source", ignore=built)
    run("npm", "ci", "--no-fund", "--no-audit", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def tarball(package: Path) -> Path:
    run("npm", "pack", cwd=package)
    [made] = package.glob("*.tgz")
    return made


@pytest.fixture(scope="module")
def alone(package: Path, tarball: Path) -> Path:
    """A folder with nothing but the installed client."""
    folder = package.parent / "alone"
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    run("npm", "install", "--offline", "--no-fund", "--no-audit", tarball, cwd=folder)
    return folder


def printed(package: Path, alone: Path, code: str, *arguments: str) -> str:
    """What a program prints that is compiled where only the client is installed."""
    (alone / "program.ts").write_text(code)
    run(package / "node_modules/.bin/tsc", *COMPILED, "program.ts", cwd=alone)
    return run("node", "program.js", *arguments, cwd=alone)


def test_its_own_tests_pass(package: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EMBEDDING_")}
    done = subprocess.run(
        ["npm", "test"], cwd=package, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [passed] = re.findall(r"^\W*pass (\d+)$", done.stdout, re.MULTILINE)
    assert int(passed) >= 28


def test_its_types_are_made_of_the_document(package: Path) -> None:
    committed = (package / typescript.TYPES).read_text("utf-8")
    typescript.write(package)
    assert (package / typescript.TYPES).read_text("utf-8") == committed


def test_the_tarball_has_code_types_and_licence_and_needs_nothing(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
        about = json.load(archive.extractfile("package/package.json"))  # type: ignore[arg-type]  # it is a file
    modules = [path.stem for path in (typescript.FOLDER / "src").glob("*.ts")]
    code = {f"dist/{module}{suffix}" for module in modules for suffix in (".js", ".d.ts")}
    assert names == {"LICENSE", "README.md", "package.json", *code}
    assert (about["license"], about["engines"], "dependencies" in about) == ("MIT", {"node": ">=18"}, False)


def test_it_is_all_that_is_installed(alone: Path) -> None:
    assert [path.name for path in (alone / "node_modules").iterdir() if not path.name.startswith(".")] == [
        "embeddings-client"
    ]


def test_it_talks_to_the_service(package: Path, alone: Path, service: RunningService, oracle: Oracle) -> None:
    image = base64.b64encode(file_of(picture(fresh_seed()))).decode()
    said: dict[str, Any] = json.loads(printed(package, alone, TALK, service.url, image, *TEXTS))
    rows = np.array(said["rows"], np.float32)
    assert rows.shape == (3, 384)
    assert np.vecdot(rows, oracle(TEXTS)).min() >= 0.9999
    assert said["about"] == ["sentence-transformers/all-MiniLM-L6-v2", 384, [], True, 1]
    assert said["levels"] == [[True, 384]] * 3
    assert said["images"] == [[64, True]] * 3
    assert said["found"] == [[1, {"text": TEXTS[1]}]]
    assert said["mixed"] == [0, 1, 2]
    assert said["ranked"][0] == {"index": 0, "score": 1}
    assert len(said["ranked"]) == 2
    assert said["failed"] == [400, "invalid_request", "texts.3", True]


def test_there_are_blocks() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_it_prints_what_the_document_shows(block: str, package: Path, alone: Path, service: RunningService) -> None:
    shown = [line.split(" // ", 1)[1] for line in block.splitlines() if "console.log(" in line]
    assert shown
    code = block.replace("localhost:3000", f"127.0.0.1:{service.port}")
    assert printed(package, alone, code).splitlines() == shown
