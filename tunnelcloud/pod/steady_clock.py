"""Whether the database's clock goes as fast as a clock that nobody can set.

What is deleted for its age is gone, also if the clock was wrong: there is a day to set it right.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

STEP = timedelta(hours=1)
"""The clock may be set by so much, or the machine have slept for so long, without a pause."""

FIRST_SECONDS = 3600.0
"""A machine that starts with a wrong clock has mostly been told the time by then."""

PAUSE_SECONDS = 24 * 3600.0

_log = Logger()


@define
class SteadyClock:
    """Looks at the database's clock now and then."""

    clock: IReactorTime
    _began: float = field(init=False)
    _seen: tuple[datetime, float] | None = field(default=None, init=False)
    _stepped_at: float | None = field(default=None, init=False)

    @_began.default
    def _begin(self) -> float:
        return self.clock.seconds()

    def is_steady(self, now: datetime) -> bool:
        """Tell whether things may be deleted for their age.

        :param now: what the database's clock shows.
        """
        seconds = self.clock.seconds()
        if self._seen is not None:
            before, then = self._seen
            self._stepped(now - before - timedelta(seconds=seconds - then), seconds)
        self._seen = now, seconds
        if self._stepped_at is not None:
            return seconds - self._stepped_at >= PAUSE_SECONDS
        return seconds - self._began >= FIRST_SECONDS

    def _stepped(self, step: timedelta, seconds: float) -> None:
        if step < -STEP:
            self._stepped_at = None
        elif step > STEP:
            self._stepped_at = seconds
            _log.warn(
                "the clock went forward by {minutes} minutes at once: for a day no event and no "
                "session is deleted for its age. If the clock is wrong, set it right before",
                minutes=step // timedelta(minutes=1),
            )
