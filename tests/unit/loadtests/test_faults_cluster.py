"""The Redis of the fault runs: a real one, which is killed and finds what it was told."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from loadtests.faults import cluster
from loadtests.kept_port import kept_port
from loadtests.running import wait_for
from tests.support.aio import Clock

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


def ask(redis: cluster.Redis, command: str) -> str:
    host, port = redis.variables()["RAY_REDIS_ADDRESS"].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(100).decode()


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as port:
        yield port


def test_what_a_killed_redis_was_told_is_there_when_it_is_back(tmp_path: Path, port: int) -> None:
    clock = Clock()
    redis = cluster.Redis(tmp_path, port, clock)
    try:
        [process] = [each for each in psutil.Process().children() if each.name() == "redis-server"]
        # By its environment the killer knows whose it is: a title would be written over it.
        assert process.environ()["PATH"] == os.environ["PATH"]
        assert ask(redis, "SET gcs known") == "+OK\r\n"
        process.kill()
        process.wait()
        wait_for(lambda: not redis.answers(), what="the end of Redis")
        redis.mend()
        clock.now += cluster.REDIS_AWAY_S - 1
        redis.mend()
        assert not redis.answers()
        clock.now += 1
        redis.mend()
        wait_for(redis.answers, what="the next Redis")
        assert ask(redis, "GET gcs") == "$5\r\nknown\r\n"
    finally:
        redis.end()
