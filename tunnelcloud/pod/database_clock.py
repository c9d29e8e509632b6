"""The time by the database's clock, in between two questions for it.

Permissions end by it: pods would otherwise each let them last as long as their own machine's clock
says, and nobody would notice one that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

LATE_SECONDS = 2.0
"""An answer that took longer isn't believed, unless it is the first."""

APART = timedelta(seconds=2)
"""By so much the machine's clock may differ without a line in the log."""

_log = Logger()


@define(eq=False)
class DatabaseClock:
    """Tells the time; by the machine's clock until the database was asked.

    :ivar tell_time: reads the machine's clock.
    """

    clock: IReactorTime
    tell_time: Callable[[], datetime] = field(default=partial(datetime.now, UTC))
    _known: tuple[datetime, float] | None = None
    _is_apart: bool = False

    def asked(self) -> Callable[[datetime], None]:
        """Note that the database is asked for its time.

        :return: takes the answer.  Since it is counted from the question on, the time that is told
            may be ahead by as long as the answer took: no permission lasts too long by it.
        """
        since = self.clock.seconds()

        def answered(now: datetime) -> None:
            if self._known is not None and self.clock.seconds() - since > LATE_SECONDS:
                return
            self._known = now, since
            self._compare(self.now() - self.tell_time())

        return answered

    def now(self) -> datetime:
        """Tell the time."""
        if self._known is None:
            return self.tell_time()
        at, since = self._known
        return at + timedelta(seconds=self.clock.seconds() - since)

    def _compare(self, ahead: timedelta) -> None:
        """Log once that the machine's clock is another than the database's."""
        was_apart, self._is_apart = self._is_apart, abs(ahead) > APART
        if self._is_apart and not was_apart:
            _log.warn(
                "this machine's clock is {seconds} s {which} the database's, by which permissions "
                "end: have both keep time (chrony or systemd-timesyncd)",
                seconds=round(abs(ahead.total_seconds())),
                which="behind" if ahead > timedelta(0) else "ahead of",
            )
