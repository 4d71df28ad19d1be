from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.config.args import ImageUrls
from app.errors import InvalidImage
from app.images import url as image_url
from app.images.public_address import is_public

HOSTS = ("img.example.org", "*.cdn.example.org", "93.184.215.14", "[2606:4700::1]", "xn--bcher-kva.example")


def allow(*hosts: str, **changes: Any) -> ImageUrls:
    return ImageUrls.model_validate({"hosts": hosts or HOSTS} | changes)


def refused(url: str, *hosts: str, **changes: Any) -> str:
    with pytest.raises(InvalidImage) as caught:
        image_url.parse(url, allow(*hosts, **changes), param="images.4")
    assert caught.value.param == "images.4"
    return caught.value.message


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("https://img.example.org", "img.example.org", 443, "/"),
        ("https://img.example.org/a.png", "img.example.org", 443, "/a.png"),
        ("HTTPS://IMG.Example.ORG/A.png?b=%20C#d", "img.example.org", 443, "/A.png?b=%20C"),
        ("https://img.example.org?x=1", "img.example.org", 443, "/?x=1"),
        ("https://img.example.org./", "img.example.org", 443, "/"),
        ("https://img.example.org:443/", "img.example.org", 443, "/"),
        ("https://img.example.org:80/", "img.example.org", 80, "/"),
        ("https://a.cdn.example.org/", "a.cdn.example.org", 443, "/"),
        ("https://b.a.cdn.example.org/", "b.a.cdn.example.org", 443, "/"),
        ("https://img.example.org/ü.png", "img.example.org", 443, "/%C3%BC.png"),
        ("https://ｉｍｇ。example．org/", "img.example.org", 443, "/"),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://93.184.215.14/a", ip_address("93.184.215.14"), 443, "/a"),
        ("https://[2606:4700:0:0::1]/a", ip_address("2606:4700::1"), 443, "/a"),
    ],
)
def test_urls_that_are_allowed(url: str, host: object, port: int, target: str) -> None:
    read = image_url.parse(url, allow(), param="p")
    assert (read.scheme, read.host, read.port, read.target) == ("https", host, port, target)


def test_the_host_header_has_the_port_where_it_is_not_the_schemes_own() -> None:
    both = allow(schemes=("http", "https"), ports=(80, 443))
    for url, authority in (
        ("http://img.example.org:80/", "img.example.org"),
        ("http://img.example.org:443/", "img.example.org:443"),
        ("https://[2606:4700::1]:80/", "[2606:4700::1]:80"),
    ):
        assert image_url.parse(url, both, param="p").authority == authority


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "gopher", "data", "javascript", "unix", "https+unix"])
def test_urls_of_other_schemes_are_refused(scheme: str) -> None:
    assert refused(f"{scheme}://img.example.org/a.png") == "Image URLs must begin with https://."


@pytest.mark.parametrize("port", ["0", "22", "25", "81", "8080", "6379", "65535", "65536", "99999"])
def test_urls_of_other_ports_are_refused(port: str) -> None:
    assert refused(f"https://img.example.org:{port}/") == "Image URLs may only use the ports 443, 80."


@pytest.mark.parametrize("port", ["00443x", "x", "-1"])
def test_what_is_no_port(port: str) -> None:
    words = "The URL's host is malformed: send a plain name, without a user name."
    assert refused(f"https://img.example.org:{port}/") == words


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "cdn.example.org",
        "xcdn.example.org",
        "img.example.org.evil.test",
        "evilimg.example.org",
        "localhost",
        "93.184.215.15",
        "127.0.0.1",
        "[::1]",
        "[::ffff:93.184.215.14]",
        "[2606:4700::2]",
    ],
)
def test_urls_of_other_hosts_are_refused(host: str) -> None:
    assert refused(f"https://{host}/a.png") == "This URL's host is not allowed; send the image itself."


@pytest.mark.parametrize(
    "host",
    [
        "img.example.org@127.0.0.1",
        "user:password@img.example.org",
        "127.0.0.1#@img.example.org",
        "127.0.0.1\\@img.example.org",
        "img.example.org%2f@127.0.0.1",
        "img.example.org\t",
        "img.example.org\n.evil.test",
        "img.example.org\0.evil.test",
        "img.example .org",
        "%31%32%37.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.1..",
        "1.2.3.4.5",
        "256.256.256.256",
        "１２７.0.0.1.",
        "①②⑦.1",
        "0x",
        "a.0x7f",
        "a.1",
        "[::1%lo]",
        "[::1%25lo]",
        "[fe80::1%eth0]",
        "[::1",
        "::1",
        "[v1.x]",
        "[]",
        "[img.example.org]",
        "",
        ".",
        "..",
        "img..example.org",
        ".img.example.org",
        "img.example.org..",
        "-a.cdn.example.org",
        "a-.cdn.example.org",
        "a" * 64 + ".cdn.example.org",
        "a." * 130 + "cdn.example.org",
        "ex*mple.cdn.example.org",
        "a,b.cdn.example.org",
        "img.example.org:",
        "img.example.org:80:80",
        "img.example.org:-1",
        "img.example.org:+443",
        "img.example.org:٤٤٣",
        "\ud800.cdn.example.org",
        "a\u00ad.cdn.example.org\u202e",
        "xn--a.cdn.example.orgü",
    ],
)
def test_hosts_that_readers_of_urls_differ_about(host: str) -> None:
    """None gets through, though all names are allowed."""
    everything = ("*", "*.example.org", "127.0.0.1", "[::1]")
    try:
        read = image_url.parse(f"https://{host}/a.png", allow(*everything), param="p")
    except InvalidImage:
        return
    # "127.0.0.1#@…" is the address, as everyone reads it.
    assert host.startswith("127.0.0.1#")
    assert not isinstance(read.host, str)
    assert not is_public(read.host)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https",
        "https:",
        "https:/img.example.org/",
        "https:img.example.org",
        "https:\\\\img.example.org/",
        "//img.example.org/",
        " https://img.example.org/",
        "https://img.example.org/ a",
        "https://img.example.org/\r\nHost: evil",
        "https://img.example.org/a\x7f",
        "https://img.example.org/\ud800",
        "https://img.example.org/" + "a" * 2048,
    ],
)
def test_what_is_no_url(url: str) -> None:
    refused(url)


def test_a_star_is_every_name_and_no_address() -> None:
    assert image_url.parse("https://anything.test/", allow("*"), param="p").host == "anything.test"
    for host in ("93.184.215.14", "[2606:4700::1]"):
        assert "not allowed" in refused(f"https://{host}/", "*")


@pytest.mark.parametrize(
    "pattern", ["", "*.", "*.*", "img.*.org", "https://img.example.org", "a/b", "a:80", "bücher.de"]
)
def test_patterns_that_are_none_are_refused_at_the_start(pattern: str) -> None:
    with pytest.raises(ValidationError):
        ImageUrls(hosts=(pattern,))


PARTS = st.sampled_from(
    ["https://", "http://", "img.example.org", "127.0.0.1", "@", ":", "80", "/", "\\", "?", "#", "%", "[", "]", "::1"]
)


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=40), st.lists(st.one_of(PARTS, st.text(max_size=2)), max_size=9).map("".join)))
def test_any_text_is_an_allowed_url_or_a_refusal(text: str) -> None:
    for url in (text, f"https://{text}", f"https://img.example.org{text}"):
        try:
            read = image_url.parse(url, allow(), param="p")
        except InvalidImage:
            continue
        assert read.scheme == "https"
        assert read.port in (443, 80)
        assert any(image_url.matches(read.host, pattern) for pattern in HOSTS)
        assert read.target.isascii()
        assert read.target.startswith("/")
        assert image_url.parse(str(read), allow(), param="p") == read
