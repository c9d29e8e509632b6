"""One-time links to set a password; the first administrator's names no user yet."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen
from sqlalchemy import update

from tunnelcloud.store import api_tokens, users
from tunnelcloud.store.column_types import ENDED
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.schema import invitations as table
from tunnelcloud.store.transaction import Transaction


@frozen
class Invitation:
    """A one-time link; the secret itself is not kept.

    :ivar made_by_id: as an API token has it; the link ends with the rights of who made it.
    """

    id: str
    created_at: datetime
    expires_at: datetime
    user_id: str | None = None
    made_by_id: str | None = None
    redeemed_at: datetime | None = None


INVITATIONS = Aggregate("invitation", table, Invitation)


def create(
    transaction: Transaction, *, user_id: str | None, secret_hash: bytes, lifetime_seconds: int
) -> Invitation:
    """Keep a new link; the ones this user had before end.

    :param user_id: None for the first administrator's.
    :param secret_hash: of ``tunnelcloud.domain.tokens.hash_secret``.
    :raise NotFound: there is no such user.
    :raise Conflict: it is a service account, or they are blocked.
    """
    user = None if user_id is None else users.get(transaction, user_id)
    _, made_by_id = api_tokens.maker(transaction)
    api_tokens.lock_people(transaction, user_id, made_by_id)
    if user is not None and user.service:
        raise Conflict("", f"{user.name} is a service account: it has keys and tokens, no password")
    now = transaction.now()
    transaction.connection.execute(
        update(table)
        .where(table.c.user_id.is_not_distinct_from(user_id), table.c.redeemed_at.is_(None))
        .values(expires_at=ENDED)
    )
    expires_at = now + timedelta(seconds=lifetime_seconds)
    invitation = INVITATIONS.insert(
        transaction,
        {"user_id": user_id, "made_by_id": made_by_id, "expires_at": expires_at},
        {"secret_hash": secret_hash},
    )
    if user is not None:
        users.USERS.record(transaction, "invited", user, {"expires_at": {"to": expires_at}})
    return invitation


def peek(transaction: Transaction, secret_hash: bytes) -> Invitation | None:
    """Find the link with this secret, if it can still be redeemed; changes nothing."""
    query = INVITATIONS.select().where(
        table.c.secret_hash == secret_hash,
        table.c.redeemed_at.is_(None),
        table.c.expires_at > transaction.now(),
    )
    row = transaction.connection.execute(query).first()
    return None if row is None else INVITATIONS.make(row)


def redeem(transaction: Transaction, secret_hash: bytes) -> Invitation | None:
    """Use up a link, once; the same transaction sets the password.

    :return: None when it is unknown, was used, or has expired.
    """
    now = transaction.now()
    redeemed = transaction.connection.execute(
        update(table)
        .where(
            table.c.secret_hash == secret_hash,
            table.c.redeemed_at.is_(None),
            table.c.expires_at > now,
        )
        .values(redeemed_at=now)
        .returning(table.c.id)
    ).scalar()
    return None if redeemed is None else INVITATIONS.get(transaction, redeemed)
