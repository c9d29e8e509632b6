"""Whether a login would find the database as it needs it: what the last minute proved.

A heartbeat that was written proves that the database takes small writes.  When any write has
failed since, the pod isn't ready until a heartbeat comes with more to write than a login has.

Anybody may read why a pod isn't ready.  So it says in what way the database fails and not what the
database said, which may name its address and its users; the log has that.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from tunnelcloud.store.errors import StoreUnavailable, Trouble

PROVEN_SECONDS = 60.0
"""For so long a heartbeat that was written proves something."""

PROBE_SECONDS = 30.0
"""How often a heartbeat carries as much as a login, while nothing fails."""


@define(eq=False)
class Health:
    """What is known of the database.

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
        """Tell whether the next heartbeat is to carry as much as a login."""
        now = self.clock.seconds()
        return (
            bool(self._fault) or self._probed_at is None or now - self._probed_at >= PROBE_SECONDS
        )

    def beaten(self, probed: bool) -> None:
        """Take it that a heartbeat was written.

        :param probed: that it carried as much as a login.
        """
        self._beat_at = self.clock.seconds()
        if probed:
            self._probed_at, self._fault = self._beat_at, ""

    def missed(self, failure: Failure) -> Failure:
        """Take it that a heartbeat wasn't written; an errback that hands the failure on."""
        error = failure.value
        self._fault = error.trouble if isinstance(error, StoreUnavailable) else Trouble.OTHER
        return failure

    def write_failed(self, error: StoreUnavailable) -> None:
        """Take it that some write failed; one that took too long may have been long."""
        if error.trouble is not Trouble.SLOW:
            self._fault = error.trouble

    def why_not_writing(self) -> str | None:
        """Say why the database may take no login; None while it does."""
        if self._fault:
            return self._fault
        silence = self.clock.seconds() - self._beat_at
        return f"no heartbeat was written for {silence:.0f} s" if silence > PROVEN_SECONDS else None

    def why_not_hearing(self) -> str | None:
        """Say why changes may have been missed; None while they are heard."""
        silence = self.echoed()
        if silence < self.deaf:
            return None
        return f"changes in the store haven't been heard for {silence:.0f} s"
