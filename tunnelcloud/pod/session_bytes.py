"""The bytes that a session has carried, by tunnel, in ended and in open channels."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import define, field

from tunnelcloud.pod.router import TunnelRoute
from tunnelcloud.ssh.interfaces import TunnelTraffic

_NOTHING = TunnelTraffic(0, 0, 0)


@define(eq=False)
class Carried:
    """Adds up for one session.

    :ivar routes: its open channels.
    """

    routes: Collection[TunnelRoute]
    _over: dict[str, TunnelTraffic] = field(factory=dict, init=False)

    def ended(self, route: TunnelRoute) -> None:
        """Add the bytes of a channel that has ended."""
        name = route.tunnel.name
        self._over[name] = _with(self._over.get(name, _NOTHING), route, 0)

    def by_tunnel(self) -> Mapping[str, TunnelTraffic]:
        """Count the bytes of each tunnel, by its name."""
        counted = dict(self._over)
        for route in self.routes:
            name = route.tunnel.name
            counted[name] = _with(counted.get(name, _NOTHING), route, 1)
        return counted

    def totals(self) -> tuple[int, int]:
        """Give the bytes carried to and from targets."""
        to_target = from_target = 0
        counted: list[TunnelTraffic | TunnelRoute] = [*self._over.values(), *self.routes]
        for one in counted:
            to_target += one.bytes_to_target
            from_target += one.bytes_from_target
        return to_target, from_target


def _with(before: TunnelTraffic, route: TunnelRoute, open_channels: int) -> TunnelTraffic:
    return TunnelTraffic(
        before.open_channels + open_channels,
        before.bytes_to_target + route.bytes_to_target,
        before.bytes_from_target + route.bytes_from_target,
    )
