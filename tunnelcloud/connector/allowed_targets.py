"""The site owner's lists: the addresses that a connector may connect to.

Knows addresses, names and ports; resolves nothing and connects to nothing.  What holds:

- A denied address stays denied in every disguise: as a number (``2130706433``, ``0x7f.1``), mapped
  into IPv6, behind NAT64, 6to4, Teredo or ISATAP.
- Link-local, metadata and loopback addresses are open only to a rule that means just them: a
  network inside theirs, or the name ``localhost`` for loopback.  Neither ``0.0.0.0/0`` nor a name
  that happens to resolve to them is such a rule.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from attrs import frozen

from tunnelcloud.domain.addresses import Address, Network, is_address, read_address
from tunnelcloud.domain.names import BadName, canonical_host, parse_ports, read_host
from tunnelcloud.domain.objects.sites import PortRange


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_LOOPBACK = _networks("127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128")
_LINK_LOCAL = _networks(
    "169.254.0.0/16",
    "fe80::/10",
    "100.100.100.200/32",  # metadata of Alibaba Cloud
    "168.63.129.16/32",  # of Azure
    "192.0.0.192/32",  # of Oracle Cloud
    "fd00:ec2::254/128",  # of AWS
    "fd20:ce::254/128",  # of Google Cloud
)
_NO_TCP = _networks("224.0.0.0/4", "255.255.255.255/32", "ff00::/8")
_SPECIAL = _LOOPBACK + _LINK_LOCAL

_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_V4_IN_LOW_BITS = (
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0:0/96"),
    _LOCAL_NAT64,
)
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_UINT32 = 0xFFFFFFFF

_BRACKETED = re.compile(r"\[([^]]*)\](/[0-9]+)?(?::([^:]*))?")
_PLAIN = re.compile(r"([^:/\[\]]+)(/[0-9]+)?(?::([^:]*))?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


class BadRule(ValueError):
    """An entry of an allow or deny list that can't be used; the message says what is allowed."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(
            f"{text!r}: {why}; use a network, an address or a name, with ports or for all ports: "
            '"10.0.0.0/8", "db.internal:5432", "[fd00::]/8:8000-8010"'
        )


@frozen
class Rule:
    """One entry of an allow or deny list: a network or a name, on some ports or on all."""

    where: Network | str
    ports: PortRange | None = None

    def is_for(self, name: str | None, address: Address, port: int) -> bool:
        """Tell whether this rule matches a connection."""
        if self.ports is not None and port not in self.ports:
            return False
        if isinstance(self.where, str):
            return self.where == name
        return address in self.where

    def means(self, network: Network) -> bool:
        """Tell whether this rule is for (a part of) a special network only."""
        if isinstance(self.where, str):
            return self.where == "localhost" and network in _LOOPBACK
        if isinstance(self.where, IPv4Network):
            return isinstance(network, IPv4Network) and self.where.subnet_of(network)
        return isinstance(network, IPv6Network) and self.where.subnet_of(network)


@frozen
class AccessList:
    """The connections that the site owner allows: those of ``allow`` if it isn't empty, without
    ``deny``."""

    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()

    def permits_lookup(self, name: str, port: int) -> bool:
        """Tell whether some address of ``name`` could be permitted, so that it is looked up."""
        if any(rule.where == name and _has_port(rule, port) for rule in self.deny):
            return False
        return not self.allow or any(
            _has_port(rule, port) and (rule.where == name or not isinstance(rule.where, str))
            for rule in self.allow
        )

    def permits(self, name: str | None, address: Address, port: int) -> bool:
        """Tell whether a connection may be made.

        :param name: the name that was resolved, as ``read_target`` gives it; None if an address
            was asked for.
        :param address: the address to connect to, as :func:`read_target` gives it.
        """
        faces = (address, *_behind(address), *_disguised(address))
        if any(rule.is_for(name, face, port) for rule in self.deny for face in faces):
            return False
        if any(face in network for face in faces for network in _NO_TCP):
            return False
        if not all(self._special_permitted(name, face, port) for face in faces):
            return False
        if not self.allow:
            return True
        same = (address, *_behind(address))
        return any(rule.is_for(name, face, port) for rule in self.allow for face in same)

    def _special_permitted(self, name: str | None, face: Address, port: int) -> bool:
        return all(
            any(rule.means(network) and rule.is_for(name, face, port) for rule in self.allow)
            for network in _SPECIAL
            if face in network
        )


def parse_access_list(allow: Sequence[str], deny: Sequence[str]) -> AccessList:
    """Read the lists of connector.toml.

    :raise BadRule: an entry can't be used.
    """
    return AccessList(_parse_rules(allow), _parse_rules(deny))


def _parse_rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    return tuple(map(parse_rule, texts))


def parse_rule(text: str) -> Rule:
    """Read one entry of an allow or deny list.

    :raise BadRule: it can't be used.
    """
    stripped = text.strip().lower()
    match = _BRACKETED.fullmatch(stripped) or _PLAIN.fullmatch(stripped)
    if match is None:
        # Only an IPv6 network without ports needs no brackets.
        host, ports = stripped, None
    else:
        host, ports = match[1] + (match[2] or ""), match[3]
        if match.re is _BRACKETED and ":" not in match[1]:
            raise BadRule(text, "brackets are for IPv6 addresses")
    try:
        return Rule(_parse_where(host), None if ports is None else parse_ports(ports))
    except ValueError as error:
        raise BadRule(text, str(error)) from error


def _parse_where(host: str) -> Network | str:
    if "/" not in host and ":" not in host:
        name = read_host(host)
        return ip_network(name) if is_address(name) else name
    try:
        network = ip_network(host)
    except ValueError:
        try:
            loose = ip_network(host, strict=False)
        except ValueError:
            raise ValueError("that is no network") from None
        raise ValueError(f"that is an address inside a network: write {loose}") from None
    if isinstance(network, IPv6Network) and network.subnet_of(IPv6Network("::ffff:0:0/96")):
        raise ValueError("write the IPv4 network itself")
    return network


def read_target(host: str) -> Address | str:
    """Read a pod's target: an address in any notation, or a DNS name.

    :return: the address, unmapped, or the name in lower case without a trailing dot.
    :raise BadName: it is neither.
    """
    canonical = canonical_host(host)
    number = _parse_numeric(canonical)
    if number is not None:
        return number
    name = read_host(canonical)
    return read_address(name) or name


def _has_port(rule: Rule, port: int) -> bool:
    return rule.ports is None or port in rule.ports


def _parse_numeric(host: str) -> IPv4Address | None:
    """Read the notations of inet_aton(3): one to four numbers, decimal, octal or hexadecimal.

    :raise BadName: all parts are numbers, but they make no address.
    """
    parts = host.split(".")
    if not all(map(_NUMBER.fullmatch, parts)):
        return None
    try:
        numbers = [_parse_number(part) for part in parts]
    except ValueError:
        numbers = []
    *heads, last = numbers or [-1]
    if len(parts) > 4 or any(head > 0xFF for head in heads) or last < 0:
        raise BadName("that is no IPv4 address")
    if last >= 1 << 8 * (4 - len(heads)):
        raise BadName("that is no IPv4 address")
    high = sum(head << 8 * (3 - index) for index, head in enumerate(heads))
    return IPv4Address(high | last)


def _parse_number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if len(text) > 1 and text.startswith("0") else 10)


def _behind(address: Address) -> Iterator[IPv4Address]:
    """Give the IPv4 address that a NAT64 translator connects to (RFC 6052)."""
    if isinstance(address, IPv6Address) and address in _NAT64:
        yield IPv4Address(int(address) & _UINT32)


def _disguised(address: Address) -> Iterator[IPv4Address]:
    """Give the IPv4 addresses that a network might make of an IPv6 one."""
    if not isinstance(address, IPv6Address):
        return
    value = int(address)
    if any(address in network for network in _V4_IN_LOW_BITS) and value > 1:
        yield IPv4Address(value & _UINT32)
    if address in _LOCAL_NAT64:
        # RFC 6052, 2.2: behind a prefix of 48 bits the address goes around bits 64 to 71.
        yield IPv4Address((value >> 64 & 0xFFFF) << 16 | value >> 40 & 0xFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if value >> 32 & _UINT32 in _ISATAP:
        yield IPv4Address(value & _UINT32)
