"""Other machines for tests: a second network namespace, joined to this one by a pair of virtual interfaces, and an
address of the internet that leads back here.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.needs import may_make_networks, missing

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 20).close()"


@contextmanager
def network() -> Iterator[tuple[str, Callable[[int], bool]]]:
    """This machine's address as the other sees it, and whether a port of it answers there."""
    if not may_make_networks():
        missing("needs root to make a network namespace", possible=False)
    if shutil.which("ip") is None:
        missing("needs iproute2 to make a network namespace")
    name = f"embed{os.getpid() % 100_000}"
    # An address block for tests (RFC 5737), one pair per process.
    block = os.getpid() % 64 * 4
    here, there = f"198.51.100.{block + 1}", f"198.51.100.{block + 2}"

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

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


@contextmanager
def public_address() -> Iterator[str | None]:
    """An address that counts as public and is this machine's alone for as long; None where that is not permitted."""
    # Of a block that is announced nowhere, one per process.
    address = f"11.98.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"

    def run(verb: str) -> bool:
        command = ["ip", "addr", verb, f"{address}/32", "dev", "lo"]
        return subprocess.run(command, capture_output=True, timeout=300, check=False).returncode == 0

    if not may_make_networks() or shutil.which("ip") is None or not run("add"):
        yield None
        return
    try:
        yield address
    finally:
        run("del")
