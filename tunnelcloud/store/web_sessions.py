"""Sign-ins to the portals; the cookie's secret is kept as a hash."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from attrs import frozen
from sqlalchemy import bindparam, delete, select, update

from tunnelcloud.domain.events import AuditEvent, event_of
from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.interpreter_lock import politely
from tunnelcloud.store import users
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.filters import equals
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.schema import users as users_table
from tunnelcloud.store.schema import web_sessions as table
from tunnelcloud.store.transaction import Transaction


@frozen
class WebSession:
    """A sign-in to the portals."""

    id: str
    created_at: datetime
    user_id: str
    expires_at: datetime
    last_seen_at: datetime
    source_ip: str
    user_agent: str
    method: str
    provider_id: str | None = None


WEB_SESSIONS = Aggregate(
    "web_session",
    table,
    WebSession,
    filters={"user_id": equals(table.c.user_id)},
)

_BY_SECRET = Prepared(
    WEB_SESSIONS.select()
    .join(users_table)
    .where(
        table.c.secret_hash == bindparam("secret_hash"),
        table.c.expires_at > bindparam("now"),
        users_table.c.blocked.is_(False),
    )
)

MOST_OF_A_USER = 100
"""As many sign-ins: of more, those end that weren't used for longest."""

_DELETED_AT_ONCE = 500

get = WEB_SESSIONS.get
list_page = WEB_SESSIONS.list_page


def create(
    transaction: Transaction,
    *,
    user_id: str,
    secret_hash: bytes,
    lifetime_seconds: int,
    method: str,
    source_ip: str,
    user_agent: str,
    provider_id: str | None = None,
) -> WebSession:
    """Keep a new sign-in.

    :param secret_hash: of ``tunnelcloud.domain.tokens.hash_secret``.
    :param method: how they proved who they are, such as ``password``.
    :param provider_id: who vouched for them; the sign-in ends with that provider.
    :raise InvalidReference: there is no such user.
    :raise Conflict: they are blocked.
    """
    user = users.lock_unblocked(transaction, user_id)
    now = transaction.now()
    session = WEB_SESSIONS.insert(
        transaction,
        {
            "user_id": user_id,
            "expires_at": now + timedelta(seconds=lifetime_seconds),
            "last_seen_at": now,
            "source_ip": source_ip,
            "user_agent": user_agent,
            "method": method,
            "provider_id": provider_id,
        },
        {"secret_hash": secret_hash},
    )
    transaction.audit(
        _event("web_login.succeeded", user, source_ip, method=method),
    )
    users.note_seen(transaction, user_id)
    _end_crowd(transaction, user_id)
    return session


def _end_crowd(transaction: Transaction, user_id: str) -> None:
    """End a user's sign-ins that weren't used for longest, if they have too many."""
    latest = table.c.last_seen_at.desc(), table.c.id.desc()
    query = select(table.c.id).where(table.c.user_id == user_id).order_by(*latest)
    for one in transaction.connection.execute(query.offset(MOST_OF_A_USER)).scalars().all():
        end(transaction, one, reason="too many sign-ins")


def authenticate(transaction: Transaction, secret_hash: bytes) -> tuple[WebSession, User] | None:
    """Find the sign-in with this secret and its user; None when it ended or they are blocked."""
    given = {"secret_hash": secret_hash, "now": transaction.now()}
    found = _BY_SECRET(transaction.connection, given)
    if not found:
        return None
    session = WEB_SESSIONS.make(found[0])
    return session, users.get(transaction, session.user_id)


def roles_of(
    transaction: Transaction, session_ids: Collection[str], longest: timedelta
) -> dict[str, Role]:
    """Give the roles of those whose sign-ins are still good, by the ids of these.

    :param longest: for how long a sign-in may last at most.
    """
    now = transaction.now()
    query = (
        select(table.c.id, users_table.c.role)
        .join(users_table)
        .where(
            table.c.id.in_(session_ids),
            table.c.expires_at > now,
            table.c.created_at > now - longest,
            users_table.c.blocked.is_(False),
        )
    )
    return {row.id: row.role for row in transaction.connection.execute(query)}


def touch(transaction: Transaction, session_id: str, *, lifetime_seconds: int) -> None:
    """Write down that a sign-in is in use, and let it last that long from now."""
    now = transaction.now()
    # The user first, as everybody does who changes both: none then waits for the other.
    users.note_seen(transaction, select(table.c.user_id).where(table.c.id == session_id))
    transaction.connection.execute(
        update(table)
        .where(table.c.id == session_id)
        .values(last_seen_at=now, expires_at=now + timedelta(seconds=lifetime_seconds))
    )


def end(transaction: Transaction, session_id: str, *, reason: str) -> bool:
    """End a sign-in.

    :return: False when it was over before.
    """
    try:
        session = WEB_SESSIONS.lock(transaction, session_id)
    except NotFound:
        return False
    user = users.get(transaction, session.user_id)
    transaction.connection.execute(delete(table).where(table.c.id == session_id))
    transaction.audit(_event("web_login.ended", user, session.source_ip, reason=reason))
    return True


def end_own(transaction: Transaction, user_id: str, session_id: str) -> None:
    """End one of a user's sign-ins, from another of theirs.

    :raise NotFound: it is over, or somebody else's.
    """
    get(transaction, session_id, user_id=user_id)
    end(transaction, session_id, reason="ended from another sign-in")


def end_through(
    transaction: Transaction, provider_id: str, *, reason: str, user_id: str | None = None
) -> int:
    """End all sign-ins that a provider vouched for, in a few statements; say how many.

    :param user_id: only this user's.
    """
    through = [table.c.provider_id == provider_id]
    if user_id is not None:
        through.append(table.c.user_id == user_id)
    looking = select(table.c.id, table.c.source_ip, table.c.user_id, users_table.c.name)
    locking = looking.join(users_table).where(*through).order_by(table.c.id)
    ended = transaction.connection.execute(locking.with_for_update(of=table)).all()
    for start in range(0, len(ended), _DELETED_AT_ONCE):
        ids = [row.id for row in ended[start : start + _DELETED_AT_ONCE]]
        transaction.connection.execute(delete(table).where(table.c.id.in_(ids)))
    transaction.audit_all(
        [
            event_of(
                "web_login.ended",
                row.user_id,
                row.name,
                source_ip=row.source_ip,
                data={"reason": reason},
            )
            for row in politely(ended)
        ]
    )
    return len(ended)


def forget_expired(transaction: Transaction) -> int:
    """Delete the sign-ins that are over; say how many."""
    return transaction.connection.execute(
        delete(table).where(table.c.expires_at <= transaction.now())
    ).rowcount


def _event(name: str, user: User, source_ip: str, **data: object) -> AuditEvent:
    return event_of(
        name,
        user.id,
        user.name,
        source_ip=source_ip,
        data=data,
    )
