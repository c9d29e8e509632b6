"""IP addresses: their canonical form, their networks, and the sources that they count as.

Every part of the program reads, compares and groups addresses by these functions.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IPV6_WIDTHS: tuple[tuple[int, int], ...] = ((64, 1), (56, 2), (48, 4))
_IPV4_WIDTHS: tuple[tuple[int, int], ...] = ((32, 1), (24, 4))
"""Prefix lengths of a site's networks, and how many times the first one's share each gets."""


def unmapped(address: Address) -> Address:
    """Give the IPv4 address that is mapped into an IPv6 one, else the address."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def read_address(text: str) -> Address | None:
    """Read an IP address, unmapped; None for anything else, such as a name."""
    try:
        return unmapped(ip_address(text))
    except ValueError:
        return None


def is_address(host: str) -> bool:
    """Tell an IP address from a name."""
    return read_address(host) is not None


def is_loopback(host: str) -> bool:
    """Tell whether a host is this very machine: ``localhost`` or an address of it."""
    address = read_address(host)
    return host == "localhost" if address is None else address.is_loopback


def leads_home(host: str) -> bool:
    """Tell whether a host means every machine itself, so that others can't reach this one by it."""
    return is_loopback(host) or host.partition(".")[0] in ("localhost", "ip6-localhost")


@lru_cache(1024)
def peer_address(host: str) -> Address | None:
    """Read the address of a connection's other end, without its zone; None for anything else."""
    return read_address(host.partition("%")[0])


def canonical_address(host: str) -> str:
    """Give the address of a connection's other end as text in its one form.

    What isn't an IP address is returned as it is.
    """
    address = peer_address(host)
    return host if address is None else str(address)


def read_network(text: str) -> Network:
    """Read a network such as ``10.0.0.0/8``, written by a person.

    :raise ValueError: it isn't one, or has an address within it; says what to write.
    """
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        whole = ip_network(text, strict=False)
    except ValueError:
        fault = f"{text[:60]!r} is not a network: use one such as 10.0.0.0/8 or 2001:db8::/32"
        raise ValueError(fault) from None
    raise ValueError(f"{text} is an address within a network: use {whole} for all of that network")


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read texts such as ``10.0.0.0/8``; a bare address is a network of one.

    :raise ValueError: one isn't a network.
    """
    return tuple(ip_network(text, strict=False) for text in texts)


def is_within(host: str, networks: Iterable[Network]) -> bool:
    """Tell whether an address is in one of the networks."""
    address = peer_address(host)
    return address is not None and any(address in network for network in networks)


def source_group(source: str) -> str:
    """Return the source of an address: the IPv4 address, or its IPv6 network of 64 bits."""
    return source_groups(source)[0][0]


@lru_cache(maxsize=4096)
def source_groups(source: str) -> tuple[tuple[str, int], ...]:
    """Return a source and the networks around it that one site may have, each with its share.

    :return: texts, the narrowest first, and how many times the share of the first each has.
    """
    address = peer_address(source)
    if address is None:
        return ((source, 1),)
    widths = _IPV4_WIDTHS if isinstance(address, IPv4Address) else _IPV6_WIDTHS
    return tuple((_network_around(address, length), share) for length, share in widths)


def party_of(source: str) -> str:
    """Return the widest network that is surely one party's: of IPv6 a site's 48 bits, of IPv4 the
    address itself, for its neighbours may be anybody."""
    groups = [group for group, _ in source_groups(source)]
    return groups[-1] if ":" in groups[0] else groups[0]


def _network_around(address: Address, length: int) -> str:
    whole = length == address.max_prefixlen
    return str(address if whole else ip_network((int(address), length), strict=False))
