"""What the user of a live session can ask of it: tunnels, bytes, what waits, and checks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from tunnelcloud.domain.entities import UserView
from tunnelcloud.domain.names import named_by
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import asks_of_session
from tunnelcloud.pod.session_dependencies import Surroundings
from tunnelcloud.ssh.interfaces import DoctorStep, ISessionInformation, TunnelRow, TunnelTraffic

if TYPE_CHECKING:
    from tunnelcloud.pod.live_session import LiveSession
    from tunnelcloud.pod.live_sessions import LiveSessions

T = TypeVar("T")

TOO_MANY_CHECKS = "too many of your checks run or wait on this pod; try again when one is over"


@implementer(ISessionInformation)
class SessionInformation:
    """Answers for one session."""

    def __init__(self, live: LiveSession, around: Surroundings, registry: LiveSessions) -> None:
        self._live = live
        self._session = live.session
        self._around = around
        self._registry = registry

    def tunnels(self) -> Deferred[Sequence[TunnelRow]]:
        """List the tunnels this session could open."""
        view = self._around.views.shown(self._session.user_id)
        rows: Deferred[Sequence[TunnelRow]] = view.addCallback(self._rows)
        return rows

    def _rows(self, view: UserView) -> Deferred[Sequence[TunnelRow]]:
        """Make the rows, or take those that another session of the kind was just shown."""
        one = self._session
        mine = one.id if asks_of_session(view) else ""
        kind = (mine, one.method, one.login_name, one.tunnel_id, one.source_ip)
        return self._registry.listings.get(view, kind, lambda: self._make_rows(view))

    def _make_rows(self, view: UserView) -> Deferred[Sequence[TunnelRow]]:
        found = {grant.tunnel.id: grant.tunnel for grant in self._live.usable(view)}
        tunnels = sorted(found.values(), key=lambda tunnel: tunnel.name)

        def row(tunnel: Tunnel) -> TunnelRow:
            decision = self._live.decide_tunnel(view, tunnel, tunnel.target_ports[0].first)
            return self._around.describe(view, self._session, tunnel, decision)

        return self._around.turns.map(row, tunnels)

    def in_place(self, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """Do what keeps a list of tunnels in memory, when few others of its user do."""
        return Deferred.fromCoroutine(self._registry.lists.run(self._session.user_id, work))

    def in_turns(self, steps: Iterator[Deferred[None] | None]) -> Deferred[None]:
        """Go through steps of about a millisecond, in turns with those of others."""
        return self._around.turns.run(steps)

    def jump(self) -> str:
        """Give what ``ssh -J`` takes to come through this pod as this session did."""
        return f"{self._session.login_name}@{self._around.address()}"

    def waiting(self) -> Sequence[str]:
        """Say what the user's channels on this pod wait for, a line for each request."""
        return self._around.held.lines(self._session.user_id, self._session.tunnel_id)

    def traffic(self) -> Mapping[str, TunnelTraffic]:
        """Count what each tunnel carried in this session, by its name."""
        return self._live.carried.by_tunnel()

    async def doctor(self, tunnel_name: str) -> AsyncIterator[DoctorStep]:
        """Check every hop to a tunnel, a step at a time."""
        view = await self._around.views.get(self._session.user_id)
        found = named_by(view, self._session.method.opens, tunnel_name, self._session.tunnel_id)
        if not found:
            raise LookupError(tunnel_name)
        if not self._registry.begin_check(self._session.user_id):
            yield DoctorStep("turn", False, 0.0, TOO_MANY_CHECKS)
            return
        try:
            async for step in self._around.doctor(self._live, found[0]):
                yield step
        finally:
            self._registry.end_check(self._session.user_id)
