"""This pod among the others: its lease, the change feed, and requests to other pods."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.domain.entities import Pod, UserView
from tunnelcloud.domain.join_tokens import read_pod_address
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.pod.database_clock import DatabaseClock
from tunnelcloud.pod.health import Health
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.store import (
    attached_connectors,
    channels,
    keys,
    pods,
    sessions,
    tunnels,
    user_views,
)
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.changes import ChangeFeed
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.pods import Registration
from tunnelcloud.store.session_reopening import reopen
from tunnelcloud.store.transaction import Change, Resync, Transaction

BEAT_SECONDS = 5.0
SILENT_SECONDS = 45.0
"""Seconds without a heartbeat after which a pod counts as dead, and its records are closed."""

DEAF_SECONDS = 5.0
"""Seconds without the change feed after which the pod refuses new sessions and channels."""

DRAIN_SECONDS = 2.0
"""How many seconds a pod that is about to end waits until the others have been told."""

BEAT_DEADLINE = 10.0
_PROBE_BYTES = 32 * 1024
"""More than any login writes."""

DRAINING = "this pod is being drained: connect again, and another pod takes you"
STOPPING = "the pod is shutting down: connect again, and another pod takes you"

_log = Logger()

Heard = Callable[[Change | Resync], None]
OpenHere = tuple[frozenset[str], frozenset[str]]


@frozen
class Seat:
    """A pod's place among the others.

    :ivar registration: the pod's name, addresses and version.
    """

    pod_id: str
    registration: Registration


@frozen
class _Beat:
    """The result of a heartbeat.

    :ivar now: the time by the database's clock.
    :ivar anew: the registration under which the pod had to register again.
    :ivar reaped: how many sessions of dead pods were closed.
    """

    now: datetime
    present: list[Pod]
    external_addresses: list[str]
    attached: Mapping[str, int] = field(factory=dict)
    anew: Registration | None = None
    reaped: int = 0


class Cluster:
    """The state that pods share, through the store.

    :param time: is told the database's time at each heartbeat.
    :param attached: gives the ids of connectors that have links to this pod.
    :param open_here: gives the ids of the sessions and of the channels that are open here.
    :ivar stopping: the pod is about to end.
    """

    def __init__(
        self,
        store: AsyncStore,
        feed: ChangeFeed,
        seat: Seat,
        health: Health,
        time: DatabaseClock,
        attached: Callable[[], frozenset[str]] = frozenset,
        open_here: Callable[[], OpenHere] = lambda: (frozenset(), frozenset()),
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.stopping = False
        self._drained = False
        self._store = store
        self._feed = feed
        self._seat = seat
        self._health = health
        self._time = time
        self._attached = attached
        self._open = open_here
        self._random = random
        self._own_address = read_pod_address(seat.registration.connectors_address)
        self._pods: tuple[Pod, ...] = ()
        self._pods_moved: Callable[[], None] = lambda: None
        self._external_addresses: tuple[str, ...] = ()
        self._attachments: Mapping[str, int] = {}
        self._noted: frozenset[str] | None = None
        self._reaping = False

    def start(self, heard: Heard, pods_moved: Callable[[], None]) -> None:
        """Begin to hear of changes; both are called in the reactor's thread.

        :param pods_moved: a pod came or went, or connectors reach one elsewhere.
        """
        self._pods_moved = pods_moved
        self._feed.subscribe(heard)
        self._feed.subscribe(self._heard)
        self._feed.start()

    def stop(self) -> Deferred[None]:
        """Leave the cluster, with all records written."""
        left = self._store.within(BEAT_DEADLINE).write(
            pods.leave, self._seat.pod_id, reason="stopped"
        )
        left.addErrback(OUTAGES.tell, "the pod can't sign off")
        return left.addCallback(lambda _: self._feed.stop())

    @property
    def is_current(self) -> bool:
        """Whether cached data can be trusted: no change can have been missed."""
        return self._feed.down_for() < DEAF_SECONDS

    def beat(self) -> Deferred[None]:
        """Renew the lease, close the records of dead pods, and read which other pods there are."""
        # After an outage of the database, the first pod that is back must not take the others for
        # dead.
        reaps = self._feed.up_for() >= SILENT_SECONDS
        probes = self._health.probe_due()
        attached = self._attached()
        # Random, since a database may compress.
        filler = self._random(_PROBE_BYTES) if probes else b""
        timed = self._time.asked()
        beaten = self._store.within(BEAT_DEADLINE).write(
            _beat, self._seat, reaps, filler, None if attached == self._noted else attached
        )
        beaten.addErrback(self._health.missed)
        return beaten.addCallback(self._met, probes, attached, timed)

    async def _reap_on(self) -> None:
        """Close the other records of dead pods: beside the heartbeats, which they would hold up."""
        store, silent = self._store.within(BEAT_DEADLINE), SILENT_SECONDS
        try:
            while not self.stopping:
                if await store.write(pods.reap, silent_seconds=silent) < pods.REAPED_AT_ONCE:
                    break
        except StoreUnavailable as error:
            # The next heartbeat that closes as many goes on with it.
            OUTAGES.tell(Failure(error), "records of pods that are gone can't be closed")
        finally:
            self._reaping = False

    def refusal(self) -> str:
        """Return why the pod refuses new sessions and channels; empty while it doesn't."""
        if self.stopping:
            return STOPPING
        return DRAINING if self._drained else ""

    def drain(self) -> Deferred[None]:
        """Tell all others that this pod refuses new sessions: it is about to end."""
        self.stopping = True
        told = self._store.within(DRAIN_SECONDS).write(pods.drain, self._seat.pod_id, True)
        return told.addCallbacks(
            lambda _: None, OUTAGES.tell, errbackArgs=("the other pods can't be told of the drain",)
        )

    def connectors_addresses(self) -> Sequence[PublicAddress]:
        """Give the addresses at which connectors reach the pods, this one's first."""
        others = (read_pod_address(pod.connectors_address) for pod in self._pods)
        return tuple(dict.fromkeys([self._own_address, *others]))

    def ssh_addresses(self) -> Sequence[PublicAddress]:
        """Give the addresses at which SSH clients reach the pods."""
        return tuple(read_pod_address(pod.ssh_address) for pod in self._pods)

    def external_addresses(self) -> Sequence[str]:
        """Give the host names of tunnels that clients connect to."""
        return self._external_addresses

    def presence(self, connector_id: str) -> tuple[int, int]:
        """Tell to how many pods a connector has links, and how many pods there are."""
        return self._attachments.get(connector_id, 0), max(1, len(self._pods))

    def load_views(self, user_ids: Sequence[str]) -> Deferred[Mapping[str, UserView]]:
        """Read the views of some users; unknown users are left out."""
        return self._store.read(user_views.load_views, user_ids)

    def end_requests(self) -> Deferred[list[sessions.EndRequest]]:
        """List the sessions and channels of this pod that are to be ended."""
        return self._store.read(sessions.end_requests, self._seat.pod_id)

    def request_end(self, kind: str, object_id: str, reason: str) -> Deferred[bool]:
        """Ask the pod that has a session or a channel to end it.

        :return: fires with False when it was not open any more.
        """
        return self._store.write(_request_end, kind, object_id, reason)

    def reconcile(self) -> Deferred[list[sessions.EndRequest]]:
        """Open the records again that other pods closed, taking this pod for dead.

        :return: fires with the sessions and channels to be ended instead.
        """
        live_sessions, _ = self._open()
        return self._store.write(_come_back, self._seat, live_sessions).addCallback(self._reopen)

    def _reopen(self, closed: list[str]) -> Deferred[list[sessions.EndRequest]]:
        before, channel_ids = self._open()
        lost = before.intersection(closed)
        if not lost:
            return succeed([])
        _log.warn(
            "{count} records of open sessions were closed: they are reopened", count=len(lost)
        )
        again = self._store.write(reopen, self._seat.pod_id, lost, channel_ids)
        return again.addCallback(self._reopened, lost)

    def _reopened(
        self, wanted: list[sessions.EndRequest], lost: frozenset[str]
    ) -> list[sessions.EndRequest]:
        for session_id in lost - self._open()[0]:
            # It ended while its record was opened.
            ended = self._store.write(sessions.end, session_id, reason="the connection ended")
            ended.addErrback(OUTAGES.tell, "the end of a session can't be recorded")
        return wanted

    def good_keys(self, key_ids: Collection[str]) -> Deferred[frozenset[str]]:
        """Tell which of some keys still let their users in."""
        return self._store.read(keys.good, key_ids)

    def _heard(self, change: Change | Resync) -> None:
        """Read the pods again, and the names that clients connect to (for host keys)."""
        if isinstance(change, Resync) or change.kind == "tunnel":
            self._store.read(tunnels.external_addresses).addCallbacks(self._named, self._missed)
        if isinstance(change, Resync) or change.kind == "pod":
            self._store.read(pods.alive).addCallbacks(self._see, self._missed)

    def _named(self, external_addresses: list[str]) -> None:
        self._external_addresses = tuple(external_addresses)

    def _met(
        self,
        found: _Beat,
        probed: bool,
        attached: frozenset[str],
        timed: Callable[[datetime], None],
    ) -> None:
        timed(found.now)
        self._health.beaten(probed)
        self._noted = attached
        self._attachments = found.attached
        if found.anew is not None:
            self._take_part_anew(found.anew)
        if found.reaped == pods.REAPED_AT_ONCE and not self._reaping:
            self._reaping = True
            Deferred.fromCoroutine(self._reap_on())
        self._see(found.present)
        self._named(found.external_addresses)

    def _take_part_anew(self, registration: Registration) -> None:
        self._seat = evolve(self._seat, registration=registration)
        self._noted = None
        _log.warn(
            "another pod took the lease of this pod while this pod couldn't reach the database: "
            "it registers again, as {name}; open sessions go on",
            name=registration.name,
        )

    def _see(self, present: list[Pod]) -> None:
        before = self.connectors_addresses()
        self._pods = tuple(present)
        own = next((pod for pod in present if pod.id == self._seat.pod_id), None)
        # A pod that has left isn't among them, and doesn't come back.
        if own is not None and own.draining != self._drained:
            self._drained = drained = own.draining
            _log.info("this pod is drained" if drained else "this pod takes new sessions again")
        if set(self.connectors_addresses()) != set(before):
            self._pods_moved()

    def _missed(self, failure: Failure) -> None:
        OUTAGES.tell(failure, "what pods share can't be looked up")


def _beat(
    transaction: Transaction,
    seat: Seat,
    reaps: bool,
    filler: bytes,
    attached: frozenset[str] | None,
) -> _Beat:
    anew = None
    if not pods.renew(transaction, seat.pod_id, seat.registration.incarnation):
        incarnation = transaction.new_id("pod")
        again = evolve(seat.registration, incarnation=incarnation)
        anew = evolve(again, name=pods.rejoin(transaction, seat.pod_id, again).name)
    if filler:
        pods.probe(transaction, seat.pod_id, filler)
    if attached is not None:
        attached_connectors.note(transaction, seat.pod_id, attached)
    reaped = pods.reap(transaction, silent_seconds=SILENT_SECONDS) if reaps else 0
    return _Beat(
        transaction.now(),
        pods.alive(transaction),
        tunnels.external_addresses(transaction),
        attached_connectors.counts(transaction),
        anew,
        reaped,
    )


def _come_back(transaction: Transaction, seat: Seat, session_ids: Collection[str]) -> list[str]:
    """Tell which of a pod's sessions have closed records, once the others know that it is there.

    They would close the records again until its next heartbeat, which may come seconds later.
    """
    pods.renew(transaction, seat.pod_id, seat.registration.incarnation)
    return sessions.closed(transaction, session_ids)


def _request_end(transaction: Transaction, kind: str, object_id: str, reason: str) -> bool:
    if kind == "session":
        return sessions.request_end(transaction, object_id, reason).ended_at is None
    return channels.request_end(transaction, object_id, reason).closed_at is None
