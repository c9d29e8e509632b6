"""Whose request it is when a proxy stands in front: X-Forwarded-For, from proxies that are trusted.

Each proxy appends the address that it saw; what came before the last one that isn't trusted may be
anybody's invention.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_proxies(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read the setting C{[web] trusted_proxies}.

    :raise ValueError: one isn't a network.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


def client_host(peer: str, forwarded_for: Sequence[str], trusted: Iterable[Network]) -> str:
    """Give the address of whoever made a request.

    :param peer: the address that the connection comes from.
    :param forwarded_for: the values of C{X-Forwarded-For}, in the order of their headers.
    """
    proxies = tuple(trusted)
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    host = peer
    while hops and _is_within(host, proxies):
        told = hops.pop()
        try:
            host = str(ipaddress.ip_address(told))
        except ValueError:
            break
    return host


def _is_within(host: str, networks: Iterable[Network]) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def network_of(source_ip: str) -> str:
    """Give what one party holds of addresses: an IPv4 address, the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(source_ip.partition("%")[0])
    except ValueError:
        return source_ip
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.ip_network((address, 64), strict=False))
    return str(address)
