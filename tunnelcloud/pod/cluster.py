"""This pod among the others: heartbeat, the change feed, what is asked of whichever pod has it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.entities import Pod, UserView
from tunnelcloud.domain.join_tokens import read_pod_address
from tunnelcloud.store import access, channels, keys, pods, sessions, tunnels
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.changes import ChangeFeed
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.transaction import Change, Resync, Transaction

BEAT_SECONDS = 10.0
SILENT_SECONDS = 45.0
"""After so long without a heartbeat a pod counts as gone, and its records are closed."""

DEAF_SECONDS = 5.0
"""After so long without the change feed nothing new is let in."""

_log = Logger()

Heard = Callable[[Change | Resync], None]


class Cluster:
    """What a pod shares with the others, by way of the store.

    :param own_address: where connectors reach this pod.
    """

    def __init__(
        self, store: AsyncStore, feed: ChangeFeed, pod_id: str, own_address: PublicAddress
    ) -> None:
        self.draining = False
        self._store = store
        self._feed = feed
        self._pod_id = pod_id
        self._own_address = own_address
        self._pods: tuple[Pod, ...] = ()
        self._pods_moved: Callable[[], None] = lambda: None
        self._external_addresses: tuple[str, ...] = ()

    def start(self, heard: Heard, pods_moved: Callable[[], None]) -> None:
        """Begin to hear of changes; both are called in the reactor's thread.

        :param pods_moved: a pod came or went, or connectors reach one elsewhere.
        """
        self._pods_moved = pods_moved
        self._feed.subscribe(heard)
        self._feed.subscribe(self._heard)
        self._feed.start()

    def stop(self) -> Deferred[None]:
        """Leave the others, with the books in order."""
        left = self._store.write(pods.leave, self._pod_id, reason="stopped")
        left.addErrback(lambda failure: _log.failure("the pod can't sign off", failure))
        return left.addCallback(lambda _: self._feed.stop())

    @property
    def is_current(self) -> bool:
        """Whether what was read before can be trusted: changes have been heard all the while."""
        return self._feed.down_for() < DEAF_SECONDS

    def feed_age(self) -> float:
        """Say for how many seconds changes may have been missed."""
        return self._feed.down_for()

    def beat(self) -> Deferred[None]:
        """Say that this pod is there, close what dead pods left, and look who else is there."""
        # After the database was away for all, whoever is back first must not bury the others.
        reaps = self._feed.up_for() >= SILENT_SECONDS
        beaten = self._store.write(_beat, self._pod_id, self.draining, reaps)
        return beaten.addCallbacks(self._met, self._missed)

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

    def load_views(self, user_ids: Sequence[str]) -> Deferred[Mapping[str, UserView]]:
        """Read what some users may open; who isn't there is left out."""
        return self._store.read(access.load_views, user_ids)

    def end_requests(self) -> Deferred[list[sessions.EndRequest]]:
        """List the sessions and channels of this pod that are to be ended."""
        return self._store.read(sessions.end_requests, self._pod_id)

    def request_end(self, kind: str, object_id: str, reason: str) -> Deferred[bool]:
        """Ask whichever pod has it to end a session or a channel.

        :return: fires with False when it was not open any more.
        """
        return self._store.write(_request_end, kind, object_id, reason)

    def closed_sessions(self, session_ids: Sequence[str]) -> Deferred[list[str]]:
        """Say which of these sessions have records that are closed."""
        return self._store.read(sessions.closed, session_ids)

    def good_keys(self, key_ids: Collection[str]) -> Deferred[frozenset[str]]:
        """Tell which of some keys still let their users in."""
        return self._store.read(keys.good, key_ids)

    def _heard(self, change: Change | Resync) -> None:
        """Look again at the pods, and at the names that clients connect to (for host keys)."""
        if isinstance(change, Resync) or change.kind == "tunnel":
            self._store.read(tunnels.external_addresses).addCallbacks(self._named, self._missed)
        if isinstance(change, Resync) or change.kind == "pod":
            self._store.read(_present).addCallbacks(self._see, self._missed)

    def _named(self, external_addresses: list[str]) -> None:
        self._external_addresses = tuple(external_addresses)

    def _met(self, found: tuple[list[Pod], list[str]]) -> None:
        self._see(found[0])
        self._named(found[1])

    def _see(self, present: list[Pod]) -> None:
        before = self.connectors_addresses()
        self._pods = tuple(present)
        if set(self.connectors_addresses()) != set(before):
            self._pods_moved()

    def _missed(self, failure: Failure) -> None:
        failure.trap(StoreUnavailable)
        _log.warn("what pods share can't be looked up: {why}", why=failure.getErrorMessage())


def _beat(
    transaction: Transaction, pod_id: str, draining: bool, reaps: bool
) -> tuple[list[Pod], list[str]]:
    pods.heartbeat(transaction, pod_id, draining=draining)
    if reaps:
        pods.reap(transaction, silent_seconds=SILENT_SECONDS)
    return _present(transaction), tunnels.external_addresses(transaction)


def _present(transaction: Transaction) -> list[Pod]:
    return pods.alive(transaction, within_seconds=SILENT_SECONDS)


def _request_end(transaction: Transaction, kind: str, object_id: str, reason: str) -> bool:
    if kind == "session":
        return sessions.request_end(transaction, object_id, reason).ended_at is None
    return channels.request_end(transaction, object_id, reason).closed_at is None
