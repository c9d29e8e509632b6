"""SSH logins that wait for somebody to confirm them in a browser.

They are rows of ``device_logins`` with a login name, and end as those do: with a block, a new
password, a provider that no longer vouches for the user.  The pod that has the connection keeps the
secret, and a user who is signed in to any pod's portal decides.
"""

from __future__ import annotations

import enum
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select

from tunnelcloud.domain.entities import Session, SessionMethod
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store import device_logins, users
from tunnelcloud.store.device_logins import Asking, DeviceLogin, Kind, begin_waiting, find_waiting
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import device_logins as table
from tunnelcloud.store.sessions import LoginRecord, start
from tunnelcloud.store.transaction import Transaction

MAX_OF_A_SOURCE = 100
"""Of all pods together; each offers a source few at a time."""
LIFETIME_SECONDS = 4 * 60
"""Longer than a connection may take to log in."""


class Decision(enum.Enum):
    """What somebody decided about an SSH login."""

    NONE_YET = enum.auto()
    ALLOWED = enum.auto()
    DENIED = enum.auto()


def begin(transaction: Transaction, asking: Asking) -> bool:
    """Keep an SSH login that waits.

    :return: False when too many wait already.
    """
    return begin_waiting(
        transaction,
        asking,
        Kind.SSH,
        most=MAX_OF_A_SOURCE,
        lifetime=timedelta(seconds=LIFETIME_SECONDS),
    )


def withdraw(transaction: Transaction, secret_hash: bytes) -> None:
    """Delete an SSH login whose connection no longer waits."""
    transaction.connection.execute(delete(table).where(table.c.secret_hash == secret_hash))


def find(transaction: Transaction, user_code: str) -> DeviceLogin | None:
    """Find an SSH login that nobody has decided about."""
    return find_waiting(transaction, user_code, Kind.SSH)


def decide(transaction: Transaction, user_code: str, user_id: str, *, allowed: bool) -> bool:
    """Let an SSH login in as a user, or keep it out; as ``device_logins.decide``."""
    return device_logins.decide(transaction, user_code, user_id, allowed=allowed, kind=Kind.SSH)


def decision(transaction: Transaction, secret_hash: bytes) -> Decision:
    """Return the decision; a login that is gone counts as denied."""
    row = transaction.connection.execute(
        select(table.c.user_id, table.c.denied).where(
            table.c.secret_hash == secret_hash, table.c.expires_at > transaction.now()
        )
    ).first()
    if row is None or row.denied:
        return Decision.DENIED
    return Decision.NONE_YET if row.user_id is None else Decision.ALLOWED


def confirmed_by(transaction: Transaction, secret_hash: bytes) -> str | None:
    """Return the id of the user who confirmed a login."""
    confirmed: str | None = transaction.connection.execute(
        select(table.c.user_id).where(
            table.c.secret_hash == secret_hash,
            table.c.denied.is_(False),
            table.c.user_id.is_not(None),
            table.c.expires_at > transaction.now(),
        )
    ).scalar()
    return confirmed


def peek(transaction: Transaction, secret_hash: bytes) -> User | None:
    """Return the user who confirmed a login, unless they are blocked now."""
    user_id = confirmed_by(transaction, secret_hash)
    if user_id is None:
        return None
    try:
        return users.lock_unblocked(transaction, user_id)
    except Conflict:
        return None


def is_for(transaction: Transaction, secret_hash: bytes, login: LoginRecord) -> bool:
    """Tell whether a login is the very one that is shown to whoever confirms it.

    A name of which a part is hidden there, as it looks like a secret, is none that was shown.
    """
    shown = select(table.c.secret_hash).where(table.c.secret_hash == secret_hash, *_shows(login))
    return transaction.connection.execute(shown).first() is not None


def _shows(login: LoginRecord) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.login_name == login.login_name.strip(),
        table.c.client == login.client_version,
        table.c.source_ip == login.source_ip,
    )


def use(
    transaction: Transaction,
    secret_hash: bytes,
    user: User,
    login: LoginRecord,
    tunnel: Tunnel | None,
) -> Session | None:
    """Begin the one session that a confirmation is good for.

    :param tunnel: what the session is narrowed to.
    :return: None when it was used meanwhile, or is for another login.
    """
    used = transaction.connection.execute(
        delete(table).where(
            table.c.secret_hash == secret_hash,
            table.c.user_id == user.id,
            table.c.denied.is_(False),
            *_shows(login),
        )
    ).rowcount
    return start(transaction, user, SessionMethod.BROWSER, login, tunnel=tunnel) if used else None
