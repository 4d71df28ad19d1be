from ipaddress import ip_address

import pytest

from app.images.public_address import is_public
from tests.support.far_servers import FORBIDDEN

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.215.14 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.167.255.255
192.169.0.0 198.17.255.255 198.20.0.0 203.0.112.255 203.0.114.0 223.255.255.255
2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2003::1 2600:1f00::1 2606:4700:4700::1111 2a00:1450::1
2400::1 3ffd:ffff::1 2600::5eff:7f00:1
"""


@pytest.mark.parametrize("address", FORBIDDEN.split())
def test_is_public_rejects_reserved_addresses(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_is_public_accepts_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", [a for a in PUBLIC.split() if ":" not in a])
def test_an_address_inside_another_is_never_public(address: str) -> None:
    inner = int(ip_address(address))
    for outer in (inner, 0xFFFF << 32 | inner, 0x64FF9B << 96 | inner, 0x2002 << 112 | inner << 80, 0x20010000 << 96):
        assert not is_public(ip_address(outer.to_bytes(16)))
