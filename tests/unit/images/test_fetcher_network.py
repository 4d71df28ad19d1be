"""No packet leaves for a forbidden address: real sockets and a real resolver, in a network of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.far_servers import FORBIDDEN
from tests.support.needs import may_make_networks, missing
from tests.support.url_probe import PUBLIC

ROOT = Path(__file__).parents[3]
# Root needs no user namespace, which may be forbidden.
APART = ["unshare", *([] if may_make_networks() else ["--map-root-user"]), "--net", "--mount"]
NOTHING = "400 No image can be fetched from this URL."


def apart(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [*APART, "sh", "-c", script, "sh", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if apart("ip link set lo up").returncode:
        missing("this system lets nobody make network namespaces", possible=may_make_networks())
    resolver = tmp_path_factory.mktemp("dns") / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    run = apart(
        'ip link set lo up && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"',
        str(resolver),
        sys.executable,
        "-m",
        "tests.support.url_probe",
        *FORBIDDEN.split(),
    )
    assert run.returncode == 0, run.stderr
    result: dict[str, Any] = json.loads(run.stdout)
    return result


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("way", ["name of", "literal"])
def test_packets_are_seen_where_there_are_some(found: dict[str, Any], address: str, way: str) -> None:
    assert found["answers"][f"{way} {address}"] == ["an image", [address]]


def test_no_packet_to_any_forbidden_address(found: dict[str, Any]) -> None:
    wrong = {
        (name, answer, *packets)
        for name, (answer, packets) in found["answers"].items()
        if any(name.endswith(f" {address}") for address in FORBIDDEN.split()) and (packets or answer != NOTHING)
    }
    # A zone id can't even be written into a URL.
    zones = {("400 The URL's host is malformed: send a plain name, without a user name.")}
    assert {(name, answer) for name, answer, *packets in wrong if packets or "%" not in name} == set()
    assert {answer for _, answer, *_ in wrong} <= zones
    assert len(found["answers"]) > 2 * len(FORBIDDEN.split())


def test_a_name_that_is_public_when_checked_is_not_looked_up_again(found: dict[str, Any]) -> None:
    assert found["answers"]["rebinding, first"] == ["an image", [PUBLIC[0]]]
    assert found["asked for the first"] == 1
    assert found["answers"]["rebinding, then"] == [NOTHING, []]


def test_the_local_host_by_name(found: dict[str, Any]) -> None:
    assert found["answers"]["localhost"] == [NOTHING, []]
