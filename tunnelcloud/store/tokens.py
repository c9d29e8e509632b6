"""One-time tokens: made, revoked, and spent exactly as often as they allow."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

from attrs import frozen
from sqlalchemy import ColumnElement, and_, delete, func, literal, or_, select, update

from tunnelcloud.domain.entities import Session, SessionMethod, Token
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store import users as people
from tunnelcloud.store.column_types import Timestamp
from tunnelcloud.store.filters import equals
from tunnelcloud.store.object_limits import MOST_TOKENS, check_room
from tunnelcloud.store.object_writes import Aggregate, subjects_of
from tunnelcloud.store.schema import tokens as table
from tunnelcloud.store.schema import tunnels, users
from tunnelcloud.store.sessions import LoginRecord, start
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.tunnels import TUNNELS

FURTHER_SESSIONS_WITHIN = timedelta(seconds=120)
MAX_SESSIONS = 8
"""The most sessions that a policy can let one token open."""


class Outcome(enum.Enum):
    """The result of an attempt to spend a token."""

    SPENT = enum.auto()
    UNKNOWN = enum.auto()
    EXPIRED = enum.auto()
    USED = enum.auto()
    REVOKED = enum.auto()


@frozen
class Spending:
    """An attempt to spend a token.

    :ivar token: None only when it is unknown (or another user's, which looks the same).
    :ivar session: the session it opened; None unless it was spent.
    """

    outcome: Outcome
    token: Token | None = None
    session: Session | None = None


TOKENS = Aggregate(
    "token",
    table,
    Token,
    references={"user_id": ("user", users), "tunnel_id": ("tunnel", tunnels)},
    filters={
        "user_id": equals(table.c.user_id),
        "tunnel_id": equals(table.c.tunnel_id),
    },
)

get = TOKENS.get
list_page = TOKENS.list_page


def create(
    transaction: Transaction,
    *,
    user_id: str,
    secret_hash: bytes,
    lifetime_seconds: int,
    tunnel_id: str | None = None,
    sessions: int = 1,
) -> Token:
    """Keep a new token; its life begins now.

    :param secret_hash: of ``tunnelcloud.domain.tokens.hash_secret``.
    :raise InvalidReference: there is no such user or tunnel.
    :raise Conflict: the user is blocked, or has as many as one may have.
    """
    people.lock_unblocked(transaction, user_id)
    usable = (
        table.c.user_id == user_id,
        table.c.revoked_at.is_(None),
        table.c.sessions_used == 0,
        table.c.expires_at > transaction.now(),
    )
    what = "one-time tokens that are good: use them, revoke them, or wait until they expire"
    check_room(transaction, table, MOST_TOKENS, *usable, what=what)
    token = TOKENS.insert(
        transaction,
        {
            "user_id": user_id,
            "tunnel_id": tunnel_id,
            "sessions": sessions,
            "expires_at": transaction.now() + timedelta(seconds=lifetime_seconds),
        },
        {"secret_hash": secret_hash},
    )
    transaction.audit(
        AuditEvent(
            "token.created",
            data={"token_id": token.id, "sessions": sessions},
            **subjects_of(transaction, "token", token),
        )
    )
    return token


def revoke(transaction: Transaction, token_id: str) -> Token:
    """Make a token useless; harmless when it is already.

    :raise NotFound: there is no such token.
    """
    token = TOKENS.lock(transaction, token_id)
    if token.revoked_at is None:
        transaction.connection.execute(
            update(table).where(table.c.id == token_id).values(revoked_at=transaction.now())
        )
        transaction.audit(
            AuditEvent(
                "token.revoked",
                data={"token_id": token_id},
                **subjects_of(transaction, "token", token),
            )
        )
    return TOKENS.get(transaction, token_id)


def spend(
    transaction: Transaction,
    secret_hash: bytes,
    login: LoginRecord,
    *,
    user: User | None = None,
    tunnel: Tunnel | None = None,
    at_most: int = MAX_SESSIONS,
) -> Spending:
    """Spend a token and begin a session, in one transaction.

    One conditional UPDATE decides, so that of any number who try at once, on any number of pods,
    as many succeed as the token allows.

    :param user: the required owner; another user's token counts as unknown, and stays unspent.
    :param tunnel: what the session is narrowed to beside what the token says.
    :param at_most: how many sessions policies let it open by now; the first one always counts.
    """
    now = transaction.now()
    first = and_(table.c.sessions_used == 0, table.c.expires_at > now)
    further = and_(
        table.c.sessions_used < table.c.sessions,
        table.c.sessions_used < at_most,
        table.c.used_at > now - FURTHER_SESSIONS_WITHIN,
        # One that was used later was so before the clock went back.
        table.c.used_at < now + FURTHER_SESSIONS_WITHIN,
        table.c.used_from == login.source_ip,
    )
    theirs = [table.c.secret_hash == secret_hash]
    if user is not None:
        theirs.append(table.c.user_id == user.id)
    active = select(users.c.id).where(users.c.id == table.c.user_id, users.c.blocked.is_(False))
    spent = transaction.connection.execute(
        update(table)
        .where(*theirs, table.c.revoked_at.is_(None), or_(first, further), active.exists())
        .values(
            sessions_used=table.c.sessions_used + 1,
            used_at=func.coalesce(table.c.used_at, literal(now, Timestamp)),
            used_from=func.coalesce(table.c.used_from, login.source_ip),
        )
        .returning(*TOKENS.select().selected_columns)
    ).first()
    if spent is None:
        return _refusal(transaction, theirs)
    token = TOKENS.make(spent)
    if token.tunnel_id is not None and (tunnel is None or tunnel.id != token.tunnel_id):
        tunnel = TUNNELS.get(transaction, token.tunnel_id)
    session = start(
        transaction,
        user or people.get(transaction, token.user_id),
        SessionMethod.TOKEN,
        login,
        tunnel=tunnel,
        token_id=token.id,
    )
    return Spending(Outcome.SPENT, token, session)


def _refusal(transaction: Transaction, theirs: list[ColumnElement[bool]]) -> Spending:
    row = transaction.connection.execute(TOKENS.select().where(*theirs)).first()
    if row is None:
        return Spending(Outcome.UNKNOWN)
    token = TOKENS.make(row)
    outcome = outcome_of(transaction, token)
    # A good one whose user is blocked looks like none.
    return Spending(outcome, None if outcome is Outcome.UNKNOWN else token)


def outcome_of(transaction: Transaction, token: Token) -> Outcome:
    """Return what happened to a token before; ``UNKNOWN`` if it is good and was never used."""
    if token.revoked_at is not None:
        return Outcome.REVOKED
    if token.sessions_used:
        return Outcome.USED
    return Outcome.EXPIRED if token.expires_at <= transaction.now() else Outcome.UNKNOWN


def forget(transaction: Transaction, until: datetime, *, limit: int = 500) -> int:
    """Delete tokens that ended before a time; the audit has what became of them.

    :param limit: how many at most.
    :return: how many there were; fewer than ``limit`` means that all are gone.
    """
    old = select(table.c.id).where(table.c.expires_at < until).limit(limit)
    return transaction.connection.execute(delete(table).where(table.c.id.in_(old))).rowcount
