"""Limits how fast users may change things, since the audit keeps every change.

Whoever has a credential of their own could otherwise fill the disk, or push what others did out of
an audit that is bounded.  Administrators are trusted not to: they could do that anyway.

What is done in the portal counts apart from what is done with API tokens: whoever uses a token that
they stole doesn't keep its user from ending it.
"""

from __future__ import annotations

from http import HTTPStatus

from twisted.internet.interfaces import IReactorTime

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.net.allowance import Allowances
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.routes import Caller

AT_ONCE = 300
A_SECOND = 1


class Paces:
    """Counts the changes of each user; in memory, and for this pod."""

    def __init__(self, clock: IReactorTime) -> None:
        self._allowances = Allowances(clock, AT_ONCE, A_SECOND)

    def take(self, caller: Caller) -> None:
        """Count a change.

        :raise Problem: 429 for a user who has made too many and is no administrator.
        """
        if caller.role is Role.ADMIN:
            return
        if not self._allowances.take((caller.id, caller.api_token_id is not None)):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"you change things faster than {A_SECOND} a second: wait, and go on more slowly",
                headers={"Retry-After": "1"},
            )
