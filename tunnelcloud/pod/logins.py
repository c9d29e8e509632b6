"""Judges logins by the user's view and a key or a token.

A user's view may take a tenth of a second to read.  So it is read before the transaction that
begins the session, since all other logins wait for that one.

Unknown user, wrong token, another user's token and a token without a grant give the same answer to
the client.  The user reads the reason among their own sessions, and the audit has it.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.python.failure import Failure

from tunnelcloud.domain.entities import Key, Method, Session, SessionMethod, Token, UserView
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.login_scope import scope_of
from tunnelcloud.domain.names import Login
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import User
from tunnelcloud.domain.policy import allowed_token_sessions
from tunnelcloud.domain.tokens import hide_secrets
from tunnelcloud.net.escaping import escape
from tunnelcloud.pod.key_cache import Held
from tunnelcloud.ssh.interfaces import LoginAttempt
from tunnelcloud.store import browser_logins, keys, sessions, tokens, users
from tunnelcloud.store.tokens import Outcome, Spending
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.user_views import FoundToken


@frozen
class Refusal:
    """Why a login was refused: for the user (may be empty), and for the audit."""

    text: str
    reason: str
    offence: bool = True


@frozen
class Rules:
    """The rules for a login, besides the store.

    :ivar has_room: tells, in any thread, whether a user may begin one more session here.
    :ivar records: whether a refusal is recorded; if not, it is counted elsewhere.
    """

    pod_id: str
    has_room: Callable[[str], bool]
    records: bool


@frozen
class Offer:
    """A key with a good signature: its id and owner, if it has one, and why it isn't accepted."""

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
"""The same text for a wrong token, an unknown user, another user's token and one without a
grant."""


_CONFIRMED_NOTHING = (
    "who confirmed this login can open nothing by it: see why under Sessions in the portal"
)


def judge(view: UserView, held: Held, attempt: LoginAttempt) -> Offer:
    """Find out what a registered key opens for a login."""
    if held.expired:
        obstacle = f"the key expired at {held.key.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return Offer(held.key, view.user, obstacle)
    if not may_be(attempt.login, view.user):
        return Offer(held.key, view.user, KEY_OPENS_NOTHING)
    scope = scope_of(view, Method.KEY, attempt.login, None)
    obstacle = f"{KEY_OPENS_NOTHING}: {scope.obstacle}" if scope.obstacle else ""
    return Offer(held.key, view.user, obstacle, scope.tunnel)


def ownerless(failure: Failure) -> Offer:
    """Judge a key whose user was deleted, like an unknown one."""
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
    secret_hash: bytes,
    found: FoundToken | None,
    view: UserView | None,
) -> Verdict:
    """Spend a token and begin a session, if it opens anything for this login.

    :param found: None if there is no such token.
    :param view: of the token's user, if the login may be theirs.
    """
    refusal = Refusal(_OPENS_NOTHING, "no such token for this login")
    if found is None or view is None:
        # The named user is read instead of the grants, so that the answer takes the same time.
        named = find_named(transaction, attempt)
        whose = named if found is None else found.user
        record_refusal(transaction, attempt, rules, SessionMethod.TOKEN, refusal.reason, whose)
        return refusal
    bound = found.token.tunnel_id
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
    view: UserView | None,
) -> Verdict:
    """Begin the session of a login that somebody confirmed in a browser, if it opens anything.

    :param view: of whoever confirmed it; None if nobody did.
    """
    login = _login(attempt, rules.pod_id)
    user = browser_logins.peek(transaction, secret_hash)
    if user is None or view is None or view.user.id != user.id or not may_be(attempt.login, user):
        return _unconfirmed(transaction, attempt, rules, "nobody confirmed this login", user)
    if not browser_logins.is_for(transaction, secret_hash, login):
        reason = "it is another login than was confirmed"
        return _unconfirmed(transaction, attempt, rules, reason, user)
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
    """Refuse a login by browser; whoever has the link learns only that it opened nothing."""
    whose = user or find_named(transaction, attempt)
    record_refusal(transaction, attempt, rules, SessionMethod.BROWSER, reason, whose)
    return Refusal(_CONFIRMED_NOTHING, reason, offence=False)


def _unopened(transaction: Transaction, token: Token, obstacle: str) -> Refusal:
    """Refuse a token that opens nothing, and leave it unspent.

    There is no penalty, since the token is genuine.  If the token has expired or was used, the text
    says so, as with a grant.
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


def may_be(login: Login | None, user: User) -> bool:
    """Tell whether a login names this user, or no user."""
    return login is not None and login.user in (None, user.name, user.email)


def find_named(transaction: Transaction, attempt: LoginAttempt) -> User | None:
    """Find the user whom a login names, whoever logs in."""
    login = attempt.login
    return users.find_login(transaction, (login and login.user) or "")


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
    """Return a refused login name for display, with a token typed in its place hidden."""
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

    :param user: the user who sees the refusal: the owner of the credential, or the user whom the
        login names.
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
