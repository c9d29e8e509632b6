"""How those get in who proved who they are: a sign-in begins, or a second factor is asked for."""

from __future__ import annotations

from attrs import frozen

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.entities import User
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import second_factors, sign_in_steps, web_sessions
from tunnelcloud.store.sign_in_steps import Awaited
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.page_requests import Moved, Visit
from tunnelcloud.web.portal.sealed import read_device, write_device
from tunnelcloud.web.portal.signing import IDLE_SECONDS, SignIns

CODE_PAGE = "/sign-in/code"
_CODE_SECONDS = 5 * 60


@frozen
class Entry:
    """What a transaction did for somebody who proved who they are.

    :ivar secret: of the sign-in, or of the step that is still to come.
    """

    secret: str
    next_page: str
    user_id: str
    code_awaited: bool = False

    async def reply(self, visit: Visit, sign_ins: SignIns) -> Moved:
        """Lead on, and end the sign-in that this browser had: it keeps one."""
        if self.code_awaited:
            return Moved(CODE_PAGE, step=self.secret)
        if visit.signed_in is not None:
            await sign_ins.end(visit.signed_in)
        context = sign_ins.context
        device = write_device(context, read_device(context, visit.device), self.user_id)
        return Moved(self.next_page, session=self.secret, step="", device=device)


def begin_session(
    transaction: Transaction,
    user: User,
    secret: str,
    visit: Visit,
    next_page: str,
    method: str,
    provider_id: str | None = None,
) -> Entry:
    """Begin a sign-in.

    :param secret: a new one: what the browser had before proves nothing.
    :param provider_id: who vouched for them.
    """
    web_sessions.create(
        transaction,
        user_id=user.id,
        secret_hash=hash_secret(secret),
        lifetime_seconds=IDLE_SECONDS,
        method=method,
        source_ip=visit.source_ip,
        user_agent=visit.user_agent,
        provider_id=provider_id,
    )
    return Entry(secret, next_page, user.id)


def enter_by_password(
    transaction: Transaction, user: User, secret: str, visit: Visit, next_page: str, method: str
) -> Entry:
    """Begin a sign-in, or ask for the second factor of a user who has one.

    :param method: what the password was given by, ``password`` or ``invitation``.
    """
    if not second_factors.is_confirmed(transaction, user.id):
        return begin_session(transaction, user, secret, visit, next_page, method)
    sign_in_steps.begin(
        transaction,
        Awaited.CODE,
        secret_hash=hash_secret(secret),
        lifetime_seconds=_CODE_SECONDS,
        source=source_group(visit.source_ip),
        user_id=user.id,
        content={"next": next_page, "method": method},
    )
    return Entry(secret, next_page, user.id, code_awaited=True)
