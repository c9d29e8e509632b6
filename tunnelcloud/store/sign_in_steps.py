"""Sign-ins that are half done, by the hash of the secret that their browser keeps.

Each ends the first time it is taken, whatever comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from attrs import frozen
from sqlalchemy import delete, insert, select

from tunnelcloud.store.schema import sign_in_steps as table
from tunnelcloud.store.transaction import Transaction

MAX_OF_A_SOURCE = 100


class Awaited(StrEnum):
    """What a sign-in waits for."""

    CODE = "code"
    PROVIDER = "provider"


@frozen
class SignInStep:
    """A sign-in that is half done.

    :ivar user_id: whose password was right, where a code is awaited.
    :ivar provider_id: whom somebody was sent to, where their return is awaited.
    """

    kind: Awaited
    created_at: datetime
    expires_at: datetime
    source_ip: str
    user_id: str | None
    provider_id: str | None
    content: Mapping[str, Any]


def begin(
    transaction: Transaction,
    kind: Awaited,
    *,
    secret_hash: bytes,
    lifetime_seconds: int,
    source_ip: str,
    user_id: str | None = None,
    provider_id: str | None = None,
    content: Mapping[str, object],
) -> None:
    """Keep a step; what is over goes, and of one source what is too much, oldest first."""
    now = transaction.now()
    transaction.connection.execute(delete(table).where(table.c.expires_at <= now))
    theirs = select(table.c.secret_hash).where(table.c.source_ip == source_ip)
    newest = theirs.order_by(table.c.created_at.desc()).limit(MAX_OF_A_SOURCE - 1)
    kept = [row[0] for row in transaction.connection.execute(newest)]
    if len(kept) == MAX_OF_A_SOURCE - 1:
        transaction.connection.execute(
            delete(table).where(table.c.source_ip == source_ip, table.c.secret_hash.not_in(kept))
        )
    transaction.connection.execute(
        insert(table),
        {
            "secret_hash": secret_hash,
            "kind": str(kind),
            "created_at": now,
            "expires_at": now + timedelta(seconds=lifetime_seconds),
            "source_ip": source_ip,
            "user_id": user_id,
            "provider_id": provider_id,
            "content": dict(content),
        },
    )


_COLUMNS = (
    table.c.kind,
    table.c.created_at,
    table.c.expires_at,
    table.c.source_ip,
    table.c.user_id,
    table.c.provider_id,
    table.c.content,
)


def peek(transaction: Transaction, kind: Awaited, secret_hash: bytes) -> SignInStep | None:
    """Find a step that isn't over; it stays."""
    query = select(*_COLUMNS).where(
        table.c.secret_hash == secret_hash,
        table.c.kind == str(kind),
        table.c.expires_at > transaction.now(),
    )
    row = transaction.connection.execute(query).first()
    return None if row is None else _step(row)


def take(transaction: Transaction, kind: Awaited, secret_hash: bytes) -> SignInStep | None:
    """Take a step, once; None when it was taken, is over, or never was."""
    row = transaction.connection.execute(
        delete(table)
        .where(table.c.secret_hash == secret_hash, table.c.kind == str(kind))
        .returning(*_COLUMNS)
    ).first()
    if row is None:
        return None
    step = _step(row)
    return step if step.expires_at > transaction.now() else None


def _step(row: Any) -> SignInStep:
    return SignInStep(Awaited(row[0]), *row[1:])
