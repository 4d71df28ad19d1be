"""Backends run a graph. A new one is a module like `torch_runner`, and a name in `app.config.args`."""

import sys

# OpenVINO would report its use to its makers, through forks of this process that can outlive it. Without the package
# that does so it uses a stub of its own. This must come before OpenVINO is imported, and every import of it is below.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
