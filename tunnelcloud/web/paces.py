"""How fast users may change things: each change is written to the audit, for good.

Whoever has a credential of their own could otherwise fill the disk, or push what others did out of
an audit that is bounded.  Administrators are trusted not to: they could do that anyway.
"""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus

from twisted.internet.interfaces import IReactorTime

from tunnelcloud.domain.entities import Role
from tunnelcloud.net.allowance import Allowance
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.routes import Caller

AT_ONCE = 300
A_SECOND = 1
_MOST_USERS = 10_000


class Paces:
    """Counts the changes of each user; in memory, and for this pod."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._allowances: OrderedDict[str, Allowance] = OrderedDict()

    def take(self, caller: Caller) -> None:
        """Count a change.

        :raise Problem: 429 for a user who has made too many.
        """
        if caller.role is not Role.USER:
            return
        allowance = self._allowances.pop(caller.id, None)
        if allowance is None:
            allowance = Allowance(self._clock, AT_ONCE, A_SECOND)
        self._allowances[caller.id] = allowance
        if len(self._allowances) > _MOST_USERS:
            self._allowances.popitem(last=False)
        if not allowance.take(1):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"you change things faster than {A_SECOND} a second: wait, and go on more slowly",
                headers={"Retry-After": "1"},
            )
