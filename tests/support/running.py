"""A real service for tests, on a port of its own, over real HTTP: as shipped (`python -m app`), or in another way."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

import httpx
import psutil
import yaml

from app.system import ports

ROOT = Path(__file__).parents[2]
START_S = 300.0
# shipped: `python -m app`. off: the same, and nothing goes past Serve. plain: `serve run`, without Serve's flags.
Way = Literal["shipped", "off", "plain"]
WAYS: Final[tuple[Way, ...]] = get_args(Way)
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
    ours |= {"SERVE_BYPASS", "TEST_WAY", "AUTH", "API_KEYS_FILE", "ALLOW_ANONYMOUS", "CORS_ORIGINS"}
    return {k: v for k, v in os.environ.items() if k not in ours and not k.startswith(("RAY_", "OTEL_"))} | variables


def chosen_way() -> Way:
    """Of all services that don't say (`make test-bypass`)."""
    return next((way for way in WAYS if way == os.environ.get("TEST_WAY")), "shipped")


def _plain(config: Path, port: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """The command and variables of `serve run` with `config` at this port; Ray is its own, and on loopback."""
    data = yaml.safe_load(config.read_text())
    data["http_options"] = {"host": "127.0.0.1", "port": port}
    data["applications"][0]["args"].setdefault("shapes_clip_may_serve", True)  # as the launcher does
    file = config.with_name(f"plain-{port}.yaml")
    file.write_text(yaml.safe_dump(data))
    loopback = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    command = (sys.executable, "-m", "ray.serve.scripts", "run", "--address", "local", str(file))
    return command, loopback | {"PYTHONPATH": str(ROOT)}


@contextmanager
def running(
    config: Path, command: tuple[str, ...] = (), port: int | None = None, way: str | None = None, **variables: str
) -> Iterator[RunningService]:
    """Start a service, wait for its `/health` to be 200, and stop it in the end."""
    port = port or ports.free(1)[0]
    marker = f"{os.getpid()}-{port}"
    way = way or chosen_way()
    if way == "off":
        variables = {"SERVE_BYPASS": "off"} | variables
    elif way == "plain" and not command:
        command, plain = _plain(config, port)
        variables = plain | variables
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
        left = service.processes() if way == "plain" else []  # the launcher sees to its own
        if process.poll() is None:
            service.stop()
        for survivor in left:
            with suppress(psutil.Error):
                survivor.kill()
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
