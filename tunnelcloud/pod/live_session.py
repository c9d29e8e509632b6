"""One live session: its channels, and the rules that may end them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel
from tunnelcloud.channels.messages import (
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_CONNECT_FAILED,
    OPEN_RESOURCE_SHORTAGE,
)
from tunnelcloud.domain.entities import Grant, Session, UserView
from tunnelcloud.domain.names import usable
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import (
    Ask,
    Decision,
    could_open_any,
    decide,
    decide_tunnel,
    limits_of_session,
)
from tunnelcloud.domain.ssh_command import own_host
from tunnelcloud.domain.user_limits import limits_of
from tunnelcloud.net.escaping import escape
from tunnelcloud.pod.channel_deadlines import seconds_left
from tunnelcloud.pod.held_channels import HeldChannel
from tunnelcloud.pod.login_notice import login_notice
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.pod.router import TunnelRoute
from tunnelcloud.pod.session_bytes import Carried
from tunnelcloud.pod.session_dependencies import Surroundings
from tunnelcloud.pod.session_information import SessionInformation
from tunnelcloud.ssh.interfaces import ISessionAvatar, ISessionConnection

if TYPE_CHECKING:
    from tunnelcloud.pod.live_sessions import LiveSessions

NOTHING_LEFT = "nothing is left that this session may open"
USER_DELETED = "the user was deleted"
_LONGEST_HOST = 255
_NOTICE_SECONDS = 1.0
SHUTDOWN_REASON = "the pod is shutting down"


@implementer(ISessionAvatar)
class LiveSession:
    """One authenticated SSH connection and its channels.

    :ivar carried: what its channels have carried.
    :ivar notice: what the client is to show at the login; empty for nothing.
    :ivar place: its place among the sessions that use a tunnel, in their order; None before the
        first forward.
    """

    def __init__(self, session: Session, around: Surroundings, registry: LiveSessions) -> None:
        self.session = session
        self.session_id = session.id
        self.user_id = session.user_id
        self.routes: set[TunnelRoute] = set()
        self.held: set[HeldChannel] = set()
        self.connection: ISessionConnection | None = None
        self.began = around.clock.seconds()
        self.place: int | None = None
        self.notice = ""
        self._around = around
        self._registry = registry
        self.carried = Carried(self.routes)
        self._limits: tuple[int | None, int | None] = (None, None)
        self._end_reason = ""
        self._ended = False
        self._left_for = ""

    # What the front door calls.

    def prepared(self) -> Deferred[None]:
        """Learn what the client is to show at the login, unless that takes too long."""
        asked = self._around.views.get(self.session.user_id).addCallback(self._foresee)
        asked.addTimeout(_NOTICE_SECONDS, self._around.clock, lambda *_: None)
        return asked.addErrback(OUTAGES.tell, "what waits for approvals isn't told at logins")

    def _foresee(self, view: UserView) -> None:
        self.notice = login_notice(
            self.usable(view),
            lambda tunnel, port: self.decide_tunnel(view, tunnel, port),
            self._around.held.page(),
        )

    def attached(self, connection: ISessionConnection) -> None:
        """Take the handle by which this session can be ended."""
        self.connection = connection
        if self._end_reason:
            connection.end(self._end_reason)
            return
        # What was taken away since the login was judged found no session to end.
        view = self._around.views.get(self.session.user_id).addCallback(self.recheck)
        view.addErrback(self._unlimited)

    def direct_tcpip_requested(
        self, channel: IChannel, host: bytes, port: int, originator: tuple[str, int]
    ) -> None:
        """Decide on a forward; the channel hears of it later."""
        if reason := self._around.refuses():
            self._around.counters.refused("pod")
            channel.refuse(OPEN_RESOURCE_SHORTAGE, reason)
            return
        # A web page chooses it for who browses by way of a SOCKS forward; a terminal shows it.
        text = escape(host, _LONGEST_HOST)
        asked = self._around.views.get(self.session.user_id)
        asked.addCallback(self._decided, channel, text, port, originator)
        asked.addErrback(self._undecided, channel)

    def _decided(
        self,
        view: UserView,
        channel: IChannel,
        host: str,
        port: int,
        originator: tuple[str, int],
    ) -> None:
        decision = self.decide(view, host, port)
        is_ending = self._ended or bool(self._end_reason)
        if decision.awaited is not None and not is_ending:
            self._hold(decision, channel, host, port, originator)
            return
        if not decision.allowed:
            failed = (one.rule for one in decision.rules if not one.passed)
            self._around.counters.refused(next(failed, "other"))
            # Only a client that waits for the record can't have more written than the store can.
            recorded = self._around.records.channel_refused(
                self.session, decision.tunnel, host, port, decision.reason
            )
            recorded.addErrback(OUTAGES.tell, "refusals aren't recorded")
            recorded.addCallback(
                lambda _: channel.refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, decision.reason)
            )
            return
        if self._end_reason:
            # Its open channels end one after the other, and the connection last.
            channel.refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, self._end_reason)
            return
        assert decision.tunnel is not None
        assert decision.grant is not None
        shortage = self._registry.channel_refusal(self.session.user_id, decision.tunnel)
        if shortage:
            self._around.counters.refused("share")
            channel.refuse(OPEN_RESOURCE_SHORTAGE, shortage)
            return
        limits = limits_of(
            decision.grant.policies,
            self._registry.count_older(self),
            self._registry.count_channels(self.session.user_id, decision.tunnel.id, None),
        )
        route = TunnelRoute(
            channel,
            self.session,
            decision.tunnel,
            host,
            port,
            originator=originator,
            links=self._around.links,
            records=self._around.records,
            clock=self._around.clock,
            on_settled=self._registry.settle_pending,
            on_end=self._route_ended,
            counters=self._around.counters,
            patience=self._around.patience,
            limits=limits,
        )
        self.routes.add(route)
        self._registry.channel_begun(self, route)
        self._look_again(view, route, decision.grant)
        route.start()

    def _hold(
        self,
        decision: Decision,
        channel: IChannel,
        host: str,
        port: int,
        originator: tuple[str, int],
    ) -> None:
        """Let a channel wait for the approval that alone is missing."""
        assert decision.tunnel is not None
        assert decision.awaited is not None
        shortage = self._registry.hold_refusal(self.session.user_id, decision.tunnel)
        if shortage:
            self._around.counters.refused("share")
            channel.refuse(OPEN_RESOURCE_SHORTAGE, shortage)
            return
        held = HeldChannel(
            channel,
            self.session,
            decision.tunnel,
            decision.awaited,
            host,
            port,
            originator,
            self._held_over,
            self._held_refused,
        )
        self.held.add(held)
        self._registry.hold_begun(self, held)
        self._around.held.hold(held)

    def _held_over(self, held: HeldChannel) -> None:
        self.held.discard(held)
        self._registry.hold_ended(held)
        self._around.held.let_go(held)

    def _held_refused(self, held: HeldChannel, reason_code: int, text: str) -> None:
        """Tell the client why, once that is on record."""

        self._around.counters.refused("approval")

        def refuse(_: object) -> None:
            # OpenSSH's -W shows a channel's reason only if LogLevel allows, and ends anyway; the
            # reason for the end of a connection is always shown.
            if held.is_stdio and not self.routes and not self.held:
                self.end(text)
            else:
                held.channel.refuse(reason_code, text)

        recorded = self._around.records.channel_refused(
            self.session, held.tunnel, held.destination, held.port, text
        )
        recorded.addErrback(OUTAGES.tell, "refusals aren't recorded")
        recorded.addCallback(refuse)

    def _recheck_held(self, view: UserView) -> Iterator[None]:
        """Decide again on the channels that wait: they go on waiting, or are decided.

        Those that ask for the same and go on waiting for the same are decided on once.
        """
        waiting = set()
        for held in tuple(self.held):
            same = held.destination, held.port, held.tunnel.id, held.policy.id
            if held.over or same in waiting:
                continue
            decision = self.decide(view, held.destination, held.port, leaving_out=held)
            if decision.awaits(held.tunnel, held.policy):
                waiting.add(same)
            else:
                held.release()
                self._decided(view, held.channel, held.destination, held.port, held.originator)
            yield

    def _undecided(self, failure: Failure, channel: IChannel) -> None:
        OUTAGES.tell(failure, "opens of channels can't be decided")
        text = "the pod can't check permissions now; try again in a few seconds"
        channel.refuse(OPEN_CONNECT_FAILED, text)

    @property
    def information(self) -> SessionInformation:
        """What its user can ask of it."""
        return SessionInformation(self, self._around, self._registry)

    def logged_out(self, reason: str) -> None:
        """The connection is over: write it down once its channels are.

        Channels that the client had closed last until their targets have what it sent.
        """
        if self._ended:
            return
        self._left_for = reason
        self.connection = None
        self.place = None
        for held in tuple(self.held):
            held.release()
        for route in tuple(self.routes):
            if not route.left:
                route.end(self._end_reason or "the session ended", wanted=False)
        self._ended = True
        if not self.routes:
            self._finish()

    def _finish(self) -> None:
        self._registry.session_ended(self)
        to_target, from_target = self.carried.totals()
        self._around.records.session_ended(
            self.session,
            self._end_reason or self._left_for,
            to_target,
            from_target,
            at_once=bool(self._end_reason),
        )

    # What the pod asks.

    def usable(self, view: UserView) -> Sequence[Grant]:
        """List the grants that this session's method and scope leave."""
        return usable(view, self.session.method.opens, self.session.tunnel_id)

    def decide(
        self,
        view: UserView,
        host: str,
        port: int,
        leaving_out: TunnelRoute | HeldChannel | None = None,
    ) -> Decision:
        """Decide on a destination as of now.

        :param leaving_out: an open route that is not to be counted against limits.
        """
        return decide(view, self._ask(host, port, leaving_out))

    def decide_tunnel(self, view: UserView, tunnel: Tunnel, port: int) -> Decision:
        """Decide as of now on the destination that a tunnel's command has."""
        return decide_tunnel(view, self._ask(own_host(view, tunnel), port, None), tunnel)

    def _ask(self, host: str, port: int, leaving_out: TunnelRoute | HeldChannel | None) -> Ask:
        return Ask(
            host=host,
            port=port,
            method=self.session.method.opens,
            source_ip=self.session.source_ip,
            at=self._around.now(),
            only=self.session.tunnel_id,
            is_open=isinstance(leaving_out, TunnelRoute),
            session_seconds=self._around.clock.seconds() - self.began,
            open_sessions=lambda: self._registry.count_older(self),
            open_channels=lambda tunnel_id: self._registry.count_channels(
                self.session.user_id, tunnel_id, leaving_out
            ),
        )

    def recheck(self, view: UserView) -> None:
        """End what is no longer allowed."""
        for _ in self.recheck_in_turns(view):
            pass

    def recheck_in_turns(self, view: UserView) -> Iterator[None]:
        """End what is no longer allowed, a channel at a time."""
        self._limit(view)
        yield from self._recheck_held(view)
        for route in tuple(self.routes):
            self.recheck_route(view, route)
            yield
        if not could_open_any(view, self.session.method.opens, self.session.tunnel_id):
            self.end(NOTHING_LEFT)

    def _limit(self, view: UserView) -> None:
        """Have the connection end once nothing will be left to it."""
        limits = limits_of_session(view, self.session.method.opens, self.session.tunnel_id)
        if self.connection is not None and not self._ended and limits != self._limits:
            self._limits = limits
            self.connection.limit(*limits)

    def end(self, reason: str) -> None:
        """End the session; the reason goes to the client and into its record."""
        if self._end_reason or (self._ended and not self.routes):
            return
        self._end_reason = reason
        routes = list(self.routes)

        def end_one() -> bool:
            if routes:
                routes.pop().end(reason)
            elif self.connection is not None:
                self.connection.end(reason)
                return False
            return bool(routes) or self.connection is not None

        self._around.spread(end_one)

    def recheck_route(self, view: UserView, route: TunnelRoute) -> None:
        """End a channel that is no longer allowed, or say when to look at it again."""
        decision = self.decide(view, route.destination, route.port, leaving_out=route)
        if not decision.allowed:
            route.end(decision.reason)
            return
        assert decision.tunnel is not None
        assert decision.grant is not None
        before = route.tunnel
        if (decision.tunnel.id, decision.tunnel.target_address, decision.tunnel.site_id) != (
            before.id, before.target_address, before.site_id,
        ):  # fmt: skip
            route.end(f"{before.name}: leads elsewhere now; connect again")
            return
        for policy in decision.grant.policies:
            if policy.idle_seconds is not None and route.idle_seconds() >= policy.idle_seconds:
                route.end(f"{before.name}: idle for {policy.idle_seconds} s")
                return
        self._look_again(view, route, decision.grant)

    def _look_again(self, view: UserView, route: TunnelRoute, grant: Grant) -> None:
        ask = evolve(self._ask("", 0, route), approved=view.approved)
        left = seconds_left(grant, ask, route)
        due = None if left is None else self._around.clock.seconds() + left
        self._registry.deadlines.set(route, due)

    def _unlimited(self, failure: Failure) -> None:
        """Leave it for when changes are heard again, and everything is rechecked."""
        if failure.check(LookupError):
            self.end(USER_DELETED)
            return
        OUTAGES.tell(failure, "limits of sessions can't be read until changes are heard")

    def _route_ended(self, route: TunnelRoute) -> None:
        self.routes.discard(route)
        self._registry.channel_ended(route)
        self.carried.ended(route)
        if self._ended and not self.routes:
            self._finish()
