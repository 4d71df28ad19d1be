"""The clients of other APIs from PyPI, each in an environment of its own, at a service with its default models."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest

from app.api.routes import PNG
from loadtests.running import RunningService

TEXTS: Final = ["Hello world", "Machine learning"]
# By package: a script that prints JSON of what its client returned; `url` is the service's.
SCRIPTS: Final = {
    "cohere": """
import cohere
client = cohere.ClientV2(api_key="none", base_url=url)
types = ["float", "int8"]
both = client.embed(model="all-MiniLM-L6-v2", input_type="search_document", texts=texts, embedding_types=types)
image = client.embed(model="shapes-clip", input_type="image", images=[picture], embedding_types=["float"])
part = {"content": [{"type": "image_url", "image_url": {"url": picture}}]}
same = client.embed(model="shapes-clip", input_type="image", inputs=[part], embedding_types=["float"])
old = cohere.Client(api_key="none", base_url=url).embed(texts=texts, input_type="search_query", truncate="END")
try:
    client.embed(model="all-MiniLM-L6-v2", input_type="search_query", texts=["word " * 999], truncate="NONE")
except cohere.errors.BadRequestError as error:
    message = error.body["message"]
found = dict(vectors=both.embeddings.float_, old=old.embeddings, levels=both.embeddings.int8, error=message,
             image=image.embeddings.float_[0], same=same.embeddings.float_[0])
""",
    "ollama": """
import ollama
client = ollama.Client(host=url)
try:
    client.embed("all-MiniLM-L6-v2", "word " * 999, truncate=False)
except ollama.ResponseError as error:
    message = error.error
found = dict(vectors=client.embed("all-minilm-l6-v2:latest".replace("minilm-l6", "MiniLM-L6"), texts).embeddings,
             old=[client.embeddings("all-MiniLM-L6-v2", text).embedding for text in texts], error=message,
             models=[model.model for model in client.list().models], size=client.show("all-MiniLM-L6-v2").modelinfo)
""",
    "voyageai": """
import io, base64, PIL.Image, voyageai
client = voyageai.Client(api_key="none", base_url=url + "/v1")
whole = client.embed(texts, model="all-MiniLM-L6-v2", input_type="document")
levels = client.embed(texts, model="all-MiniLM-L6-v2", output_dtype="int8", output_dimension=384)
pixels = PIL.Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2])))
mixed = client.multimodal_embed([["a red square"], [pixels]], model="shapes-clip")
try:
    client.embed(["word " * 999], model="all-MiniLM-L6-v2", truncation=False)
except voyageai.error.InvalidRequestError as error:
    message = error.user_message
found = dict(vectors=whole.embeddings, levels=levels.embeddings, mixed=len(mixed.embeddings), error=message)
""",
    "langchain-nvidia-ai-endpoints": """
from langchain_nvidia_ai_endpoints import NVIDIAEmbeddings
client = NVIDIAEmbeddings(base_url=url + "/v1", model="sentence-transformers/all-MiniLM-L6-v2", truncate="NONE")
try:
    client.embed_query("word " * 999)
except Exception as error:
    message = str(error)
found = dict(vectors=client.embed_documents(texts), old=[client.embed_query(text) for text in texts], error=message)
""",
}


def run(package: str, url: str, folder: Path) -> dict[str, Any]:
    subprocess.run([sys.executable, "-m", "venv", folder / "alone"], check=True, timeout=300)
    python = folder / "alone" / "bin" / "python"
    subprocess.run([python, "-I", "-m", "pip", "install", "--quiet", package], check=True, timeout=600)
    script = folder / "script.py"
    picture = f"data:image/png;base64,{PNG}"
    head = f"import json, sys\nurl, texts, picture = {url!r}, {TEXTS!r}, {picture!r}\n"
    script.write_text(head + SCRIPTS[package] + "\nprint(json.dumps(found, default=dict))\n")
    done = subprocess.run([python, "-I", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("package", SCRIPTS)
def test_a_client_gets_the_service_s_own_vectors(
    package: str, service: RunningService, client: httpx.Client, tmp_path: Path
) -> None:
    right = client.post("/embed/text", json={"texts": TEXTS}).json()["embeddings"]
    found = run(package, service.url, tmp_path)
    assert np.array_equal(np.float32(found["vectors"]), np.float32(right))
    assert np.array_equal(np.float32(found.get("old", right)), np.float32(right))
    levels = client.post("/embed/text", json={"texts": TEXTS, "outputType": "int8"}).json()["embeddings"]
    assert found.get("levels", levels) == levels
    assert "must have at most 256 tokens" in found["error"]
    if package == "cohere":
        image = client.post("/embed/image", json={"images": [PNG]}).json()["embeddings"][0]
        assert found["image"] == found["same"] == image
    if package == "voyageai":
        assert found["mixed"] == 2
    if package == "ollama":
        assert "sentence-transformers/all-MiniLM-L6-v2" in found["models"]
        assert found["size"]["text.embedding_length"] == 384
