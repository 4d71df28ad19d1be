"""Parses image URLs strictly and checks them against the allowed schemes, ports and hosts. URLs about whose host two
parsers could disagree (user names, backslashes, `0x7f.1`, control characters, zone ids) are rejected, so that the host
that is checked is the host that is connected to."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

import idna

from app.config.args import ImageUrls
from app.errors import InvalidImage
from app.images.public_address import Address

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_LENGTH = 2048
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(#.*)?")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@%]+)(:(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# Some parsers read a host as an IPv4 address if its last label is decimal, or "0x" with hexadecimal digits.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NOT_IN_URLS = re.compile(r'[\x00-\x20\x7f-\x9f\\"<>^`{|}\u2028\u2029]')


@dataclass(frozen=True, slots=True)
class ImageUrl:
    """`host`: an address, or a lower-case ASCII name without a trailing dot. `target`: path and query."""

    scheme: str
    host: str | Address
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse(url: str, allowed: ImageUrls, *, param: str) -> ImageUrl:
    """Parse a URL. Raises InvalidImage if it is malformed or not allowed."""
    found = _URL.fullmatch(url) if len(url) <= MAX_LENGTH and not _NOT_IN_URLS.search(url) else None
    if found is None:
        raise InvalidImage(f"This is not a valid, percent-encoded URL of at most {MAX_LENGTH:,} characters.", param)
    scheme = found["scheme"].lower()
    if scheme not in allowed.schemes:
        raise InvalidImage(f"Image URLs must begin with {' or '.join(f'{s}://' for s in allowed.schemes)}.", param)
    try:
        named = _HOST.fullmatch(found["authority"])
        if named is None:
            raise ValueError("user names, zone ids, empty ports")
        host = _host(named["host"])
        target = quote(found["target"], safe="/?%:@!$&'()*+,;=~-._[]")
    except (ValueError, UnicodeError) as error:
        raise InvalidImage("The URL's host is malformed: send a plain name, without a user name.", param) from error
    port = int(named["port"] or DEFAULT_PORTS[scheme])
    if port not in allowed.ports:
        raise InvalidImage(f"Image URLs may only use the ports {', '.join(map(str, allowed.ports))}.", param)
    if not any(matches(host, pattern) for pattern in allowed.hosts):
        raise InvalidImage("This URL's host is not allowed; send the image itself.", param)
    return ImageUrl(scheme, host, port, target if target.startswith("/") else f"/{target}")


def matches(host: str | Address, pattern: str) -> bool:
    """Whether a host matches a pattern: an address, a name, `*.name` for all its subdomains, `*` for all names."""
    try:
        wanted = _host(pattern.removeprefix("*.")) if pattern != "*" else None
    except (ValueError, UnicodeError):
        return False
    if wanted is None:
        return isinstance(host, str)
    if isinstance(host, str) and isinstance(wanted, str) and pattern.startswith("*."):
        return host.endswith(f".{wanted}")
    return host == wanted


def _host(text: str) -> str | Address:
    if text.startswith("["):
        return IPv6Address(text[1:-1])
    # UTS 46 first maps full-width letters, digits and dots, so that the name checked below is the one resolved later.
    name = idna.encode(text, uts46=True).decode() if not text.isascii() else text.lower()
    labels = name.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return IPv4Address(name)  # strict: four decimal numbers without leading zeros or a trailing dot
    if sum(map(len, labels)) + len(labels) > 254 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not a host name")
    return ".".join(labels)
