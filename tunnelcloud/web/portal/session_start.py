"""What follows a proof of identity: a sign-in begins, or a second factor is asked for."""

from __future__ import annotations

from contextlib import suppress

from attrs import field, frozen

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.names import BadName, read_email, read_user_name
from tunnelcloud.domain.objects.identity_providers import IdentityProvider
from tunnelcloud.domain.objects.users import User
from tunnelcloud.domain.tokens import hash_secret, without_secrets
from tunnelcloud.net.escaping import escape
from tunnelcloud.pki.sealing import Sealer
from tunnelcloud.store import (
    identities,
    identity_providers,
    second_factors,
    sign_in_steps,
    users,
    web_sessions,
)
from tunnelcloud.store.errors import Conflict, InvalidReference
from tunnelcloud.store.identities import NotLetIn, Person
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal import invitations
from tunnelcloud.web.portal.page_requests import Moved, Visit
from tunnelcloud.web.portal.sealed_cookies import read_device, write_device
from tunnelcloud.web.portal.second_factor import Judged, Judgement, judge
from tunnelcloud.web.portal.sign_in_cookies import IDLE_SECONDS, SignIns
from tunnelcloud.web.routes import READERS

CODE_PAGE = "/sign-in/code"
LONGEST_NAME = 320
NO_NAME = "(no user can have such a name)"
"""What the audit has in place of the typed text."""

_CODE_SECONDS = 5 * 60


@frozen
class Entry:
    """What a transaction did for somebody who proved who they are.

    :ivar secret: of the sign-in, or of the second step.
    """

    secret: str = field(repr=False)
    next_page: str
    user_id: str
    code_awaited: bool = False

    async def reply(self, visit: Visit, sign_ins: SignIns) -> Moved:
        """Send the browser on, and end the sign-in that it had before: a browser has only one."""
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
    return Entry(secret, landing_page(user, next_page), user.id)


def landing_page(user: User, next_page: str) -> str:
    """Give where a sign-in leads: those who administer begin at the overview, not at tunnels."""
    return "/admin" if next_page == "/" and user.role in READERS else next_page


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
        secret_hash=hash_secret(secret),
        lifetime_seconds=_CODE_SECONDS,
        source=source_group(visit.source_ip),
        user_id=user.id,
        content={"next": next_page, "method": method},
    )
    return Entry(secret, next_page, user.id, code_awaited=True)


def enter_compared(
    transaction: Transaction,
    name: str,
    compared: tuple[User, str],
    secret: str,
    visit: Visit,
    next_page: str,
    *,
    with_code_only: bool,
) -> Entry | None:
    """Let somebody in whose password was right, or on to their code.

    :param compared: who they are, and the hash that their password was compared with.
    :param with_code_only: whether only those get on who have a second factor.
    :return: None for who was blocked, or got another password, while this one was compared.
    """
    user = compared[0]
    try:
        # Whoever blocks them, or changes their password, from now on waits, and ends this sign-in.
        users.lock_unblocked(transaction, user.id)
    except (Conflict, InvalidReference):
        return None
    if users.find_entrant(transaction, name) != compared:
        return None
    if with_code_only and not second_factors.is_confirmed(transaction, user.id):
        return None
    return enter_by_password(transaction, user, secret, visit, next_page, "password")


@frozen
class CodeRefused:
    """A code that was refused.

    :ivar event: for the audit, which sums many of them up.
    """

    judged: Judged
    event: AuditEvent


def enter_by_code(
    transaction: Transaction, sealer: Sealer, secret: str, visit: Visit
) -> Entry | CodeRefused | None:
    """Begin the sign-in of somebody who types the code that was awaited.

    :return: None when no code is awaited any more.
    """
    user = _lock_awaited(transaction, visit.step)
    step = sign_in_steps.find_awaited(transaction, visit.step)
    if user is None or step is None:
        return None
    judged = judge(transaction, sealer, user.id, visit.typed("code"))
    if judged.judgement is Judgement.NOT_ASKED:
        return None
    if not judged.good:
        return CodeRefused(judged, refusal(user, user.name, visit.source_ip, "wrong code"))
    if sign_in_steps.take(transaction, hash_secret(visit.step)) is None:
        return None
    how = "code" if judged.judgement is Judgement.CODE else "recovery code"
    method, next_page = f"{step.content['method']} and {how}", step.content["next"]
    return begin_session(transaction, user, secret, visit, next_page, method)


def _lock_awaited(transaction: Transaction, secret: str) -> User | None:
    """Lock the user whose code is awaited: what ends this step is done, or waits for this."""
    step = sign_in_steps.find_awaited(transaction, secret)
    if step is None:
        return None
    try:
        return users.lock_unblocked(transaction, step.user_id)
    except (Conflict, InvalidReference):
        return None


def enter_by_invitation(
    transaction: Transaction, link: str, name: str, hashed: str, secret: str, visit: Visit
) -> Entry | None:
    """Use up a link that lets somebody choose a password, and let them in; None for the blocked.

    :param name: as in ``invitations.accept``.
    :param hashed: the password, in PHC form.
    :raise LinkIsOver: it leads nowhere any more.
    :raise Conflict: the chosen name is somebody else's.
    """
    accepted = invitations.accept(transaction, link, name, hashed)
    if accepted.blocked:
        return None
    return enter_by_password(transaction, accepted, secret, visit, "/", "invitation")


def enter_through(
    transaction: Transaction,
    provider: IdentityProvider,
    person: Person,
    secret: str,
    visit: Visit,
    next_page: str,
) -> Entry:
    """Begin the sign-in of somebody whom a provider vouches for.

    :raise NotLetIn: they are no user, and don't become one, or the provider is disabled now.
    """
    offered = identity_providers.lock_offered(transaction, provider.id)
    method = provider.title or provider.name
    if offered is None:
        raise NotLetIn(
            "disabled",
            f"{method} was disabled while you signed in.",
            "Sign in another way, or ask an administrator of TunnelCloud.",
        )
    user = identities.enter(transaction, offered, person)
    return begin_session(transaction, user, secret, visit, next_page, method, provider.id)


def refusal(user: User | None, name: str, source_ip: str, reason: str) -> AuditEvent:
    """Say for the audit that somebody wasn't let in.

    :param user: None if unknown.
    :param name: what was typed.
    """
    shown = name if user is not None else _of_nobody(name)
    return AuditEvent(
        "web_login.refused",
        user_id=None if user is None else user.id,
        user_name=None if user is None else user.name,
        source_ip=source_ip,
        data={"login_name": escape(shown, LONGEST_NAME), "reason": reason},
    )


def _of_nobody(name: str) -> str:
    """Show a name that no user has, if one could have it: whatever else was typed there may be a
    password.
    """
    shown = without_secrets(name)
    if shown != name:
        return shown
    for read in (read_user_name, read_email):
        with suppress(BadName):
            read(name)
            return name
    return NO_NAME
