"""Processes of this machine: those that a start began, and their end. Ray's daemons leave their parent's group and tree
when it dies; on Linux this process adopts such orphans ("child subreaper", prctl(2)), so that all stay below it."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from types import FrameType

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MANY_FILES = 65_536


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies. Linux only; elsewhere nothing happens."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent is gone. Linux only."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def reap_orphans(spared: int) -> list[int]:
    """Collect the exit codes of adopted processes that have ended, which stay as zombies until then; returns their
    pids. `spared`: a child that somebody else waits for. Linux only."""
    reaped: list[int] = []
    with suppress(ChildProcessError):
        while sys.platform == "linux":
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == spared:
                break
            os.waitpid(ended.si_pid, 0)
            reaped.append(ended.si_pid)
    return reaped


def named(process: psutil.Process) -> str:
    try:
        return f"{process.name()} (pid {process.pid})"
    except psutil.Error:  # gone meanwhile, or not ours to look at
        return f"pid {process.pid}"


def allow_open_files() -> int:
    """As many open files as this process and its children may have; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def end_descendants(patience_s: float = 3.0, spared: Collection[int] = ()) -> list[str]:
    """SIGKILL whatever is left below this process, until nothing is; returns what was killed. `spared`: pids."""
    killed: list[str] = []
    give_up = time.monotonic() + patience_s
    while (left := [p for p in descendants() if p.pid not in spared and _alive(p)]) and time.monotonic() < give_up:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                killed.append(f"{process.name()} ({process.pid})")
                process.kill()
        psutil.wait_procs(left, timeout=1.0)
    return killed


def watch_over(command: Sequence[str], env: Mapping[str, str], grace_s: float) -> int:
    """Run a command and leave nothing of it behind, whoever is killed; its exit code. At a stop it has `grace_s`."""
    adopt_orphans()
    child = subprocess.Popen(command, env=env, start_new_session=True)  # noqa: S603 - the caller's own
    stopping: list[float] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(time.monotonic())
        child.terminate()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    while child.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.5)
        if stopping and time.monotonic() - stopping[0] > grace_s:
            child.kill()
    end_descendants()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
