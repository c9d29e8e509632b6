"""Sign-ins that are half done, by the hash of the secret that their browser keeps.

Each ends the first time it is taken, whatever comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen
from sqlalchemy import ColumnElement, delete, insert, select

from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import users
from tunnelcloud.store.schema import sign_in_steps as table
from tunnelcloud.store.transaction import Transaction

MAX_OF_A_USER = 5

_CODE = "code"
"""The kind of all steps: a code is awaited.  Versions before had another kind."""


@frozen
class SignInStep:
    """A sign-in that is half done.

    :ivar user_id: whose password was right.
    """

    created_at: datetime
    expires_at: datetime
    source_ip: str
    user_id: str
    content: Mapping[str, Any] = field(repr=False)


def begin(
    transaction: Transaction,
    *,
    secret_hash: bytes,
    lifetime_seconds: int,
    source: str,
    user_id: str,
    content: Mapping[str, object],
) -> None:
    """Keep a step; what is over goes, and of what the user has too much, the oldest.

    :param source: the network that it is begun from.
    """
    now = transaction.now()
    transaction.connection.execute(delete(table).where(table.c.expires_at <= now))
    _make_room(transaction, table.c.user_id == user_id, MAX_OF_A_USER)
    transaction.connection.execute(
        insert(table),
        {
            "secret_hash": secret_hash,
            "kind": _CODE,
            "created_at": now,
            "expires_at": now + timedelta(seconds=lifetime_seconds),
            "source_ip": source,
            "user_id": user_id,
            "content": dict(content),
        },
    )


def _make_room(transaction: Transaction, wanted: ColumnElement[bool], at_most: int) -> None:
    """Delete the oldest of those wanted, so that another one fits."""
    kept = select(table.c.created_at).where(wanted).order_by(table.c.created_at.desc())
    oldest = transaction.connection.execute(kept.offset(at_most - 2).limit(1)).scalar()
    if oldest is not None:
        transaction.connection.execute(delete(table).where(wanted, table.c.created_at < oldest))


_COLUMNS = (
    table.c.created_at,
    table.c.expires_at,
    table.c.source_ip,
    table.c.user_id,
    table.c.content,
)


def peek(transaction: Transaction, secret_hash: bytes) -> SignInStep | None:
    """Find a step that isn't over; it stays."""
    query = select(*_COLUMNS).where(
        table.c.secret_hash == secret_hash,
        table.c.kind == _CODE,
        table.c.expires_at > transaction.now(),
    )
    row = transaction.connection.execute(query).first()
    return None if row is None else SignInStep(*row)


def find_awaited(transaction: Transaction, secret: str) -> SignInStep | None:
    """Find whose code is awaited; None when nobody's is, or they were blocked meanwhile.

    :param secret: that the browser keeps; empty when it keeps none.
    """
    step = peek(transaction, hash_secret(secret)) if secret else None
    return None if step is None or users.get(transaction, step.user_id).blocked else step


def take(transaction: Transaction, secret_hash: bytes) -> SignInStep | None:
    """Take a step, once; None when it was taken, is over, or never was."""
    row = transaction.connection.execute(
        delete(table)
        .where(table.c.secret_hash == secret_hash, table.c.kind == _CODE)
        .returning(*_COLUMNS)
    ).first()
    if row is None:
        return None
    step = SignInStep(*row)
    return step if step.expires_at > transaction.now() else None
