"""Who gets in: verifies, spends and writes the session, each login in one transaction.

Unknown user, wrong token and no grant take the same way through here and give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.cred.portal import IRealm
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.entities import Key, Method, Session, Tunnel, User, UserView
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.names import Login, named_by
from tunnelcloud.domain.policy import allowed_token_sessions, could_open_any
from tunnelcloud.domain.tokens import hash_secret, hide_secrets
from tunnelcloud.net.escaping import escape
from tunnelcloud.pod.interfaces import IViews
from tunnelcloud.pod.keyring import Held, KeyRing
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.outages import OUTAGES
from tunnelcloud.ssh.interfaces import IAccess, ISessionAvatar, LoginAttempt, LoginRefused
from tunnelcloud.store import access, keys, sessions, tokens
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import OutcomeUnknown, StoreUnavailable
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.store.tokens import Outcome, Spending
from tunnelcloud.store.transaction import Transaction


@frozen
class _Refusal:
    """Why a login came to nothing: for the user (may be empty), and for the audit."""

    text: str
    reason: str
    offence: bool = True


@frozen
class _Rules:
    """What a login is judged by, beside the store.

    :ivar has_room: tells, in any thread, whether a user may begin one more session here.
    :ivar records: whether a refusal is written down; if not, it is counted elsewhere.
    """

    pod_id: str
    has_room: Callable[[str], bool]
    records: bool


@frozen
class _Offer:
    """A key that was signed with: which it is and whose, if anybody's, and why it doesn't do."""

    key: Key | None = None
    owner: User | None = None
    obstacle: str = ""
    tunnel: Tunnel | None = None


@frozen
class _Scope:
    """What a login may open: all that its user may, or one tunnel.

    :ivar obstacle: why it opens nothing, if so.
    """

    tunnel: Tunnel | None = None
    obstacle: str = ""


_Verdict = Session | _Refusal

LOGIN_SECONDS = 5.0
"""How long a login waits for the store."""

CANNOT_JUDGE = "the pod can't check logins now; try again in a minute"
MAY_BE_SPENT = "the pod can't tell whether it recorded this login; get a new one-time token"
CAME_LATE = "the database answered after the client had been refused"

_KEY_OPENS_NOTHING = "the key opens nothing for this login"
_SCOPE_IS_EMPTY = {
    Method.KEY: _KEY_OPENS_NOTHING,
    Method.TOKEN: "no tunnel is assigned that it opens for this login",
}

_NO_ROOM = _Refusal(
    "you have as many sessions open on this pod as your share is: end one of them",
    "the user's share of sessions is used up",
    offence=False,
)
_OPENS_NOTHING = "this one-time token opens nothing for this login name: check both"
"""Said alike of a wrong token, an unknown user, another user's token and a missing grant."""


@implementer(IAccess)
class Access:
    """Judges credentials by the store, and by what is known of it already.

    :ivar begun: sessions that were written and have no avatar yet, by id.
    """

    def __init__(
        self,
        store: AsyncStore,
        pod_id: str,
        views: IViews,
        ring: KeyRing,
        has_room: Callable[[str], bool],
        refuses: Callable[[], str] = str,
    ) -> None:
        """
        :param has_room: tells, in any thread, whether a user may begin one more session here.
        :param refuses: says why the pod takes no logins at all; empty when it does.
        """
        self._has_room = has_room
        self._refusals = Refusals(store, store.reactor)
        self._refuses = refuses
        self.begun: dict[str, Session] = {}
        self._store = store.within(LOGIN_SECONDS, self._came_late)
        self._pod_id = pod_id
        self._views = views
        self._ring = ring

    def is_registered(self, key_blob: bytes) -> Deferred[bool]:
        """Did anybody register this key?  What it opens is judged once its owner has signed."""
        if reason := self._refuses():
            return fail(LoginRefused(reason, offence=False))
        asked = self._ring.get(key_blob)
        asked.addTimeout(LOGIN_SECONDS, self._store.reactor, _too_slow)
        return asked.addErrback(self._unavailable).addCallback(lambda held: held is not None)

    def _judge_key(self, attempt: LoginAttempt, key_blob: bytes) -> Deferred[_Offer]:
        if reason := self._refuses():
            return fail(LoginRefused(reason, offence=False))
        return self._ring.get(key_blob).addCallback(self._judge_held, attempt)

    def _judge_held(self, held: Held | None, attempt: LoginAttempt) -> _Offer | Deferred[_Offer]:
        if held is None:
            return _Offer(obstacle=_KEY_OPENS_NOTHING)
        view = self._views.get(held.key.user_id)
        return view.addCallbacks(_judge, _ownerless, (held, attempt))

    def login_with_key(self, attempt: LoginAttempt, key_blob: bytes) -> Deferred[str]:
        """Verify a login whose signature was good, and write its session."""
        rules = self._rules(attempt)
        judged = self._judge_key(attempt, key_blob).addCallback(
            lambda offer: self._store.write(_login_with_key, attempt, rules, offer)
        )
        judged.addTimeout(LOGIN_SECONDS, self._store.reactor, _too_slow)
        return judged.addErrback(self._unavailable).addCallback(self._pronounce, attempt, rules)

    def login_with_token(self, attempt: LoginAttempt, token: str) -> Deferred[str]:
        """Verify and spend a token, and write the session."""
        if reason := self._refuses():
            return fail(LoginRefused(reason, offence=False))
        rules = self._rules(attempt)
        judged = self._store.write(_login_with_token, attempt, rules, token)
        return judged.addErrback(self._unavailable).addCallback(self._pronounce, attempt, rules)

    def login_failed(self, attempt: LoginAttempt, method: str, reason: str) -> None:
        """Record a login that the front door itself refused."""
        rules = self._rules(attempt)
        self._note(attempt, rules)
        if not rules.records:
            return

        def work(transaction: Transaction) -> None:
            user = _named(transaction, attempt)
            _record_refusal(transaction, attempt, rules, Method(method), reason, user)

        self._store.write(work).addErrback(OUTAGES.tell, "refusals aren't recorded")

    def _rules(self, attempt: LoginAttempt) -> _Rules:
        records = self._refusals.has_room(source_group(attempt.source))
        return _Rules(self._pod_id, self._has_room, records)

    def _note(self, attempt: LoginAttempt, rules: _Rules) -> None:
        """Count a refusal: of one source's, beyond a rate, only the number is written."""
        event = AuditEvent("login.refused", source_ip=attempt.source, pod_id=self._pod_id)
        self._refusals.note(event, source_group(attempt.source), rules.records)

    def _unavailable(self, failure: Failure) -> Failure:
        """A store that fails is no offence of whoever knocks, and no reason to let them in."""
        if failure.check(LoginRefused):
            return failure
        OUTAGES.tell(failure, "logins can't be judged")
        text = MAY_BE_SPENT if failure.check(OutcomeUnknown) else CANNOT_JUDGE
        return Failure(LoginRefused(text, False))

    def _came_late(self, verdict: object) -> None:
        """End a session whose login nobody waited for any more."""
        if isinstance(verdict, Session):
            ended = self._store.write(sessions.end, verdict.id, reason=CAME_LATE)
            ended.addErrback(OUTAGES.tell, "a login that came late isn't ended")

    def _pronounce(self, verdict: _Verdict, attempt: LoginAttempt, rules: _Rules) -> str:
        if isinstance(verdict, _Refusal):
            self._note(attempt, rules)
            raise LoginRefused(verdict.text, verdict.offence)
        self.begun[verdict.id] = verdict
        return verdict.id


@implementer(IRealm)
class Realm:
    """Gives the session that a checker has just written its avatar."""

    def __init__(self, live: LiveSessions, access: Access) -> None:
        self._live = live
        self._access = access

    def requestAvatar(
        self, avatarId: bytes | str | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], object, Callable[[], None]]:
        """Make the avatar of a session."""
        assert isinstance(avatarId, str), "the checkers' answers are sessions' ids"
        if ISessionAvatar not in interfaces:
            raise NotImplementedError("the realm has sessions only")
        avatar = self._live.begin(self._access.begun.pop(avatarId))
        return ISessionAvatar, avatar, lambda: avatar.logged_out("the connection ended")


def _judge(view: UserView, held: Held, attempt: LoginAttempt) -> _Offer:
    if held.expired:
        obstacle = f"the key expired at {held.key.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return _Offer(held.key, view.user, obstacle)
    if not _may_be(attempt.login, view.user):
        return _Offer(held.key, view.user, _KEY_OPENS_NOTHING)
    scope = _scope(view, Method.KEY, attempt.login, None)
    return _Offer(held.key, view.user, scope.obstacle, scope.tunnel)


def _ownerless(failure: Failure) -> _Offer:
    """A key whose user was deleted is as good as gone, too."""
    failure.trap(LookupError)
    return _Offer(obstacle=_KEY_OPENS_NOTHING)


def _login_with_key(
    transaction: Transaction,
    attempt: LoginAttempt,
    rules: _Rules,
    offer: _Offer,
) -> _Verdict:
    """Begin a session, if the key is still good now."""
    if offer.key is not None and not offer.obstacle:
        if not rules.has_room(offer.key.user_id):
            _record_refusal(transaction, attempt, rules, Method.KEY, _NO_ROOM.reason, offer.owner)
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
    reason = offer.obstacle or _KEY_OPENS_NOTHING
    owner = offer.owner or _named(transaction, attempt)
    _record_refusal(transaction, attempt, rules, Method.KEY, reason, owner)
    return _Refusal("", reason, offence=False)


def _login_with_token(
    transaction: Transaction,
    attempt: LoginAttempt,
    rules: _Rules,
    token: str,
) -> _Verdict:
    refusal = _Refusal(_OPENS_NOTHING, "no such token for this login")
    secret_hash = hash_secret(token)
    found = access.find_token(transaction, secret_hash)
    if found is None or not _may_be(attempt.login, found.user):
        # Grants aren't read, and who is named is: the time that the answer takes is the same.
        named = _named(transaction, attempt)
        whose = named if found is None else found.user
        _record_refusal(transaction, attempt, rules, Method.TOKEN, refusal.reason, whose)
        return refusal
    view, bound = access.view_of(transaction, found), found.token.tunnel_id
    scope = _scope(view, Method.TOKEN, attempt.login, bound)
    if scope.obstacle:
        # The client gets the answer that a wrong token gets; the audit may know better.
        refusal = _Refusal(_OPENS_NOTHING, f"the token is good, but {scope.obstacle}")
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
    _record_refusal(transaction, attempt, rules, Method.TOKEN, refusal.reason, view.user)
    return refusal


def _spent(spending: Spending) -> _Refusal:
    token = spending.token
    if token is None:
        return _Refusal(_OPENS_NOTHING, "no such token for this login")
    if spending.outcome is Outcome.USED and token.used_at is not None:
        text = f"this one-time token was used at {token.used_at:%Y-%m-%d %H:%M:%S} UTC"
    elif spending.outcome is Outcome.EXPIRED:
        text = f"this one-time token expired at {token.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    else:
        text = "this one-time token was revoked"
    return _Refusal(f"{text}: get a new one", text, offence=False)


def _may_be(login: Login | None, user: User) -> bool:
    """Tell whether a login names this user, or leaves it to the credential to name them."""
    return login is not None and login.user in (None, user.name, user.email)


def _scope(view: UserView, method: Method, login: Login | None, tunnel_id: str | None) -> _Scope:
    """Tell what a login may open; this is decided once, and the session keeps the tunnel's id.

    :param tunnel_id: the only tunnel that the credential opens; None for all of the user's.
    """
    if login is not None and login.tunnel is not None:
        meant = named_by(view, method, login.tunnel, tunnel_id)
        if len(meant) > 1:
            names = ", ".join(sorted(tunnel.name for tunnel in meant))
            return _Scope(obstacle=f"{login.tunnel} names more than one tunnel: {names}")
        tunnel_id = meant[0].id if meant else ""
    if not could_open_any(view, method, tunnel_id):
        return _Scope(obstacle=_SCOPE_IS_EMPTY[method])
    return _Scope(None if tunnel_id is None else view.by_tunnel[tunnel_id][0].tunnel)


def _named(transaction: Transaction, attempt: LoginAttempt) -> User | None:
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


def _shown_name(attempt: LoginAttempt, user: User | None) -> str:
    """Show a login name that was refused; a token that was typed in its place is kept from all."""
    names = () if user is None else (user.name, user.email)
    if attempt.login is not None and attempt.login.user in names:
        return _text(attempt.login_name)
    return _text(hide_secrets(attempt.login_name)).strip()


def _record_refusal(
    transaction: Transaction,
    attempt: LoginAttempt,
    rules: _Rules,
    method: Method,
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
                "login_name": _shown_name(attempt, user),
                "method": str(method),
                "client_version": attempt.client_version,
                "reason": reason,
            },
        )
    )


def _too_slow(answer: object, seconds: float) -> object:
    """Fail when a login was given up; one that was committed nevertheless goes on."""
    if not isinstance(answer, Failure):
        return answer
    answer.trap(CancelledError)
    raise StoreUnavailable(f"the database takes too long: no answer within {seconds:g} s")
