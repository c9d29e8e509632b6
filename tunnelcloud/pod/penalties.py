"""Penalties of failed logins, shared with the other pods, so that they slow a source down
everywhere.

One notice has the offences of half a second.  If a notice is lost, or is too short for all of them,
the rest counts only on this pod.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred, succeed

from tunnelcloud.net.source_limits import FloodControl, ShutOut
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.transaction import Change, Resync, Transaction

SHARE_SECONDS = 0.5
MOST_SOURCES = 100
"""The number of sources whose offences fit into a notice of PostgreSQL, whatever their
addresses."""

_MOST_GATHERED = 10_000
_KIND = "penalty"
_LIFTED = "penalty_lifted"


class SharedPenalties:
    """Exchanges offences between a flood control and the other pods.

    :param pod_id: this pod, whose own notices are ignored.
    """

    def __init__(self, flood: FloodControl, store: AsyncStore, pod_id: str) -> None:
        self._flood = flood
        self._store = store
        self._pod_id = pod_id
        self._offences: dict[str, float] = {}
        flood.listen(self._offended)

    def send(self) -> Deferred[None]:
        """Send the gathered offences; called every ``SHARE_SECONDS``."""
        offences, self._offences = self._offences, {}
        if not offences:
            return succeed(None)
        largest = sorted(offences.items(), key=lambda one: -one[1])[:MOST_SOURCES]
        words = [f"{source}={weight:g}" for source, weight in largest]
        telling = self._store.write(_tell, self._pod_id, words)
        return telling.addErrback(OUTAGES.tell, "penalties aren't shared")

    def shut_out(self, most: int) -> list[ShutOut]:
        """List the sources that may not connect to this pod, nor to the others."""
        return self._flood.shut_out(most)

    def lift(self, transaction: Transaction, group: str) -> None:
        """Have all pods remove a penalty; this one does so when it hears its own notice."""
        transaction.changed(_LIFTED, self._pod_id, decides=False, concerns=[group])

    def changed(self, change: Change | Resync) -> None:
        """Take a notice from the change feed."""
        if isinstance(change, Change) and change.kind == _LIFTED:
            for group in change.concerns:
                self._offences.pop(group, None)
                self._flood.forgive(group)
            return
        if not isinstance(change, Change) or change.kind != _KIND or change.id == self._pod_id:
            return
        for word in change.concerns:
            source, _, weight = word.partition("=")
            self._flood.penalise(source, float(weight))

    def _offended(self, source: str, weight: float) -> None:
        if source in self._offences or len(self._offences) < _MOST_GATHERED:
            self._offences[source] = self._offences.get(source, 0.0) + weight


def _tell(transaction: Transaction, pod_id: str, words: Iterable[str]) -> None:
    transaction.changed(_KIND, pod_id, decides=False, concerns=words)
