"""Keeps one link to a pod: dials, waits with jittered backoff after a loss, dials again.

Knows a clock and a way to dial; neither TLS nor channels.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.domain.ssh_command import PublicAddress

SHORTEST_DELAY = 0.5
LONGEST_DELAY = 15.0
"""Seconds between two attempts, before jitter."""

DISMISSED_DELAY = 300.0
"""Seconds before jitter after the pod has refused the link, which a retry doesn't change."""

STABLE_AFTER = 30.0
"""Seconds after which a link counts as working, so that its loss isn't a failure."""


class LinkKeeper:
    """Keeps one link up.

    :param dial: connects once; fires with a connection, whose end must be reported to ``lost``.
    :param random: gives a number from 0 to 1.
    """

    _log = Logger()

    def __init__(
        self,
        address: PublicAddress,
        dial: "Callable[[LinkKeeper], Deferred[IProtocol]]",
        clock: IReactorTime,
        random: Callable[[], float],
    ) -> None:
        self.address = address
        self.connected = False
        self._dial = dial
        self._clock = clock
        self._random = random
        self._failures = 0
        self._dialing: Deferred[IProtocol] | None = None
        self._waiting: IDelayedCall | None = None
        self._connected_at = 0.0
        self._dismissed = False
        self._stopped = True

    def start(self) -> None:
        """Dial now, and again whenever the link is lost."""
        self._stopped = False
        self._attempt()

    def stop(self) -> None:
        """Dial no more.  A link that is there stays."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._dialing is not None:
            self._dialing.cancel()

    def resume(self) -> None:
        """Dial again after ``stop``, unless the link is there."""
        if self._stopped:
            self._stopped = False
            if not self.connected:
                self._attempt()

    def dismissed(self, reason: str) -> None:
        """The pod says why it ends the link."""
        self._dismissed = True
        self._log.error(
            "pod {pod} turns this connector away: {reason}. To let it in again, start it once with "
            "--join-file and a new token from `tunnelcloud connector join-token NAME`",
            pod=self.address,
            reason=reason,
        )

    def lost(self, reason: str) -> None:
        """The link is over."""
        self.connected = False
        if self._clock.seconds() - self._connected_at >= STABLE_AFTER:
            self._failures = 0
        if not self._stopped:
            self._log.info("link to {pod} lost: {reason}", pod=self.address, reason=reason)
            self._attempt_later()

    def _attempt(self) -> None:
        self._waiting = None
        self._dialing = self._dial(self)
        self._dialing.addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, _: object) -> None:
        self._dialing = None
        self.connected = True
        self._connected_at = self._clock.seconds()

    def _failed(self, failure: Failure) -> None:
        self._dialing = None
        if not self._stopped:
            self._log.warn(
                "pod {pod} can't be reached: {why}",
                pod=self.address,
                why=failure.getErrorMessage(),
            )
            self._attempt_later()

    def _attempt_later(self) -> None:
        delay = min(LONGEST_DELAY, SHORTEST_DELAY * 2**self._failures)
        if self._dismissed:
            self._dismissed = False
            delay = DISMISSED_DELAY
        self._failures = min(self._failures + 1, 10)
        self._waiting = self._clock.callLater(delay * (0.5 + self._random()), self._attempt)
