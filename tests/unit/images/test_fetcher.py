import asyncio
from typing import Any

import pytest

from app.errors import InvalidImage, PayloadTooLarge, ServiceError
from app.images.fetcher import Budget
from loadtests.pictures import limits
from tests.support.aio import in_time, run, until
from tests.support.far_servers import HERE, Internet, moved, ok

URL = "http://img.example.org/a.png?b=1"
NOTHING = "No image can be fetched from this URL."
FORBIDDEN = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]


@pytest.fixture
def net() -> Internet:
    return Internet({"img.example.org": [[HERE]]})


def fetched(net: Internet, answer: Any, url: str = URL, **options: Any) -> bytes:
    async def go() -> bytes:
        async with net.serving(answer):
            return await in_time(net.fetch(url, **options))

    return run(go())


def refused(net: Internet, answer: Any = b"", url: str = URL, **options: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        fetched(net, answer, url, **options)
    assert caught.value.param == "images.3"
    return caught.value


def test_the_request_is_the_names_and_the_connection_the_addresses(net: Internet) -> None:
    assert fetched(net, ok(b"an image")) == b"an image"
    assert net.connected == [(HERE, 80)]
    lines = net.requests[0].decode().lower().split("\r\n")
    assert lines[0] == "get /a.png?b=1 http/1.1"
    assert "host: img.example.org" in lines
    assert "accept-encoding: identity" in lines


def test_bodies_in_every_framing(net: Internet) -> None:
    assert (
        fetched(net, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        == b"abcde"
    )
    assert fetched(net, b"HTTP/1.0 200 OK\r\n\r\nabc") == b"abc"
    assert fetched(net, ok(b"abc", "content-type: text/html", "content-encoding: gzip")) == b"abc"


def test_an_address_in_the_url(net: Internet) -> None:
    assert fetched(net, ok(b"x"), f"http://{HERE}/") == b"x"
    assert net.asked == []


@pytest.mark.parametrize("address", FORBIDDEN)
@pytest.mark.parametrize("where", ["alone", "first", "last"])
def test_forbidden_addresses_are_never_connected_to(net: Internet, address: str, where: str) -> None:
    net.names["img.example.org"] = [{"alone": [address], "first": [address, HERE], "last": [HERE, address]}[where]]
    assert refused(net).message == NOTHING
    assert net.connected == []


@pytest.mark.parametrize("address", FORBIDDEN)
def test_forbidden_addresses_that_are_allowed_as_hosts_stay_forbidden(net: Internet, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert refused(net, url=f"http://{host}/", hosts=(host,)).message == NOTHING
    assert net.connected == []


def test_a_name_that_turns_to_another_address_is_looked_up_once(net: Internet) -> None:
    net.names["img.example.org"] = [[HERE], ["127.0.0.1"]]
    assert fetched(net, ok(b"x")) == b"x"
    assert net.asked == ["img.example.org"]
    assert net.connected == [(HERE, 80)]
    assert refused(net).message == NOTHING  # now it is 127.0.0.1
    assert net.connected == [(HERE, 80)]


def test_a_name_that_turns_between_the_hops_of_a_redirect(net: Internet) -> None:
    net.names["img.example.org"] = [[HERE], ["169.254.169.254"]]
    assert refused(net, moved("/again")).message == NOTHING
    assert net.asked == ["img.example.org"] * 2
    assert net.connected == [(HERE, 80)]


def test_redirects_are_followed_and_checked(net: Internet) -> None:
    net.names["other.example.org"] = [[HERE]]

    async def via(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"there") if b"host: other.example.org" in head.lower() else moved("//other.example.org/there"))

    assert fetched(net, via) == b"there"
    assert net.asked == ["img.example.org", "other.example.org"]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://0x7f.1/",
        "http://2130706433/",
        "//localhost/",
        "http://internal.test/",
        "http://not-allowed.test/",
        "file:///etc/passwd",
        "ftp://img.example.org/",
        "gopher://img.example.org/",
        "http://img.example.org:22/",
        "http://user@img.example.org/",
        "http://img.example.org\\@127.0.0.1/",
        "http://[::1",
        "http://img.example.org/\x80\x01",
    ],
)
def test_redirects_to_what_is_not_allowed(net: Internet, location: str) -> None:
    net.names |= {"internal.test": [["10.0.0.1"]], "localhost": [["127.0.0.1"]], "not-allowed.test": [[HERE]]}
    hosts = ("img.example.org", "internal.test", "localhost", "127.0.0.1", "[::1]")
    assert refused(net, moved(location), hosts=hosts).message == NOTHING
    assert net.connected == [(HERE, 80)]


@pytest.mark.parametrize(("redirects", "hops"), [(0, 1), (2, 3)])
def test_redirects_end(net: Internet, redirects: int, hops: int) -> None:
    assert refused(net, moved("/round"), redirects=redirects).message == NOTHING
    assert len(net.connected) == hops


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 1\r\n\r\nx",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 206 Partial\r\ncontent-length: 1\r\n\r\nx",
        b"HTTP/1.1 500 Oh\r\ncontent-length: 1\r\n\r\nx",
        b"HTTP/1.1 302 Moved\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x16\x03\x01\0\0",
        b"220 smtp\r\n",
    ],
)
def test_whatever_goes_wrong_is_said_in_the_same_words(net: Internet, answer: bytes) -> None:
    error = refused(net, answer)
    assert (type(error), error.message) == (InvalidImage, NOTHING)


def test_names_and_servers_that_are_not_there_are_the_same_too(net: Internet) -> None:
    net.names["nobody.test"] = [["93.184.215.99"]]
    net.names["empty.test"] = [[]]
    net.names["many.test"] = [[f"93.184.215.{i}" for i in range(17)]]
    for host in ("missing.test", "nobody.test", "empty.test", "many.test"):
        assert refused(net, url=f"http://{host}/").message == NOTHING
    assert refused(net, ok(b"x"), url="https://img.example.org/", timeout_s=0.2).message == NOTHING  # no TLS there


def test_a_second_address_is_tried(net: Internet) -> None:
    net.names["img.example.org"] = [["93.184.215.99", HERE]]
    assert fetched(net, ok(b"x")) == b"x"


def test_a_declared_size_is_refused_before_it_is_read(net: Internet) -> None:
    error = refused(net, b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\nx", limits=limits(image_bytes=1000))
    assert isinstance(error, PayloadTooLarge)
    assert error.message == "The image has too many bytes; at most 1,000 are allowed."


def test_an_endless_body_is_counted_while_it_comes(net: Internet) -> None:
    sent = 0

    async def endless(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 2**16)
            await writer.drain()
            sent += 2**16

    assert isinstance(refused(net, endless, limits=limits(image_bytes=100_000)), PayloadTooLarge)
    assert sent < 2**25  # what fits into the buffers of a connection
    assert fetched(net, ok(b"x" * 100_000), limits=limits(image_bytes=100_000)) == b"x" * 100_000


async def test_all_images_of_a_request_have_one_budget(net: Internet) -> None:
    fetcher, budget = net.fetcher(), Budget(250)
    async with net.serving(ok(b"x" * 100)):
        for _ in range(2):
            assert len(await fetcher.fetch(URL, budget=budget, param="p")) == 100
        with pytest.raises(PayloadTooLarge, match="more than 250 bytes in total"):
            await fetcher.fetch(URL, budget=budget, param="p")


async def test_a_server_that_drips_is_left(net: Internet) -> None:
    gone = asyncio.Event()

    async def drip(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    async with net.serving(drip):
        with pytest.raises(InvalidImage, match="No image can be fetched"):
            await in_time(net.fetch(URL, timeout_s=0.2))
        await gone.wait()


async def test_the_time_counts_for_all_hops_and_for_the_wait(net: Internet) -> None:
    async def never(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    fetcher = net.fetcher(timeout_s=0.05, fetches=1)
    async with net.serving(never):
        with pytest.raises(InvalidImage, match=NOTHING):
            await in_time(fetcher.fetch(URL, budget=Budget(1), param="p"))
        assert len(net.connected) == 1
        async with fetcher._slots:  # noqa: SLF001 - somebody else has the only one
            with pytest.raises(InvalidImage, match=NOTHING):
                await in_time(fetcher.fetch(URL, budget=Budget(1), param="p"))
        assert len(net.connected) == 1


async def test_concurrent_fetches_limit(net: Internet) -> None:
    under_way, most = 0, 0
    go_on = asyncio.Event()

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1
        writer.write(ok(b"x"))

    fetcher = net.fetcher(fetches=3)
    async with net.serving(answer):
        tasks = [asyncio.create_task(fetcher.fetch(URL, budget=Budget(9), param="p")) for _ in range(9)]
        await until(lambda: under_way == 3)
        go_on.set()
        assert await asyncio.gather(*tasks) == [b"x"] * 9
    assert most == 3


def test_the_environment_names_no_proxy(net: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert fetched(net, ok(b"x")) == b"x"
    assert net.connected == [(HERE, 80)]


def test_the_log_has_the_reason_and_the_answer_has_not(net: Internet, caplog: pytest.LogCaptureFixture) -> None:
    net.names["img.example.org"] = [["10.1.2.3"]]
    with caplog.at_level("INFO"):
        assert "10.1.2.3" not in str(refused(net))
    assert "10.1.2.3 is not a public address" in caplog.text
