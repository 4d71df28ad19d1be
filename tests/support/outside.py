"""Other machines for tests: a second network namespace, joined to this one by a pair of virtual interfaces, and an
address of the internet that leads back here."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import psutil

from tests.support.needs import may_make_networks, missing

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 20).close()"


@contextmanager
def network() -> Iterator[tuple[str, Callable[[int], bool]]]:
    """This machine's address as another one sees it, and whether a port of it answers there.

    Where no namespace may be made, the other is this machine: what is on loopback alone has no such address either.
    """
    with _namespace() as joined:
        address, inside = joined or (_own_address(), [])

        def answers(port: int) -> bool:
            return _run(*inside, sys.executable, "-c", CONNECT, address, str(port))

        yield address, answers


@contextmanager
def _namespace() -> Iterator[tuple[str, list[str]] | None]:
    """This machine's address in it, and the words before a command that runs there."""
    name = f"embed{os.getpid() % 100_000}"
    # An address block for tests (RFC 5737), one pair per process.
    block = os.getpid() % 64 * 4
    here, there = f"198.51.100.{block + 1}", f"198.51.100.{block + 2}"
    commands = (
        f"ip netns add {name}",
        f"ip link add {name} type veth peer name {name}o",
        f"ip link set {name}o netns {name}",
        f"ip addr add {here}/30 dev {name}",
        f"ip link set {name} up",
        f"ip -n {name} addr add {there}/30 dev {name}o",
        f"ip -n {name} link set {name}o up",
    )
    try:
        able = may_make_networks() and all(_run(*command.split()) for command in commands)
        yield (here, ["ip", "netns", "exec", name]) if able else None
    finally:
        _run("ip", "link", "del", name)
        _run("ip", "netns", "del", name)


def _own_address() -> str:
    every = (one for interface in psutil.net_if_addrs().values() for one in interface)
    addresses = (one.address for one in every if one.family == socket.AF_INET)
    address = next((one for one in addresses if not ip_address(one).is_loopback), None)
    return address or missing("needs an address that is not loopback's", possible=False)


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=300, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def public_address() -> Iterator[str | None]:
    """An address that counts as public and is this machine's alone for as long; None where that is not permitted."""
    # Of a block that is announced nowhere, one per process.
    address = f"11.98.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"

    def run(verb: str) -> bool:
        return _run("ip", "addr", verb, f"{address}/32", "dev", "lo")

    if not may_make_networks() or not run("add"):
        yield None
        return
    try:
        yield address
    finally:
        run("del")
