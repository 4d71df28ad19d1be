"""The script that trained shapes-clip, for a few steps: it writes a model that can be loaded."""

import subprocess
import sys
from pathlib import Path

from PIL import Image

from examples.shapes_reference import Reference
from loadtests.running import ROOT

ASSETS = ROOT / "app" / "assets" / "shapes-clip"


def test_the_training_script_runs_end_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.train_shapes_clip", "--steps", "5", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "step 5/5" in done.stdout
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in ASSETS.iterdir()}
    assert Reference(tmp_path).encode_images([Image.new("RGB", (200, 150))]).shape == (1, 64)
