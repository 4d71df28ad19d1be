"""A real service for tests, on a port of its own, over real HTTP: as shipped (`python -m app`), or in another way."""

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Literal, get_args

import psutil
import yaml

from app.system import ports
from app.system.loopback import direct

ROOT = Path(__file__).parents[1]
START_S = 300.0
# shipped: `python -m app`. off: the same, and nothing goes past Serve. plain: `serve run`, without Serve's flags.
Way = Literal["shipped", "off", "plain"]
WAYS: Final[tuple[Way, ...]] = get_args(Way)
END_S = 60.0
# For what takes a second: another machine may be a busy one.
PATIENCE_S = 120.0
POLL_S = 0.1
KEPT = {"PATH", "LANG", "LANGUAGE", "TZ", "TERM", "USER", "LOGNAME", "SHELL", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
KEPT |= {"PYTHONDONTWRITEBYTECODE", "CI"}
PORT_TAKEN = re.compile(r"Port \d+ is taken|[Aa]ddress already in use|EADDRINUSE")


@dataclass
class RunningService:
    """One service and the lines that it printed."""

    process: "subprocess.Popen[str]"
    port: int
    marker: str
    lines: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

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
        return [p for p in self.processes() if start in _words(p)]

    def stop(self, number: int = signal.SIGINT) -> None:
        """Until the launcher has ended."""
        self.process.send_signal(number)
        self.process.wait(300)


def wait_for(
    condition: Callable[[], Any], timeout_s: float = PATIENCE_S, what: str | Callable[[], str] = "the condition"
) -> Any:
    """Poll until `condition` is truthy; its value. `what` may be asked for at the end only, to tell what is then."""
    pause = threading.Event()
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        if value := condition():
            return value
        pause.wait(POLL_S)
    raise AssertionError(f"{what() if callable(what) else what} did not come true within {timeout_s:g} s")


def _marked(process: psutil.Process, marker: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("TEST_SERVICE") == marker
    except psutil.Error:
        return False


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return ""


def write_config(place: Path, **args: Any) -> Path:
    """A Serve config file with these `args`, else as shipped."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["args"] |= args
    path = place / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def clean_environment(**variables: str) -> dict[str, str]:
    """What a program under test is given: the little that any program needs, folders of its own, and `variables`.

    The home, the hub's cache and the cache of converted models are shared by all that this process starts, so that a
    model is converted once; the last, where the tests say so (TEST_CACHE), by several processes. Ray's folder has a
    short name, for the sockets in it.
    """
    known = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
    folders = {
        "HOME": "home",
        "HF_HOME": "home/huggingface",
        "XDG_CACHE_HOME": "cache",
        "RAY_TMPDIR": "ray",
    }
    own = {name: str(folder(path)) for name, path in folders.items()}
    own["XDG_CACHE_HOME"] = os.environ.get("TEST_CACHE", own["XDG_CACHE_HOME"])
    own["TMPDIR"] = str(_scratch().parent)
    # Programs run where no `.env` is, and still find this checkout.
    checkout = os.pathsep.join([str(ROOT), str(ROOT / "clients/python/src")])
    # Plain `serve run` has replicas at niceness 15: beside a program that takes every CPU they hardly begin.
    return known | own | {"PYTHONPATH": checkout, "HF_HUB_OFFLINE": "1", "RAY_worker_niceness": "0"} | variables


@cache
def folder(name: str) -> Path:
    """A folder that lasts as long as this process."""
    path = _scratch() / name
    path.mkdir(parents=True, exist_ok=True)
    return path


@cache
def _scratch() -> Path:
    # The path of a Unix socket has 107 characters at most; Ray's own part of it takes 68, and that of HAProxy more.
    short = tempfile.gettempdir() if len(tempfile.gettempdir()) <= 8 else "/tmp"  # noqa: S108
    path = Path(tempfile.mkdtemp(prefix="t", dir=short))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


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
    # Serve gives up a proxy that is not ready within three times this, and with it `serve run`: 5 s, by default.
    loopback["RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"] = "60"
    command = (sys.executable, "-m", "ray.serve.scripts", "run", "--address", "local", str(file))
    return command, loopback


@contextmanager
def running(
    config: Path, command: tuple[str, ...] = (), port: int | None = None, way: str | None = None, **variables: str
) -> Iterator[RunningService]:
    """Start a service, wait for its `/health` to be 200, and stop it in the end.

    Without a `port` it gets a free one; where another process is quicker to take one of its ports, it starts again.
    """
    way = way or chosen_way()
    for attempts_left in (2, 1, 0):
        service = _start(config, command, port or ports.free(1)[0], way, variables)
        try:
            wait_for(
                lambda: _healthy(service),  # noqa: B023 - called before the next turn
                START_S,
                lambda: f"health of the service; it printed:\n{service.output()}",  # noqa: B023
            )
            break
        except AssertionError:
            _end(service)
            if port is not None or not attempts_left or not PORT_TAKEN.search(service.output()):
                raise
    try:
        yield service
    finally:
        _end(service)


def _start(config: Path, command: tuple[str, ...], port: int, way: str, variables: dict[str, str]) -> RunningService:
    marker = f"{os.getpid()}-{port}"
    if way == "off":
        variables = {"SERVE_BYPASS": "off"} | variables
    elif way == "plain" and not command:
        command, plain = _plain(config, port)
        variables = plain | variables
    # Offline, so that a test means the same where the hub can be reached.
    env = clean_environment(PORT=str(port), TEST_SERVICE=marker, PYTHONUNBUFFERED="1", **variables)
    process = subprocess.Popen(
        [*(command or (sys.executable, "-m", "app", "--config", str(config)))],
        env=env,
        cwd=folder("work"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell that put the tests into the background has them, and so their children, ignore Ctrl-C.
        preexec_fn=_mind_ctrl_c,
    )
    service = RunningService(process, port, marker)
    assert process.stdout is not None
    service.reader = threading.Thread(target=service.lines.extend, args=(process.stdout,), daemon=True)
    service.reader.start()
    return service


def _end(service: RunningService) -> None:
    """At once. A good end takes seconds, and has tests of its own, which stop a service themselves."""

    def others() -> list[psutil.Process]:
        return [process for process in service.processes() if process.pid != service.process.pid]

    # The launcher goes last: it removes its folder when the others are gone.
    wait_for(lambda: not _killed(others()), END_S, lambda: f"the end of {others()}")
    if service.process.poll() is None:
        service.process.terminate()
    try:
        service.process.wait(END_S)
    except subprocess.TimeoutExpired:
        service.process.kill()
        service.process.wait()
    _killed(service.processes())
    assert service.reader is not None
    assert service.process.stdout is not None
    service.reader.join(10)
    service.process.stdout.close()


def _killed(processes: list[psutil.Process]) -> list[psutil.Process]:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    return processes


def _mind_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _healthy(service: RunningService) -> bool:
    assert service.process.poll() is None, f"the service ended by itself:\n{service.output()}"
    try:
        # Each call of httpx reads all certificates, and here many come beside a service that needs the CPU to start.
        with direct.open(f"{service.url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


def listening(processes: list[psutil.Process]) -> set[int]:
    pids = {process.pid for process in processes}
    listeners = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.pid in pids]
    return {address.port for c in listeners if (address := c.laddr)}
