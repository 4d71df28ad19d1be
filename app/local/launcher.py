"""The local launcher: one service on one port, from start to a clean end. A child process runs Ray and Serve (`python
-m app serve-here`); this one tells the user what is going on, and leaves no process and no port at a stop."""

import errno
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import psutil
import watchfiles

from app.config.settings import AppArgs, LaunchSettings, process_environment, without_proxies
from app.errors import os_reason
from app.local import haproxy
from app.local.serve_environment import LocalPorts, environment, haproxy_binary, private
from app.local.service_folder import ServiceFolder
from app.system import ports, processes
from app.system.doze import Doze
from app.system.loopback import direct
from app.telemetry.start_steps import STARTED

GRACE_S = 7.0  # Serve drains for about 5 s; whatever is left then is killed: a stop takes 10 s at most
POLL_S = 0.1
# Once it serves: a signal, the end of a child and a changed file are heard of at once, HAProxy's refusal so late.
IDLE_POLL_S = 2.0
LEAST_OPEN_FILES = 1024  # of a process; HAProxy and Ray's own take some hundreds when idle
PLAIN_PROXY = "using Serve's plain proxy, which answers about ten times fewer requests."
SERVE_HERE = "serve-here"  # the child's own command of `python -m app`
REFUSED = 78  # the child's exit code once it has said why it starts nothing


def access_notice(args: AppArgs, settings: LaunchSettings) -> str:
    """Who may use the service. Raises ValueError if others could without a key, and `ALLOW_ANONYMOUS` is not set."""
    if args.asks_for_keys:
        return "Access: with an API key only (auth: required)."
    if settings.is_loopback:
        return f"Access: no API key is asked for (auth: off); only this machine can reach {settings.url}."
    if settings.allow_anonymous:
        return f"Access: ANYBODY who reaches {settings.listens_at}, without a key (ALLOW_ANONYMOUS)."
    raise ValueError(
        f"HOST={settings.host} can be reached by other machines, and no API keys are set. Make one with "
        "`python -m app key --tenant NAME` and set API_KEYS_FILE, or say ALLOW_ANONYMOUS=1 if anybody may use it."
    )


@dataclass(slots=True, eq=False)
class Launcher:
    settings: LaunchSettings
    config: str
    say: Callable[[str], None]
    reload: bool = False
    # Without what `.env` says, which each child reads anew.
    variables: dict[str, str] = field(default_factory=process_environment)
    _stopping: bool = False
    _doze: Doze = field(default_factory=Doze)
    _haproxy: str | None = field(default_factory=haproxy_binary)

    def run(self) -> int:
        """Serve until told to stop; the exit code."""
        open_files = processes.allow_open_files()
        if open_files < LEAST_OPEN_FILES:
            self.say(f"A service needs {LEAST_OPEN_FILES} open files; {open_files} are allowed here (ulimit -Hn).")
            return 1
        if (obstacle := self._obstacle()) is not None:
            self.say(obstacle)
            return 1
        processes.adopt_orphans()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        if self._haproxy is None:
            self.say(f"HAProxy was not found: {PLAIN_PROXY}")
        try:
            folder = ServiceFolder.take(self.settings.port, process_environment())
        except OSError as error:
            self.say(f"The service can't start: {error}.")
            return 1
        try:
            with self._doze:
                # Whatever it sees wakes the launcher.
                changed = self._watch() if self.reload else threading.Event()
                return self._run(folder, changed, open_files)
        finally:
            folder.close()

    def _run(self, folder: ServiceFolder, changed: threading.Event, open_files: int) -> int:
        while True:
            changed.clear()
            folder.tidy()
            try:
                child = self._start(folder.path, open_files)
            except OSError as error:
                self.say(self._obstacle() or f"The service can't start: {os_reason(error)}.")
                return 1
            try:
                code = self._wait(child, changed, folder.path)
            finally:
                self._end(child)
            refusal = haproxy.refusal(folder.path)
            if refusal is not None and not self._stopping:
                self._haproxy = None
                self.say(f"HAProxy is left out, as Serve configures it in an unknown way ({refusal}): {PLAIN_PROXY}")
                continue
            if child.returncode == REFUSED and not self.reload:
                return code
            if self._stopping or not self.reload:
                self.say("Stopped.")
                return code
            if not changed.is_set():
                self.say("Waiting for a change …")
            while not changed.is_set():
                if self._stopping:
                    return code
                self._doze.sleep(IDLE_POLL_S)

    def _watch(self) -> threading.Event:
        """Set whenever a source or setting changes."""
        changed = threading.Event()
        files = [Path(self.config), *(Path(name) for name in ("app", "deployments", ".env") if Path(name).exists())]

        def watch() -> None:
            for changes in watchfiles.watch(*files, raise_interrupt=False):
                self.say(f"Changed: {', '.join(sorted(path for _, path in changes))}")
                changed.set()
                self._doze.wake()

        threading.Thread(target=watch, daemon=True).start()
        return changed

    def _obstacle(self) -> str | None:
        """Why the service can't listen where it should, and what to do about it."""
        host, port = self.settings.host, self.settings.port
        if not ports.addresses(host):
            return f"HOST={host} is no address of this machine: 127.0.0.1 is, and 0.0.0.0 stands for all it has."
        refusal = ports.refusal(port, host)
        if refusal is None:
            return None
        another = f"PORT={ports.free_above(port if port >= 1024 else 2999, host)} make serve"
        if refusal.errno == errno.EACCES:
            return f"Port {port} is for the administrator's programs only. Choose another port: {another}"
        holder = ports.holder(port)
        name = processes.named(holder) if holder else "another process"
        if self.health("livez") is not None:
            return (
                f"Port {port} is taken by a service that works: {name} answers at {self.settings.url}. Use that one, "
                f"or start a second one beside it: {another}"
            )
        if holder is not None and is_left_over(holder):
            return (
                f"Port {port} is taken by {name}, a leftover of a service that was killed: it answers nobody. "
                f"End it with `kill {holder.pid}`, or choose another port: {another}"
            )
        return f"Port {port} is taken by {name}. Choose another port: {another}"

    def _start(self, folder: Path, open_files: int) -> "subprocess.Popen[bytes]":
        # Serve's own proxy binds one address: of two, IPv4's.
        host, script = min(ports.addresses(self.settings.host))[1], None
        if self._haproxy is not None:
            script = haproxy.write(folder, self._haproxy, self.settings.host, self.settings.port)
            # HAProxy alone listens where the user said: what stands behind it stays on loopback.
            host = "127.0.0.1"
        variables = self.variables | environment(LocalPorts.choose(), folder, script)
        env = variables | private(folder, variables, open_files) | without_proxies(process_environment())
        env |= {"HOST": host, "PORT": str(self.settings.port)}
        # An address of another cluster must not lead the local service astray.
        env.pop("RAY_ADDRESS", None)
        (folder / "steps").write_text("Python packages: loading\n")
        command = [sys.executable, "-m", "app", "--config", self.config, SERVE_HERE]
        # A session of its own: Ctrl-C in the terminal reaches this process only, which ends the rest in order.
        return subprocess.Popen(command, env=env, start_new_session=True)  # noqa: S603 - our own module

    def _wait(self, child: "subprocess.Popen[bytes]", changed: threading.Event, folder: Path) -> int:
        """The exit code, once the service has ended, has to be started anew, or is to stop."""
        began = time.monotonic()
        steps, shown = folder / "steps", 0
        announced = started = False
        while not (self._stopping or changed.is_set() or haproxy.refusal(folder) is not None):
            processes.reap_orphans(child.pid)
            ended = child.poll()
            for step in [] if announced else steps.read_text().splitlines()[shown:]:
                shown += 1
                started = started or step == STARTED
                self.say(f"{time.monotonic() - began:6.1f} s  {step}")
            if ended == REFUSED:
                return 1
            if ended is not None:
                self.say(f"The service ended by itself (exit code {ended}); see the messages above.")
                return 1
            if not announced and ((health := self.health()) is not None or started):
                # Of a service that is not ready yet no model works, or none that reads texts.
                announced = True
                self._announce(health, time.monotonic() - began)
            self._doze.sleep(IDLE_POLL_S if announced else POLL_S)
        return 0

    def health(self, route: str = "health") -> dict[str, Any] | None:
        """The answer of `/health` once it is 200."""
        try:
            with direct.open(f"{self.settings.url}/{route}", timeout=2) as answer:
                data = orjson.loads(answer.read()) if answer.status == 200 else None
                return data if isinstance(data, dict) else None
        # HTTPException: something that speaks no HTTP holds the port; the child will say that it can't bind it.
        except (OSError, HTTPException, orjson.JSONDecodeError):
            return None

    def _announce(self, health: Mapping[str, Any] | None, seconds: float) -> None:
        url = self.settings.url
        if health is None:
            self.say(f"\nStarted after {seconds:.1f} s, but no text model works; see above, or {url}/health")
        else:
            self.say(f"\nReady after {seconds:.1f} s: {url}   ({summary(health)})")
        health = health or {"details": ()}
        # Short where keys are asked for: this process has none.
        for model in health.get("details", ()):
            about = f"{model['dimensions']} dimensions, {model['backend']} {model['precision']}"
            self.say(f"  {model['kind']:5} {model['id']}: {about if model['status'] == 'ready' else model['reason']}")
            if model["note"]:
                self.say(f"        {model['note']}")
        key = "" if "details" in health else " -H 'authorization: Bearer KEY'"
        json = f"{key} -H 'content-type: application/json'"
        # As it can be pasted into another terminal.
        python = sys.executable.removeprefix(f"{Path.cwd()}/")
        port = "" if self.settings.port == LaunchSettings().port else f"PORT={self.settings.port} "
        self.say(
            f"  page  {url}/   documentation: {url}/docs\n"
            f'  try   curl -s {url}/embed/text{json} -d \'{{"texts": ["Hello"]}}\'\n'
            f"  logs  {port}{python} -m app logs --follow\n"
            "  stop  Ctrl-C\n"
        )

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self._stopping:
            self.say("\nStopping …")
        self._stopping = True

    def _end(self, child: "subprocess.Popen[bytes]") -> None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
        processes.end_descendants()


def summary(health: Mapping[str, Any]) -> str:
    """The status; a built-in model in place of one that was not asked for is no alarm."""
    models = health.get("details", ())
    built_in = [model for model in models if model["note"] and model["status"] == "ready"]
    whole = health.get("cache", {}).get("available") and all(model["status"] == "ready" for model in models)
    if health["status"] == "degraded" and built_in and whole and all("shapes-clip" in m["note"] for m in built_in):
        return "ready; images by the built-in model"
    return str(health["status"])


def is_left_over(holder: psutil.Process) -> bool:
    """Whether it is an HAProxy of Serve's whose Ray is gone."""
    with suppress(psutil.Error):
        ours = any("embed-" in word or "haproxy-serve" in word for word in holder.cmdline())
        return ours and all(parent.name() != "raylet" for parent in holder.parents())
    return False
