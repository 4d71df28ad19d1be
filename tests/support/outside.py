"""A second network namespace, joined to this one by a pair of virtual interfaces: another machine, for one test."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"


@contextmanager
def network() -> Iterator[tuple[str, Callable[[int], bool]]]:
    """This machine's address as the other sees it, and whether a port of it answers there."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("needs root and iproute2 to make a network namespace")
    name = f"embed{os.getpid() % 100_000}"
    # An address block for tests (RFC 5737), one pair per process.
    here, there = "198.51.100.1", "198.51.100.2"

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    made = run("ip", "netns", "add", name)
    if made.returncode != 0:
        pytest.skip(f"a network namespace is not permitted here: {made.stderr.strip()}")
    try:
        for command in (
            f"ip link add {name} type veth peer name {name}o",
            f"ip link set {name}o netns {name}",
            f"ip addr add {here}/30 dev {name}",
            f"ip link set {name} up",
            f"ip -n {name} addr add {there}/30 dev {name}o",
            f"ip -n {name} link set {name}o up",
        ):
            done = run(*command.split())
            if done.returncode != 0:
                pytest.skip(f"virtual interfaces are not permitted here: {done.stderr.strip()}")

        def answers(port: int) -> bool:
            command = ["ip", "netns", "exec", name, sys.executable, "-c", CONNECT, here, str(port)]
            return run(*command).returncode == 0

        yield here, answers
    finally:
        run("ip", "link", "del", name)
        run("ip", "netns", "del", name)
