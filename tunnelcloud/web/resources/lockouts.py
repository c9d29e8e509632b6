"""Operations on lockouts after failed logins: listing them, and ending one."""

from __future__ import annotations

from datetime import timedelta

from attrs import frozen

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.net.source_limits import ShutOut
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.lockouts import Door, Lift, Lockout, Lockouts
from tunnelcloud.web.portal.password_attempts import Slowed
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS, Call, Route, operation, rows_of

MOST = 50
"""As many of each door are listed."""


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for who is kept out."""
    return rows_of(_Lockouts(context))


@frozen
class _Lockouts:
    context: ApiContext

    @operation("GET", "/lockouts", READERS, answer=Lockouts)
    async def list_lockouts(self, _: Call) -> Lockouts:
        """List who has to wait before another login or sign-in, the longest wait first."""
        context = self.context
        return Lockouts(
            items=[
                *(self._of(Door.SSH, "", one) for one in context.live.shut_out(MOST)),
                *(
                    self._of(Door.CODES if one.codes else Door.PORTAL, one.name, one)
                    for one in context.attempts.slowed(MOST)
                ),
            ]
        )

    def _of(self, door: Door, name: str, one: ShutOut | Slowed) -> Lockout:
        now = self.context.now()
        return Lockout(
            door=door,
            source=one.source,
            name=name,
            since=now - timedelta(seconds=one.seconds),
            until=now + timedelta(seconds=one.left),
        )

    @operation("POST", "/lockouts/lift", ADMINS, body=Lift)
    async def lift_lockout(self, call: Call) -> None:
        """Let one of them try again at once, on all pods."""
        wanted = call.body_as(Lift)
        codes = wanted.door is Door.CODES
        lifting = self.context.shared_attempts.lifting(wanted.source, wanted.name, codes=codes)

        def work(transaction: Transaction) -> None:
            if wanted.door is Door.SSH:
                self.context.live.let_in(transaction, wanted.source)
            else:
                lifting(transaction)
            data = {"door": wanted.door.value, "source": wanted.source, "name": wanted.name}
            transaction.audit(AuditEvent("lockout.lifted", data=data))

        await self.context.acting(call).write(work)
        if wanted.door is not Door.SSH:
            self.context.attempts.forgive(wanted.source, wanted.name, codes=codes)
