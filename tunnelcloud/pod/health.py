"""Whether the database would accept a login, as proved within the last minute.

A heartbeat that was written proves that the database accepts small writes.  After any failed write
the pod isn't ready until a heartbeat succeeds that writes more than a login does.

Anybody may read why a pod isn't ready.  So the text names the kind of failure.  The database's own
message, which may name its address and its users, is in the log only.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from tunnelcloud.store.errors import StoreUnavailable, Trouble

PROVEN_SECONDS = 60.0
"""For how many seconds a written heartbeat proves that the database works."""

PROBE_SECONDS = 30.0
"""Seconds between heartbeats that write as much as a login, while nothing fails."""


@define(eq=False)
class Health:
    """The state of the database, as far as the pod knows it.

    :ivar echoed: tells for how many seconds the change feed has been silent.
    :ivar deaf: after so many the pod isn't ready.
    """

    clock: IReactorTime
    echoed: Callable[[], float]
    deaf: float
    _beat_at: float = field(init=False)
    _probed_at: float | None = None
    _fault: str = ""

    def __attrs_post_init__(self) -> None:
        self._beat_at = self.clock.seconds()

    def probe_due(self) -> bool:
        """Tell whether the next heartbeat has to write as much as a login."""
        now = self.clock.seconds()
        return (
            bool(self._fault) or self._probed_at is None or now - self._probed_at >= PROBE_SECONDS
        )

    def beaten(self, probed: bool) -> None:
        """Note that a heartbeat was written.

        :param probed: whether it wrote as much as a login.
        """
        self._beat_at = self.clock.seconds()
        if probed:
            self._probed_at, self._fault = self._beat_at, ""

    def missed(self, failure: Failure) -> Failure:
        """Note that a heartbeat failed; an errback that passes the failure on."""
        error = failure.value
        self._fault = error.trouble if isinstance(error, StoreUnavailable) else Trouble.OTHER
        return failure

    def write_failed(self, error: StoreUnavailable) -> None:
        """Note that a write failed, unless it was a long one that took too much time."""
        if error.trouble is not Trouble.SLOW:
            self._fault = error.trouble

    def why_not_writing(self) -> str | None:
        """Return why the database may not accept a login; None while it does."""
        if self._fault:
            return self._fault
        silence = self.clock.seconds() - self._beat_at
        return f"no heartbeat was written for {silence:.0f} s" if silence > PROVEN_SECONDS else None

    def why_not_hearing(self) -> str | None:
        """Return why changes may have been missed; None while the change feed works."""
        silence = self.echoed()
        if silence < self.deaf:
            return None
        return f"changes in the store haven't been heard for {silence:.0f} s"
