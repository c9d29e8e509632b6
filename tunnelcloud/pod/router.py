"""Where a channel leads: decide, record, pick a link, join; and its end.

A route lives as long as its channel.  It knows neither SSH nor TLS: it is handed a channel of
one multiplexer and opens one on another.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel
from tunnelcloud.channels.messages import OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_CONNECT_FAILED
from tunnelcloud.channels.splice import PATIENCE, ISpliceOwner, Splice
from tunnelcloud.domain.dial_failures import DialFailure, failure_text
from tunnelcloud.domain.entities import Channel, Session
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.user_limits import Limits
from tunnelcloud.pod.counters import Counters
from tunnelcloud.pod.interfaces import IAttachedLink, ILinks, IRecords
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.store.errors import LimitReached

OPEN_TIMEOUT = 20.0
"""Seconds that one connector may take to reach a target; its own limit is shorter."""

SIGN_OF_LIFE_TIMEOUT = 3.0
"""Seconds in which a connector says something, however long its target takes."""

MAX_LINKS_TRIED = 3

UNTOLD_PATIENCE = 10
"""By how much longer than a connector the pod waits for a target that reads nothing, in case the
connector is one that doesn't tell of what the target reads."""

GIVEN_UP = "target: not reading, given up"


def direct_tcpip(host: str, port: int, originator: tuple[str, int]) -> bytes:
    """Encode what is specific to a direct-tcpip open (RFC 4254, 7.2)."""
    target, origin = host.encode("utf-8"), originator[0].encode("utf-8")
    return b"".join(
        [
            struct.pack(">I", len(target)) + target + struct.pack(">I", port),
            struct.pack(">I", len(origin)) + origin + struct.pack(">I", originator[1]),
        ]
    )


@implementer(ISpliceOwner)
class TunnelRoute:
    """One forwarded connection, from the decision that allowed it to its record's end.

    :param patience: the seconds without progress after which a target that doesn't read what the
        client wrote before it closed is given up.
    :param counters: counts for monitoring.
    :param limits: what the user may have on all pods together.
    :param on_settled: told once, with the user's id, when no connector is at it any more: the
        target is connected or refused, or as long after the client left as it may take.
    :param on_end: told once, when the route is over.
    """

    def __init__(
        self,
        channel: IChannel,
        session: Session,
        tunnel: Tunnel,
        destination: str,
        port: int,
        *,
        originator: tuple[str, int],
        links: ILinks,
        records: IRecords,
        clock: IReactorTime,
        on_settled: Callable[[str], None],
        on_end: Callable[[TunnelRoute], None],
        counters: Counters,
        patience: int = PATIENCE,
        limits: Limits | None = None,
    ) -> None:
        self.session = session
        self.tunnel = tunnel
        self.destination = destination
        self.port = port
        self.connector_id: str | None = None
        self.record: Channel | None = None
        self.due: float | None = None  # when to look whether the clock ends it
        self.splice = Splice(channel, self, patience)
        self.last_active = clock.seconds()
        self._bytes_seen = 0
        self._originator = originator
        self._links = links
        self._records = records
        self._clock = clock
        self._on_settled = on_settled
        self._on_end = on_end
        self._patience = patience
        self._limits = limits
        self._counters = counters
        self._dialled_at = 0.0
        self._progress_seen: int | None = None
        self._link: IAttachedLink | None = None
        self._links_tried = 0
        self._unable: frozenset[str] = frozenset()  # ids of connectors
        self._timeouts: tuple[IDelayedCall, ...] = ()
        self._over = False
        self._over_reason = ""
        self._end_wanted = False

    @property
    def over(self) -> bool:
        """Whether it has ended, or never came to be."""
        return self._over

    @property
    def left(self) -> bool:
        """Whether the client has closed in order, so that only what it sent is still on its way."""
        return self.splice.left

    @property
    def acknowledged(self) -> bool:
        """Whether ``bytes_to_target`` counts what the target's system has acknowledged."""
        return self._over and self.splice.bytes_taken is not None

    @property
    def bytes_to_target(self) -> int:
        """Bytes that the target acknowledged in all, or that the client sent so far."""
        taken = self.splice.bytes_taken
        return taken if self._over and taken is not None else self.splice.bytes_to_far

    @property
    def bytes_from_target(self) -> int:
        """Bytes that the target sent so far."""
        return self.splice.bytes_to_near

    def start(self) -> None:
        """Record the channel, then dial."""
        recorded = self._records.channel_opened(
            self.session, self.tunnel, self.destination, self.port, self._limits
        )
        recorded.addCallbacks(self._recorded, self._unrecorded)

    def idle_seconds(self) -> float:
        """Say for how long no byte has passed, as far as it was asked before."""
        moved = self.bytes_to_target + self.bytes_from_target
        if moved != self._bytes_seen:
            self._bytes_seen = moved
            self.last_active = self._clock.seconds()
        return self._clock.seconds() - self.last_active

    def end(self, reason: str, *, wanted: bool = True) -> None:
        """Cut the connection off: what it was allowed by is gone.

        :param wanted: somebody wants it so, and may look at its record next.
        """
        self._end_wanted = wanted
        if self.splice.connected:
            self.splice.end(reason)
        elif not self._over:
            self._refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, reason)

    def _recorded(self, record: Channel) -> None:
        self.record = record
        if self._over:
            self._write_end(self._over_reason)
        else:
            self._dialled_at = self._clock.seconds()
            self._dial(DialFailure.NO_CONNECTOR)

    def _unrecorded(self, failure: Failure) -> None:
        if failure.check(LimitReached):
            self._beyond_limit(failure.getErrorMessage())
            return
        OUTAGES.tell(failure, "channels can't be recorded")
        text = f"{self.tunnel.name}: the pod can't record this connection now; try again soon"
        self._refuse(OPEN_CONNECT_FAILED, text)

    def _beyond_limit(self, reason: str) -> None:
        """Refuse, once that is on record: together with other pods the user has too much."""
        self._counters.refused("limit")
        recorded = self._records.channel_refused(
            self.session, self.tunnel, self.destination, self.port, reason
        )
        recorded.addErrback(OUTAGES.tell, "refusals aren't recorded")
        recorded.addCallback(lambda _: self._refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, reason))

    def _dial(self, last: DialFailure) -> None:
        link: IAttachedLink | None = None
        if self._links_tried < MAX_LINKS_TRIED:
            link = self._links.pick(self.tunnel.site_id, self._unable)
        if link is None:
            self._counters.not_dialled(last)
            text = failure_text(last, self.tunnel.target_address, self.port, self.tunnel.site_name)
            self._refuse(last.reason_code, text)
            return
        self._link = link
        self._links_tried += 1
        self.connector_id = link.connector_id
        self._timeouts = (
            self._clock.callLater(OPEN_TIMEOUT, self._give_up),
            self._clock.callLater(SIGN_OF_LIFE_TIMEOUT, self._doubt, link),
        )
        link.probe()
        data = direct_tcpip(self.tunnel.target_address, self.port, self._originator)
        self.splice.connect(link.multiplexer, b"direct-tcpip", data)

    def _give_up(self) -> None:
        self.splice.give_up(OPEN_CONNECT_FAILED, DialFailure.TIMED_OUT.value)

    def _doubt(self, link: IAttachedLink) -> None:
        """Turn to another connector, if there is one and this one seems to be cut off."""
        silent = link.silence >= SIGN_OF_LIFE_TIMEOUT
        others = self._unable | {link.connector_id}
        if silent and self._links.pick(self.tunnel.site_id, others) is not None:
            self._give_up()

    def splice_connected(self, splice: Splice) -> None:
        """The target is connected."""
        self._counters.dialled(self._clock.seconds() - self._dialled_at)
        self._stop_timeouts()
        self._on_settled(self.session.user_id)

    def splice_left(self, splice: Splice) -> None:
        """The client has closed; its connector gives the target up if it must, or else the pod."""
        self._wait_for_target()

    def _wait_for_target(self) -> None:
        self._progress_seen = self.splice.progress
        seconds = UNTOLD_PATIENCE * self._patience
        self._timeouts = (self._clock.callLater(seconds, self._look_whether_read),)

    def _look_whether_read(self) -> None:
        if self.splice.progress == self._progress_seen:
            self.end(GIVEN_UP, wanted=False)
        else:
            self._wait_for_target()

    def splice_refused(self, splice: Splice, reason_code: int, description: str) -> None:
        """One connector could not reach the target: try another, or say why.

        One whose link was lost may have another link.
        """
        self._stop_timeouts()
        assert self._link is not None
        if self._link.multiplexer.lost:
            self._dial(DialFailure.LINK_LOST)
            return
        self._unable |= {self._link.connector_id}
        self._dial(DialFailure.read(description))

    def splice_ended(self, splice: Splice, clean: bool, reason: str) -> None:
        """Both ends are over."""
        self._finish(reason)

    def _refuse(self, reason_code: int, text: str) -> None:
        if not self._over:
            self.splice.refuse(reason_code, text)
            self._finish(text)

    def _finish(self, reason: str) -> None:
        if self._over:
            return
        self._over = True
        self._over_reason = reason
        if not self.splice.connected:
            if self._timeouts:
                # The connector isn't told that nobody waits for its answer any more.
                self._clock.callLater(OPEN_TIMEOUT, self._on_settled, self.session.user_id)
            else:
                self._on_settled(self.session.user_id)
        self._stop_timeouts()
        if self.record is not None:
            self._write_end(reason)
        self._on_end(self)

    def _write_end(self, reason: str) -> None:
        assert self.record is not None
        self._records.channel_closed(
            self.record,
            self.connector_id,
            reason,
            self.bytes_to_target,
            self.bytes_from_target,
            acknowledged=self.acknowledged,
            at_once=self._end_wanted,
        )

    def _stop_timeouts(self) -> None:
        for timeout in self._timeouts:
            if timeout.active():
                timeout.cancel()
        self._timeouts = ()
