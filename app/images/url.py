"""The URL of an image, read strictly and held against what the operator allows. No look-up, no connection here.

Where two readers of URLs could disagree about the host (user names, backslashes, `0x7f.1`, control characters, zone
ids), the URL is refused, not interpreted: what is checked here is what gets connected to.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote

import idna

from app.config.args import ImageUrls
from app.errors import InvalidImage
from app.images.public_address import Address

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MOST = 2048
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(#.*)?")
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@%]+)(:(?P<port>[0-9]{1,5}))?")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# A last label of digits, or of "0x" and hexadecimal ones, has some readers take the whole for an IPv4 address.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NOT_IN_URLS: Final = re.compile(r'[\x00-\x20\x7f-\x9f\\"<>^`{|}\u2028\u2029]')


@dataclass(frozen=True, slots=True)
class ImageUrl:
    """`host` is a name in ASCII, lower case, without a trailing dot, or an address; `target` is path and query."""

    scheme: str
    host: str | Address
    port: int
    target: str

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse(url: str, allowed: ImageUrls, *, param: str) -> ImageUrl:
    """Raises InvalidImage for what is no URL, or none that `allowed` has."""
    found = _URL.fullmatch(url) if len(url) <= MOST and not _NOT_IN_URLS.search(url) else None
    if found is None:
        raise InvalidImage(f"This is not a URL of at most {MOST:,} characters, percent-encoded where needed.", param)
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
        raise InvalidImage(f"Image URLs may name the ports {', '.join(map(str, allowed.ports))} only.", param)
    if not any(matches(host, pattern) for pattern in allowed.hosts):
        raise InvalidImage("Images of this URL's host are not allowed here; send the image itself.", param)
    return ImageUrl(scheme, host, port, target if target.startswith("/") else f"/{target}")


def matches(host: str | Address, pattern: str) -> bool:
    """A pattern is a name, `*.name` for all below that name, `*` for every name, or an address.

    An address is allowed by itself only, never by `*`.
    """
    try:
        wanted = _host(pattern.removeprefix("*.")) if pattern != "*" else None
    except (ValueError, UnicodeError):
        return False
    if wanted is None:
        return isinstance(host, str)
    if isinstance(host, str) and isinstance(wanted, str) and pattern.startswith("*."):
        return host.endswith(f".{wanted}")
    return host == wanted


def _host(written: str) -> str | Address:
    if written.startswith("["):
        return IPv6Address(written[1:-1])
    # UTS 46 maps full-width letters, digits and dots first, so that what is judged below is what gets looked up.
    name = idna.encode(written, uts46=True).decode() if not written.isascii() else written.lower()
    labels = name.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return IPv4Address(name)  # strict: four decimal numbers without leading zeros, no dot behind
    if sum(map(len, labels)) + len(labels) > 254 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not a host name")
    return ".".join(labels)
