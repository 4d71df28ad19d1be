"""`python -m app dev`: when the service is started anew, and with what. Only Ray and Serve are left out."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from loadtests.kept_port import kept_port
from loadtests.running import ROOT, clean_environment, wait_for, write_config

LAUNCHER = """
import sys
from app import __main__ as command
from app.local import launcher
launcher.sys.executable = sys.argv[1]
sys.exit(command.main(sys.argv[2:]))
"""
# Stands for the interpreter that the launcher starts: writes down what would serve. With a file `ends` it ends by
# itself.
CHILD = """
import os, sys, time
from pathlib import Path
from app import __main__ as command
def serve(args, settings):
    with open("starts", "a") as file:
        print(settings.port, args.cache.ttl_ms, args.cache.max_size, os.getpid(), file=file)
    if Path("ends").exists():
        sys.exit(3)
    time.sleep(600)
command._serve_here = serve
sys.exit(command.main(sys.argv[3:]))  # behind `-m app`
"""


class Dev:
    """The command with its folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        (folder / "app").mkdir()
        (folder / "child.py").write_text(CHILD)
        interpreter = folder / "python"
        interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} "{folder}/child.py" "$@"\n')
        interpreter.chmod(0o700)
        config = write_config(folder)
        (folder / ".env").write_text(f"CACHE_MAX_SIZE=60\nCACHE_TTL=6\nPORT={port}\n")
        self.output = (folder / "said").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, interpreter, "--config", config.name, "dev"],
            cwd=folder,
            env=clean_environment(CACHE_TTL="7"),
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )

    def starts(self) -> list[list[int]]:
        """Of each: port, life and size of the cache, process id."""
        file = self.folder / "starts"
        return [[int(word) for word in line.split()] for line in file.read_text().splitlines()] if file.exists() else []

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def change(self, name: str, content: str) -> None:
        """Writes until the change is seen, as the watching may begin after the first start; then waits for a start."""
        starts, changes = len(self.starts()), self.said().count("Changed:")

        def is_seen() -> bool:
            (self.folder / name).write_text(content)
            return self.said().count("Changed:") > changes

        wait_for(is_seen, 60, lambda: f"a change of {name} that is seen; it said:\n{self.said()}")
        wait_for(lambda: len(self.starts()) > starts, 60, lambda: f"a start after a change of {name}: {self.said()}")

    def last(self, *values: int) -> None:
        wait_for(lambda: self.starts() and self.starts()[-1][:3] == [*values], 60, lambda: f"{values}: {self.starts()}")


def test_dev_restarts_when_a_source_or_a_setting_changes(tmp_path: Path) -> None:
    with kept_port() as port:
        dev = Dev(tmp_path, port)
        try:
            dev.last(port, 7, 60)  # the environment wins over `.env`
            first = psutil.Process(dev.starts()[0][3])
            dev.change("app/one.py", "1")
            assert not first.is_running()
            assert f"Changed: {tmp_path / 'app' / 'one.py'}\n" in dev.said()
            dev.last(port, 7, 60)
            # Its new lines count, but for where the launcher itself listens and what the environment says.
            dev.change(".env", f"CACHE_MAX_SIZE=61\nCACHE_TTL=8\nPORT={port + 1}\n")
            dev.last(port, 7, 61)
            (tmp_path / "ends").touch()
            dev.change("serve_config.yaml", (ROOT / "serve_config.yaml").read_text())
            wait_for(lambda: "Waiting for a change" in dev.said(), 60, dev.said)
            assert "The service ended by itself (exit code 3)" in dev.said()
            (tmp_path / "ends").unlink()
            dev.change("app/one.py", "2")
            last = psutil.Process(dev.starts()[-1][3])
            dev.process.send_signal(signal.SIGTERM)
            assert dev.process.wait(60) == 0
            assert not last.is_running()
            assert dev.said().rstrip().endswith("Stopped.")
        finally:
            dev.process.kill()
            dev.process.wait()
            dev.output.close()
