"""What endpoint descriptions of the settings say of ports, without opening any."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from itertools import combinations

_TCP = re.compile(r"(?:tcp|ssl):(?:port=)?(\d+)(?=:|$)")
_INTERFACE = re.compile(r":interface=((?:[^:\\]|\\.)*)")


def tcp_port_of(description: str) -> tuple[int, str] | None:
    """Give the port and the interface of a ``tcp:`` or ``ssl:`` description; None of others.

    An empty interface means all.
    """
    found = _TCP.match(description)
    if found is None:
        return None
    interface = _INTERFACE.search(description)
    return int(found[1]), re.sub(r"\\(.)", r"\1", interface[1]) if interface else ""


def host_of(interface: str) -> str:
    """Say as which host of an address this machine reaches a listener on an interface.

    :param interface: an IP address or a name; nothing means all.
    """
    try:
        address = ip_address(interface)
    except ValueError:
        return interface or "127.0.0.1"
    if address.is_unspecified:
        return "127.0.0.1"
    return f"[{address}]" if address.version == 6 else str(address)


def find_port_clash(listening: Iterable[tuple[str, str]]) -> tuple[str, str, int] | None:
    """Find two listeners that can't both have their port.

    :param listening: settings, such as ``ssh.listen``, each with one of its descriptions.
    :return: both settings and the port; None if each can have its own.
    """
    known = [(setting, at) for setting, one in listening if (at := tcp_port_of(one)) is not None]
    for (first, (port, interface)), (second, (another, beside)) in combinations(known, 2):
        if port == another != 0 and _overlap(interface, beside):
            return first, second, port
    return None


def _overlap(interface: str, another: str) -> bool:
    if interface == another or "" in (interface, another):
        return True
    try:
        one, other = ip_address(interface), ip_address(another)
    except ValueError:
        return False
    return one == other or (
        one.version == other.version and (one.is_unspecified or other.is_unspecified)
    )
