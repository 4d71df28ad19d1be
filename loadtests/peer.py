"""Infinity 0.0.78, made ready: a virtual environment of its own and the text model as its engines want it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

VERSION = "0.0.78"
ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-infinity"
PACKAGES = (f"infinity-emb[server,torch,optimum]=={VERSION}", "torch==2.13.0", "onnxruntime", "pillow", "aiohttp")


@dataclass(frozen=True, slots=True)
class Peer:
    python: Path
    text_model: Path


def prepared(scratch: Path, model: str) -> Peer:
    """Install Infinity once, and write `model` with its ONNX export into `scratch`."""
    python = ENVIRONMENT / "bin" / "python"
    stamp, wanted = ENVIRONMENT / ".packages", "\n".join(PACKAGES)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Installing Infinity {VERSION} into {ENVIRONMENT.name} (once, some minutes) ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        stamp.write_text(wanted)
    return Peer(python, _with_onnx(python, scratch / "text-model", model))


def _with_onnx(python: Path, folder: Path, model: str) -> Path:
    from app.encoders.weights import resolve

    weights = resolve(model, None, True, False)
    shutil.copytree(weights.directory, folder)
    # With the peer's own packages: what it brings is what it can read.
    environment = dict(os.environ, HF_HUB_OFFLINE="1")
    argv = [str(python), "-m", "loadtests.onnx_export", str(folder)]
    subprocess.run(argv, cwd=ROOT, env=environment, check=True)
    return folder
