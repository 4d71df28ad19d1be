"""Decides which IP addresses are public, by IANA's special-purpose registries (RFC 6890 and its successors) and the
special addresses of cloud providers. Python's own `is_global` differs between versions and knows none of the latter."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_RESERVED_4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches the local host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata, 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host, reachable from every machine there
        "169.254.0.0/16",  # link-local; the metadata of most clouds, 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata, 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Everything else is reserved, local, multicast or maps to an IPv4 address: ::1, ::/96, ::ffff:0:0/96, 64:ff9b::/96,
# 64:ff9b:1::/48, 100::/64, fc00::/7 (fd00:ec2::254 is Amazon's metadata), fe80::/10, fec0::/10, ff00::/8.
_UNICAST_6 = IPv6Network("2000::/3")
_RESERVED_6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the former 6bone
        "3fff::/20",  # documentation
    )
)
# The middle of an ISATAP address's lower half; the IPv4 address inside follows it.
_ISATAP = (0x00005EFE, 0x02005EFE)


def is_public(address: Address) -> bool:
    """Whether the service may connect to `address` on behalf of a client."""
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _RESERVED_4)
    if address.scope_id is not None or address not in _UNICAST_6:
        return False
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    return not any(address in block for block in _RESERVED_6)
