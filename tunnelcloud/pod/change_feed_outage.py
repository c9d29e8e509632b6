"""How long streams go on while a pod can't hear of revocations."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen
from twisted.logger import Logger

LIMIT_SECONDS = 5.0

_log = Logger()


@frozen
class BlindLimit:
    """Ends all sessions of a pod that may have missed revocations for too long.

    :ivar deaf_for: tells for how many seconds changes may have been missed.
    :ivar longest: after so many seconds all sessions end; 0 for never.
    :ivar end_all: ends all sessions, with a reason.
    """

    deaf_for: Callable[[], float] = field(repr=False)
    longest: int
    end_all: Callable[[str], None] = field(repr=False)

    def check(self) -> None:
        """End all sessions, if it is time; called every ``LIMIT_SECONDS``."""
        if self.longest and self.deaf_for() >= self.longest:
            _log.error("changes weren't heard for {seconds} s: all ends", seconds=self.longest)
            self.end_all(
                f"this pod has heard of no revocations for {self.longest} s; connect again"
            )
