"""How a tunnel stands now: one function, which every page, the API, the command line and ssh ask.

It is told what is known and knows nothing itself: whether a policy refuses, whether the site has a
connector, and what the last checks of the target's ports found.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import frozen

from tunnelcloud.domain.objects.sites import PortRange, Tunnel
from tunnelcloud.domain.policy import disabled_text

_MOST_NAMED = 5


class Stand(enum.StrEnum):
    """How a tunnel stands, in one word."""

    READY = "ready"
    UNCHECKED = "unchecked"
    PARTLY = "partly"
    UNREACHABLE = "unreachable"
    OFFLINE = "offline"
    SHUT = "shut"
    HELD = "held"


@frozen
class Standing:
    """How a tunnel stands, and why.

    :ivar text: the same for people, as a sentence without its stop.
    """

    kind: Stand
    text: str

    @property
    def opens(self) -> bool:
        """Whether it is worth trying: nothing is known that keeps all of it shut."""
        return self.kind in (Stand.READY, Stand.UNCHECKED, Stand.PARTLY, Stand.HELD)


def standing(
    tunnel: Tunnel,
    *,
    refusal: str = "",
    awaited: bool = False,
    offline: str = "",
    seen: Mapping[int, str],
) -> Standing:
    """Tell how a tunnel stands.

    :param refusal: why it doesn't open for whoever asks; empty when it does, or nobody asks.
    :param awaited: whether an approval alone is missing: a connection waits until it is given.
    :param offline: why its site can't be reached; empty when it can.
    :param seen: what was wrong when its ports were last checked, empty for nothing, by port.
    """
    refusal = refusal or ("" if tunnel.enabled else disabled_text(tunnel))
    reason = _sentence(refusal.removeprefix(f"{tunnel.name}: "))
    if refusal and not awaited:
        return Standing(Stand.SHUT, reason)
    if offline:
        return Standing(Stand.OFFLINE, _sentence(offline))
    if refusal:
        return Standing(Stand.HELD, reason)
    known = {port: fault for port, fault in seen.items() if tunnel.publishes(port)}
    faulty = sorted(port for port, fault in known.items() if fault)
    if not known:
        return Standing(Stand.UNCHECKED, "Not checked yet")
    if not faulty:
        return Standing(Stand.READY, "Ready")
    ports = ", ".join(map(str, faulty[:_MOST_NAMED]))
    if len(faulty) > _MOST_NAMED:
        ports += f" and {len(faulty) - _MOST_NAMED} more"
    text = f"port {ports}: {known[faulty[0]]}" if is_range(tunnel) else known[faulty[0]]
    kind = Stand.UNREACHABLE if len(faulty) == len(known) else Stand.PARTLY
    return Standing(kind, _sentence(text))


def is_range(tunnel: Tunnel) -> bool:
    """Tell whether a tunnel publishes more than one port."""
    first, *others = tunnel.target_ports
    return bool(others) or first.first < first.last


def port_after(ranges: tuple[PortRange, ...], place: tuple[int, int] | None) -> tuple[int, int]:
    """Give the published port that comes after another; after the last one, the first.

    :param place: the number of the range in which a port is, and that port; None for none.
    :return: the same of the port that follows.
    """
    if place is None or place[0] >= len(ranges):
        return 0, ranges[0].first
    number, port = place
    if ranges[number].first <= port < ranges[number].last:
        return number, port + 1
    number = (number + 1) % len(ranges)
    return number, ranges[number].first


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
