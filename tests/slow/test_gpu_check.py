"""`python3 -m loadtests.gpu_check` on a CPU: without what the machine of a GPU may lack."""

import json
import subprocess
import sys
from pathlib import Path

RUN = """
import sys
for name in ("ray", "pydantic", "pydantic_settings", "starlette", "openvino"):
    sys.modules[name] = None
from loadtests.gpu_check import main
sys.exit(main(["--out", sys.argv[1]]))
"""


def test_each_model_is_compared_and_timed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert [one["model"] for one in found["models"]] == ["MiniLM-L2", "small decoder", "small CLIP"]
    for one in found["models"]:
        assert one["errors"] == []
        assert 0.999 <= one["cosines"]["bf16"] <= 1.0001
        assert all(row["served_ms"] > 0 and row["plain_ms"] > 0 for row in one["speed"])
    table = (tmp_path / "gpu_check.md").read_text()
    assert "| small CLIP | 2 images |" in table
    assert "no GPU: a trial on the CPU" in table
