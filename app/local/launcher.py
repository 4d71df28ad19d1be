"""The local launcher: one service on one port, from start to a clean end. Knows processes, not Ray.

A child process runs Ray and Serve (`python -m app serve-here`); this one waits, tells the user what is going on, and
on Ctrl-C or SIGTERM sees to it that no process and no port is left.
"""

import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import FrameType

import orjson
import watchfiles

from app.config.settings import AppArgs, LaunchSettings, process_environment
from app.local import haproxy
from app.local.serve_environment import LocalPorts, environment, haproxy_binary
from app.system import ports, processes

# Serve drains for about 5 s (flags). Whatever is left then is killed, so that a stop takes 10 s at most.
GRACE_S = 7.0
POLL_S = 0.1
PLAIN_PROXY = "using Serve's plain proxy, which answers about ten times fewer requests."
SERVE_HERE = "serve-here"  # the child's own command of `python -m app`


def access_notice(args: AppArgs, settings: LaunchSettings) -> str:
    """Who may use the service, for the log.

    Raises:
        ValueError: Other machines could, without a key, and `ALLOW_ANONYMOUS` is not set.
    """
    if args.asks_for_keys:
        return "Access: with an API key only (auth: required)."
    if settings.is_loopback:
        return f"Access: no API key is asked for (auth: off); only this machine can reach {settings.url}."
    if settings.allow_anonymous:
        return f"Access: ANYBODY who reaches {settings.host}:{settings.port}, without a key (ALLOW_ANONYMOUS)."
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
    _haproxy: str | None = field(default_factory=haproxy_binary)

    def run(self) -> int:
        """Serve until told to stop; the exit code."""
        if (obstacle := self._obstacle()) is not None:
            self.say(obstacle)
            return 1
        processes.adopt_orphans()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        changed = self._watch() if self.reload else threading.Event()
        if self._haproxy is None:
            self.say(f"HAProxy was not found: {PLAIN_PROXY}")
        while True:
            changed.clear()
            with tempfile.TemporaryDirectory(prefix="embed-", ignore_cleanup_errors=True) as folder:
                try:
                    child = self._start(Path(folder))
                except OSError as error:
                    self.say(self._obstacle() or f"The service can't start: {error}")
                    return 1
                try:
                    code = self._wait(child, changed, Path(folder))
                finally:
                    self._end(child)
                refusal = haproxy.refusal(Path(folder))
            if refusal is not None and not self._stopping:
                self._haproxy = None
                self.say(f"HAProxy is left out, as Serve configures it in an unknown way ({refusal}): {PLAIN_PROXY}")
                continue
            if self._stopping or not self.reload:
                self.say("Stopped.")
                return code
            if not changed.is_set():
                self.say("Waiting for a change …")
            while not changed.wait(POLL_S):
                if self._stopping:
                    return code

    def _watch(self) -> threading.Event:
        """Set whenever a source or setting changes."""
        changed = threading.Event()
        files = [Path(self.config), *(Path(name) for name in ("app", "deployments", ".env") if Path(name).exists())]

        def watch() -> None:
            for changes in watchfiles.watch(*files, raise_interrupt=False):
                self.say(f"Changed: {', '.join(sorted(path for _, path in changes))}")
                changed.set()

        threading.Thread(target=watch, daemon=True).start()
        return changed

    def _obstacle(self) -> str | None:
        """Why the service can't listen where it should, and what to do about it."""
        host, port = self.settings.host, self.settings.port
        if not ports.is_free(0, host):  # of any port at all
            return f"HOST={host} is no address of this machine: 127.0.0.1 is, and 0.0.0.0 stands for all it has."
        if not ports.is_free(port, host):
            holder = ports.holder(port) or "another process"
            hint = ""
            if holder.startswith("haproxy"):
                hint = " It is a leftover of a Ray that was killed: end it with `kill <pid>`."
            return (
                f"Port {port} is taken by {holder}.{hint}\n"
                f"End that process, or choose another port: PORT={port + 1} make serve"
            )
        return None

    def _start(self, folder: Path) -> "subprocess.Popen[bytes]":
        host, script = self.settings.host, None
        if self._haproxy is not None:
            script = haproxy.write(folder, self._haproxy, host, self.settings.port)
            # HAProxy alone listens where the user said: what stands behind it stays on loopback.
            host = "127.0.0.1"
        own = {"HOST": host, "PORT": str(self.settings.port)}
        env = self.variables | environment(LocalPorts.choose(), folder, script) | own
        # An address of another cluster must not lead the local service astray.
        env.pop("RAY_ADDRESS", None)
        command = [sys.executable, "-m", "app", "--config", self.config, SERVE_HERE]
        # A session of its own: Ctrl-C in the terminal reaches this process only, which ends the rest in order.
        return subprocess.Popen(command, env=env, start_new_session=True)  # noqa: S603 - our own module

    def _wait(self, child: "subprocess.Popen[bytes]", changed: threading.Event, folder: Path) -> int:
        """The exit code, once the service has ended, has to be started anew, or is to stop."""
        started = time.monotonic()
        announced = False
        while not (self._stopping or changed.is_set() or haproxy.refusal(folder) is not None):
            processes.reap_orphans(child.pid)
            if child.poll() is not None:
                self.say(f"The service ended by itself (exit code {child.returncode}); see the messages above.")
                return 1
            if not announced and (health := self.health()) is not None:
                announced = True
                self._announce(health, time.monotonic() - started)
            time.sleep(POLL_S)
        return 0

    def health(self) -> dict[str, object] | None:
        """The answer of `/health` once it is 200."""
        try:
            with urllib.request.urlopen(f"{self.settings.url}/health", timeout=2) as answer:  # noqa: S310 - own URL
                data: dict[str, object] = orjson.loads(answer.read())
                return data
        # HTTPException: something that speaks no HTTP holds the port; the child will say that it can't bind it.
        except (OSError, HTTPException, orjson.JSONDecodeError):
            return None

    def _announce(self, health: dict[str, object], seconds: float) -> None:
        url = self.settings.url
        key = "" if "details" in health else " -H 'authorization: Bearer KEY'"
        self.say(f"\nReady after {seconds:.1f} s: {url}   ({health['status']})")
        # Short where keys are asked for: this process has none.
        for model in health.get("details", ()):  # type: ignore[attr-defined]
            about = f"{model['dimensions']} dimensions, {model['backend']} {model['precision']}"
            self.say(f"  {model['kind']:5} {model['id']}: {about if model['status'] == 'ready' else model['reason']}")
            if model["note"]:
                self.say(f"        {model['note']}")
        self.say(
            f"  try   curl -s {url}/embed/text{key} -H 'content-type: application/json' -d '{{\"texts\": [\"Hello\"]}}'"
        )
        self.say("  stop  Ctrl-C\n")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self._stopping:
            self.say("\nStopping …")
        self._stopping = True

    def _end(self, child: "subprocess.Popen[bytes]") -> None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
        processes.end_descendants()
