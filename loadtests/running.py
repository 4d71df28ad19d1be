"""A real service for tests: `python -m app` on a port of its own, over real HTTP."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from app.system import ports

ROOT = Path(__file__).parents[1]
START_S = 300.0
STOP_S = 10.0


@dataclass
class RunningService:
    """One service and the lines that it printed."""

    process: "subprocess.Popen[str]"
    port: int
    marker: str
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def output(self) -> str:
        return "".join(self.lines)

    def processes(self) -> list[psutil.Process]:
        """Every process of this service, wherever it stands in the process tree."""
        return [p for p in psutil.process_iter() if _marked(p, self.marker)]

    def named(self, start: str) -> list[psutil.Process]:
        """Ray names a replica's process after its deployment: `ray::ServeReplica:app:TextEncoder-…`."""
        return [p for p in self.processes() if start in " ".join(p.cmdline())]

    def stop(self, number: int = signal.SIGINT) -> float:
        """Seconds until the launcher has ended."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(60)
        return time.monotonic() - started


def wait_for(
    condition: Callable[[], Any], timeout_s: float = 30.0, what: str | Callable[[], str] = "the condition"
) -> Any:
    """Poll until `condition` is truthy; its value. `what` may be asked for at the end only, to tell what is then."""
    pause = threading.Event()
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        if value := condition():
            return value
        pause.wait(0.05)
    raise AssertionError(f"{what() if callable(what) else what} did not come true within {timeout_s:g} s")


def _marked(process: psutil.Process, marker: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("TEST_SERVICE") == marker
    except psutil.Error:
        return False


def write_config(folder: Path, **args: Any) -> Path:
    """A Serve config file with these `args`, else as shipped."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["args"] |= args
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's variables without those that set up the service."""
    ours = {"PORT", "HOST", "TEXT_MODEL", "IMAGE_MODEL", "CACHE_MAX_SIZE", "CACHE_TTL", "BATCH_SIZE", "MAX_WORKERS"}
    ours |= {"AUTH", "API_KEYS_FILE", "ALLOW_ANONYMOUS", "CORS_ORIGINS"}
    return {k: v for k, v in os.environ.items() if k not in ours and not k.startswith(("RAY_", "OTEL_"))} | variables


@contextmanager
def running(
    config: Path, command: tuple[str, ...] = (), port: int | None = None, **variables: str
) -> Iterator[RunningService]:
    """Start a service, wait for its `/health` to be 200, and stop it in the end."""
    port = port or ports.free(1)[0]
    marker = f"{os.getpid()}-{port}"
    # Offline, so that a test means the same where the hub can be reached.
    env = clean_environment(PORT=str(port), TEST_SERVICE=marker, PYTHONUNBUFFERED="1", HF_HUB_OFFLINE="1", **variables)
    argv = [*(command or (sys.executable, "-m", "app", "--config", str(config)))]
    process = subprocess.Popen(
        argv,
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell that put the tests into the background has them, and so their children, ignore Ctrl-C.
        preexec_fn=_mind_ctrl_c,
    )
    service = RunningService(process, port, marker)
    assert process.stdout is not None
    reader = threading.Thread(target=service.lines.extend, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        wait_for(lambda: _healthy(service), START_S, lambda: f"health of the service; it printed:\n{service.output()}")
        yield service
    finally:
        if process.poll() is None:
            service.stop()
        reader.join(10)
        process.stdout.close()


def _mind_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _healthy(service: RunningService) -> bool:
    assert service.process.poll() is None, f"the service ended by itself:\n{service.output()}"
    try:
        return httpx.get(f"{service.url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def listening(processes: list[psutil.Process]) -> set[int]:
    pids = {process.pid for process in processes}
    listeners = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.pid in pids]
    return {address.port for c in listeners if (address := c.laddr)}
