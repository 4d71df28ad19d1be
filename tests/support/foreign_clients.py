"""Clients of other APIs from PyPI, each in an environment of its own, at a service with its default models; and the
table of what they did, in docs/guides/migrate.md: `python -m tests.support.foreign_clients` writes it anew."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import numpy as np

from app.api.routes import PNG
from loadtests.running import ROOT, running

PAGE: Final = ROOT / "docs/guides/migrate.md"
PART: Final = re.compile(r"(?<=<!-- clients -->\n).*?(?=<!-- end -->)", re.DOTALL)
HEAD: Final = "| client | version | calls | works |\n|---|---|---|---|\n"
TEXTS: Final = ["Hello world", "Machine learning"]
# Goes before each script: a call counts when it has returned.
RECORD: Final = """
import json
from importlib import metadata
calls = []
def did(call, answer):
    calls.append(call)
    return answer
"""
# By package: a script that says what its client did and returned; `url` is the service's.
SCRIPTS: Final = {
    "cohere": """
import cohere
client = cohere.ClientV2(api_key="none", base_url=url)
types = ["float", "int8"]
both = client.embed(model="all-MiniLM-L6-v2", input_type="search_document", texts=texts, embedding_types=types)
did("ClientV2.embed: texts, embedding_types", both)
image = client.embed(model="shapes-clip", input_type="image", images=[picture], embedding_types=["float"])
did("images", image)
part = {"content": [{"type": "image_url", "image_url": {"url": picture}}]}
same = did("inputs", client.embed(model="shapes-clip", input_type="image", inputs=[part], embedding_types=["float"]))
v1 = cohere.Client(api_key="none", base_url=url)
old = did("Client.embed", v1.embed(texts=texts, input_type="search_query", truncate="END"))
ranked = did("ClientV2.rerank", client.rerank(model="all-MiniLM-L6-v2", query=texts[0], documents=texts[::-1]))
try:
    client.embed(model="all-MiniLM-L6-v2", input_type="search_query", texts=["word " * 999], truncate="NONE")
except cohere.errors.BadRequestError as error:
    message = error.body["message"]
found = dict(vectors=both.embeddings.float_, old=old.embeddings, levels=both.embeddings.int8, error=message,
             image=image.embeddings.float_[0], same=same.embeddings.float_[0], best=ranked.results[0].index)
""",
    "ollama": """
import ollama
client = ollama.Client(host=url)
try:
    client.embed("all-MiniLM-L6-v2", "word " * 999, truncate=False)
except ollama.ResponseError as error:
    message = error.error
name = "all-minilm-l6-v2:latest".replace("minilm-l6", "MiniLM-L6")
found = dict(vectors=did("embed", client.embed(name, texts)).embeddings,
             old=[did("embeddings", client.embeddings("all-MiniLM-L6-v2", text)).embedding for text in texts],
             models=[model.model for model in did("list", client.list()).models],
             size=did("show", client.show("all-MiniLM-L6-v2")).modelinfo, error=message)
""",
    "voyageai": """
import io, base64, PIL.Image, voyageai
client = voyageai.Client(api_key="none", base_url=url + "/v1")
whole = did("embed", client.embed(texts, model="all-MiniLM-L6-v2", input_type="document"))
levels = client.embed(texts, model="all-MiniLM-L6-v2", output_dtype="int8", output_dimension=384)
did("output_dtype, output_dimension", levels)
pixels = PIL.Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2])))
mixed = did("multimodal_embed", client.multimodal_embed([["a red square"], [pixels]], model="shapes-clip"))
ranked = did("rerank", client.rerank(texts[0], texts[::-1], model="all-MiniLM-L6-v2"))
try:
    client.embed(["word " * 999], model="all-MiniLM-L6-v2", truncation=False)
except voyageai.error.InvalidRequestError as error:
    message = error.user_message
found = dict(vectors=whole.embeddings, levels=levels.embeddings, mixed=len(mixed.embeddings), error=message,
             best=ranked.results[0].index)
""",
    "langchain-nvidia-ai-endpoints": """
from langchain_nvidia_ai_endpoints import NVIDIAEmbeddings
client = NVIDIAEmbeddings(base_url=url + "/v1", model="sentence-transformers/all-MiniLM-L6-v2", truncate="NONE")
try:
    client.embed_query("word " * 999)
except Exception as error:
    message = str(error)
found = dict(vectors=did("NVIDIAEmbeddings.embed_documents", client.embed_documents(texts)),
             old=[did("embed_query", client.embed_query(text)) for text in texts], error=message)
""",
}


class Row(NamedTuple):
    client: str
    version: str
    calls: str
    works: str = "yes"


def table() -> dict[str, Row]:
    """The rows of the page, by client."""
    [part] = PART.findall(PAGE.read_text("utf-8"))
    assert part.startswith(HEAD)
    rows = [Row(*(cell.strip(" `") for cell in line.strip("|").split("|"))) for line in part[len(HEAD) :].splitlines()]
    return {row.client: row for row in rows}


def run(package: str, url: str, folder: Path, version: str | None = None) -> dict[str, Any]:
    """What the client did and returned. `version`: default: the newest."""
    subprocess.run([sys.executable, "-m", "venv", folder / "alone"], check=True, timeout=300)
    python = folder / "alone" / "bin" / "python"
    wanted = f"{package}=={version}" if version else package
    subprocess.run([python, "-I", "-m", "pip", "install", "--quiet", wanted], check=True, timeout=600)
    script = folder / "script.py"
    head = f"url, texts, picture = {url!r}, {TEXTS!r}, {f'data:image/png;base64,{PNG}'!r}\n"
    tail = f"\nfound |= dict(calls=list(dict.fromkeys(calls)), version=metadata.version({package!r}))"
    script.write_text(f"{RECORD}{head}{SCRIPTS[package]}{tail}\nprint(json.dumps(found, default=dict))\n")
    done = subprocess.run([python, "-I", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def recorded(package: str, client: httpx.Client, folder: Path, version: str | None = None) -> Row:
    """Its row of the table, once what it returned has proved right."""
    right = client.post("/embed/text", json={"texts": TEXTS}).json()["embeddings"]
    found = run(package, str(client.base_url).rstrip("/"), folder, version)
    assert np.array_equal(np.float32(found["vectors"]), np.float32(right))
    assert np.array_equal(np.float32(found.get("old", right)), np.float32(right))
    levels = client.post("/embed/text", json={"texts": TEXTS, "outputType": "int8"}).json()["embeddings"]
    assert found.get("levels", levels) == levels
    assert "must have at most 256 tokens" in found["error"]
    assert found.get("best", 1) == 1
    if package == "cohere":
        image = client.post("/embed/image", json={"images": [PNG]}).json()["embeddings"][0]
        assert found["image"] == found["same"] == image
    if package == "voyageai":
        assert found["mixed"] == 2
    if package == "ollama":
        assert "sentence-transformers/all-MiniLM-L6-v2" in found["models"]
        assert found["size"]["text.embedding_length"] == 384
    return Row(package, found["version"], "; ".join(found["calls"]))


def write(rows: list[Row]) -> None:
    lines = "".join(f"| `{client}` | {version} | {calls} | {works} |\n" for client, version, calls, works in rows)
    PAGE.write_text(PART.sub(HEAD + lines, PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    with running(ROOT / "serve_config.yaml") as service, httpx.Client(base_url=service.url, timeout=60) as client:
        made = []
        for name in SCRIPTS:
            with tempfile.TemporaryDirectory() as scratch:
                made.append(recorded(name, client, Path(scratch)))
            sys.stdout.write(f"{made[-1]}\n")
            sys.stdout.flush()
    write(made)
