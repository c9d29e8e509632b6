"""How a login is judged: by its user's view, a key or a token, in the transaction that begins it.

Unknown user, wrong token, another user's token and a token without a grant give the same answer to
the client.  The user reads the reason among their own sessions, and the audit has it.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.python.failure import Failure

from tunnelcloud.domain.entities import (
    Key,
    Method,
    Session,
    SessionMethod,
    Token,
    Tunnel,
    User,
    UserView,
)
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.login_scope import scope_of
from tunnelcloud.domain.names import Login
from tunnelcloud.domain.policy import allowed_token_sessions
from tunnelcloud.domain.tokens import hash_secret, hide_secrets
from tunnelcloud.net.escaping import escape
from tunnelcloud.pod.keyring import Held
from tunnelcloud.ssh.interfaces import LoginAttempt
from tunnelcloud.store import access, browser_logins, keys, sessions, tokens
from tunnelcloud.store.tokens import Outcome, Spending
from tunnelcloud.store.transaction import Transaction


@frozen
class Refusal:
    """Why a login came to nothing: for the user (may be empty), and for the audit."""

    text: str
    reason: str
    offence: bool = True


@frozen
class Rules:
    """What a login is judged by, beside the store.

    :ivar has_room: tells, in any thread, whether a user may begin one more session here.
    :ivar records: whether a refusal is written down; if not, it is counted elsewhere.
    """

    pod_id: str
    has_room: Callable[[str], bool]
    records: bool


@frozen
class Offer:
    """A key that was signed with: which it is and whose, if anybody's, and why it doesn't do."""

    key: Key | None = None
    owner: User | None = None
    obstacle: str = ""
    tunnel: Tunnel | None = None


Verdict = Session | Refusal

KEY_OPENS_NOTHING = "the key opens nothing for this login"

_NO_ROOM = Refusal(
    "you have as many sessions open on this pod as your share is: end one of them",
    "the user's share of sessions is used up",
    offence=False,
)
_OPENS_NOTHING = (
    "this one-time token opens nothing for this login name: check both, or see why under Sessions "
    "in the portal"
)
"""Said alike of a wrong token, an unknown user, another user's token and one without a grant."""


_CONFIRMED_NOTHING = (
    "who confirmed this login can open nothing by it: see why under Sessions in the portal"
)


def judge(view: UserView, held: Held, attempt: LoginAttempt) -> Offer:
    """Tell what a key that is registered opens for a login."""
    if held.expired:
        obstacle = f"the key expired at {held.key.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return Offer(held.key, view.user, obstacle)
    if not _may_be(attempt.login, view.user):
        return Offer(held.key, view.user, KEY_OPENS_NOTHING)
    scope = scope_of(view, Method.KEY, attempt.login, None)
    obstacle = f"{KEY_OPENS_NOTHING}: {scope.obstacle}" if scope.obstacle else ""
    return Offer(held.key, view.user, obstacle, scope.tunnel)


def ownerless(failure: Failure) -> Offer:
    """A key whose user was deleted is as good as gone, too."""
    failure.trap(LookupError)
    return Offer(obstacle=KEY_OPENS_NOTHING)


def login_with_key(
    transaction: Transaction,
    attempt: LoginAttempt,
    rules: Rules,
    offer: Offer,
) -> Verdict:
    """Begin a session, if the key is still good now."""
    if offer.key is not None and not offer.obstacle:
        if not rules.has_room(offer.key.user_id):
            record_refusal(
                transaction, attempt, rules, SessionMethod.KEY, _NO_ROOM.reason, offer.owner
            )
            return _NO_ROOM
        session = keys.use(
            transaction,
            offer.key.id,
            _login(attempt, rules.pod_id),
            user=offer.owner,
            tunnel=offer.tunnel,
        )
        if session is not None:
            return session
    reason = offer.obstacle or KEY_OPENS_NOTHING
    owner = offer.owner or find_named(transaction, attempt)
    record_refusal(transaction, attempt, rules, SessionMethod.KEY, reason, owner)
    return Refusal("", reason, offence=False)


def login_with_token(
    transaction: Transaction,
    attempt: LoginAttempt,
    rules: Rules,
    token: str,
) -> Verdict:
    """Spend a token and begin a session, if it opens anything for this login."""
    refusal = Refusal(_OPENS_NOTHING, "no such token for this login")
    secret_hash = hash_secret(token)
    found = access.find_token(transaction, secret_hash)
    if found is None or not _may_be(attempt.login, found.user):
        # Grants aren't read, and who is named is: the time that the answer takes is the same.
        named = find_named(transaction, attempt)
        whose = named if found is None else found.user
        record_refusal(transaction, attempt, rules, SessionMethod.TOKEN, refusal.reason, whose)
        return refusal
    view, bound = access.view_of(transaction, found), found.token.tunnel_id
    scope = scope_of(view, Method.TOKEN, attempt.login, bound)
    if scope.obstacle:
        refusal = _unopened(transaction, found.token, scope.obstacle)
    elif not rules.has_room(view.user.id):
        refusal = _NO_ROOM
    else:
        allowed = 1 if bound is None else allowed_token_sessions(view, bound)
        spending = tokens.spend(
            transaction,
            secret_hash,
            _login(attempt, rules.pod_id),
            user=view.user,
            tunnel=scope.tunnel,
            at_most=allowed,
        )
        if spending.session is not None:
            return spending.session
        refusal = _spent(spending)
    record_refusal(transaction, attempt, rules, SessionMethod.TOKEN, refusal.reason, view.user)
    return refusal


def login_by_browser(
    transaction: Transaction,
    attempt: LoginAttempt,
    rules: Rules,
    secret_hash: bytes,
) -> Verdict:
    """Begin the session of a login that somebody confirmed in a browser, if it opens anything."""
    login = _login(attempt, rules.pod_id)
    user = browser_logins.peek(transaction, secret_hash)
    if user is None or not _may_be(attempt.login, user):
        return _unconfirmed(transaction, attempt, rules, "nobody confirmed this login", user)
    if not browser_logins.is_for(transaction, secret_hash, login):
        reason = "it is another login than was confirmed"
        return _unconfirmed(transaction, attempt, rules, reason, user)
    view = access.load_view(transaction, user.id)
    scope = scope_of(view, Method.TOKEN, attempt.login, None)
    if scope.obstacle:
        reason = f"it was confirmed, but {scope.obstacle}"
        return _unconfirmed(transaction, attempt, rules, reason, user)
    if not rules.has_room(user.id):
        record_refusal(transaction, attempt, rules, SessionMethod.BROWSER, _NO_ROOM.reason, user)
        return _NO_ROOM
    session = browser_logins.use(transaction, secret_hash, user, login, scope.tunnel)
    if session is not None:
        return session
    return _unconfirmed(transaction, attempt, rules, "the confirmation was used", user)


def _unconfirmed(
    transaction: Transaction, attempt: LoginAttempt, rules: Rules, reason: str, user: User | None
) -> Refusal:
    """Refuse a login by browser; who has the link sees no more than that it opened nothing."""
    whose = user or find_named(transaction, attempt)
    record_refusal(transaction, attempt, rules, SessionMethod.BROWSER, reason, whose)
    return Refusal(_CONFIRMED_NOTHING, reason, offence=False)


def _unopened(transaction: Transaction, token: Token, obstacle: str) -> Refusal:
    """Refuse a token that opens nothing, and leave it unspent.

    It is no offence, as the token is genuine.  One that ended before says so, as with a grant.
    """
    outcome = tokens.outcome_of(transaction, token)
    if outcome is not Outcome.UNKNOWN:
        return _spent(Spending(outcome, token))
    return Refusal(_OPENS_NOTHING, f"the token is good, but {obstacle}", offence=False)


def _spent(spending: Spending) -> Refusal:
    token = spending.token
    if token is None:
        return Refusal(_OPENS_NOTHING, "no such token for this login")
    if spending.outcome is Outcome.USED and token.used_at is not None:
        text = f"this one-time token was used at {token.used_at:%Y-%m-%d %H:%M:%S} UTC"
    elif spending.outcome is Outcome.EXPIRED:
        text = f"this one-time token expired at {token.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    else:
        text = "this one-time token was revoked"
    return Refusal(f"{text}: get a new one", text, offence=False)


def _may_be(login: Login | None, user: User) -> bool:
    """Tell whether a login names this user, or leaves it to the credential to name them."""
    return login is not None and login.user in (None, user.name, user.email)


def find_named(transaction: Transaction, attempt: LoginAttempt) -> User | None:
    """Find the user whom a login names, whether or not it is them."""
    login = attempt.login
    return access.find_login(transaction, (login and login.user) or "")


def _login(attempt: LoginAttempt, pod_id: str) -> sessions.LoginRecord:
    return sessions.LoginRecord(
        login_name=_text(attempt.login_name),
        source_ip=attempt.source,
        client_version=attempt.client_version,
        pod_id=pod_id,
    )


def _text(login_name: bytes) -> str:
    """Show any bytes as one line of printable text."""
    return escape(login_name, 320)


def shown_name(attempt: LoginAttempt, user: User | None) -> str:
    """Show a login name that was refused; a token that was typed in its place is kept from all."""
    names = () if user is None else (user.name, user.email)
    if attempt.login is not None and attempt.login.user in names:
        return _text(attempt.login_name)
    return _text(hide_secrets(attempt.login_name)).strip()


def record_refusal(
    transaction: Transaction,
    attempt: LoginAttempt,
    rules: Rules,
    method: SessionMethod,
    reason: str,
    user: User | None,
) -> None:
    """Record a refusal, unless there are too many.

    :param user: who reads of it among their own: whose credential it was, or whom the login names.
    """
    if not rules.records:
        return
    transaction.audit(
        AuditEvent(
            "login.refused",
            user_id=None if user is None else user.id,
            user_name=None if user is None else user.name,
            source_ip=attempt.source,
            pod_id=rules.pod_id,
            data={
                "login_name": shown_name(attempt, user),
                "method": str(method),
                "client_version": attempt.client_version,
                "reason": reason,
            },
        )
    )
