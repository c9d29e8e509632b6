"""Logs failed work: in one line a minute while the database is away.

Without the database everything fails that needs it, for each user and each link.  Any other failure
is a fault of the program, and is logged with its traceback.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.store.errors import StoreUnavailable

QUIET_SECONDS = 60.0

_log = Logger()


@define
class Outages:
    """Logs each kind of work that fails in an outage once a minute.

    :ivar seconds: returns the time of a monotonic clock.
    """

    seconds: Callable[[], float] = time.monotonic
    _told: dict[str, float] = field(factory=dict)

    def tell(self, failure: Failure, what: str) -> None:
        """Log why work failed; an errback.

        :param what: the work that failed, in the same words for each user and link.
        """
        if failure.check(CancelledError):
            return
        if not failure.check(StoreUnavailable):
            _log.failure("{what}", failure, what=what)
            return
        now = self.seconds()
        if now - self._told.get(what, now - QUIET_SECONDS) >= QUIET_SECONDS:
            self._told[what] = now
            _log.warn("{what}: {why}", what=what, why=failure.getErrorMessage())


OUTAGES = Outages()
