"""Dedicated SSH keys: each belongs to one user."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime

from attrs import frozen
from sqlalchemy import bindparam, exists, or_, select
from sqlalchemy import update as update_rows

from tunnelcloud.domain.entities import Key, Session, SessionMethod
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store import users
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.filters import equals, searches
from tunnelcloud.store.object_limits import MOST_KEYS, check_room
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.schema import keys as table
from tunnelcloud.store.schema import users as users_table
from tunnelcloud.store.sessions import LoginRecord, start
from tunnelcloud.store.transaction import Transaction

KEYS = Aggregate(
    "key",
    table,
    Key,
    references={"user_id": ("user", users_table)},
    filters={
        "q": searches(table.c.title, table.c.fingerprint),
        "user_id": equals(table.c.user_id),
    },
    fixed=frozenset({"id", "created_at", "user_id", "public_key", "fingerprint"}),
)

get = KEYS.get
list_page = KEYS.list_page
update = KEYS.update
delete = KEYS.delete

_BY_FINGERPRINT = KEYS.select().where(table.c.fingerprint == bindparam("wanted"))

_USE = Prepared(
    update_rows(table)
    .where(
        table.c.id == bindparam("wanted"),
        or_(table.c.expires_at.is_(None), table.c.expires_at > bindparam("now")),
        exists().where(users_table.c.id == table.c.user_id, users_table.c.blocked.is_(False)),
    )
    .values(last_used_at=bindparam("now"), last_used_from=bindparam("source"))
    .returning(table.c.user_id, table.c.fingerprint)
)
"""Note the use of a key, if it is still good and its user isn't blocked."""


def fingerprint_of(blob: bytes) -> str:
    """Give ``SHA256:…`` of a public key as RFC 4253, 6.6 encodes it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def fingerprint_of_text(public_key: str) -> str:
    """Give the fingerprint of ``type base64``."""
    return fingerprint_of(base64.b64decode(public_key.split(" ")[1]))


def create(
    transaction: Transaction,
    *,
    user_id: str,
    public_key: str,
    title: str = "",
    expires_at: datetime | None = None,
) -> Key:
    """Add a key to a user.

    :param public_key: ``type base64``, without a comment.
    :raise Conflict: it is somebody's key already, or the user has as many as one may have.
    :raise InvalidReference: there is no such user.
    """
    fingerprint = fingerprint_of_text(public_key)
    query = select(table.c.user_id).where(table.c.fingerprint == fingerprint)
    owner = transaction.connection.execute(query).scalar()
    if owner is not None:
        text = "this key is registered for this user already: make a new one"
        if owner != user_id:
            text = (
                "this key is another user's already: make a new one, or, if it is yours, have an "
                "administrator revoke it there"
            )
        raise Conflict("public_key", text)
    what = "SSH keys: delete those that nobody uses"
    check_room(transaction, table, MOST_KEYS, table.c.user_id == user_id, what=what)
    return KEYS.create(
        transaction,
        {
            "user_id": user_id,
            "public_key": public_key,
            "fingerprint": fingerprint,
            "title": title,
            "expires_at": expires_at,
        },
    )


def find_by_blob(transaction: Transaction, blob: bytes) -> Key | None:
    """Find the key that is this one to the byte, expired or not; None when there is none.

    :param blob: as RFC 4253, 6.6 encodes it.
    """
    row = transaction.connection.execute(_BY_FINGERPRINT, {"wanted": fingerprint_of(blob)}).first()
    if row is None:
        return None
    key = KEYS.make(row)
    exact = base64.b64encode(blob).decode("ascii")
    return key if key.public_key.partition(" ")[2] == exact else None


def good(transaction: Transaction, key_ids: Iterable[str]) -> frozenset[str]:
    """Tell which of some keys are there and haven't expired."""
    query = select(table.c.id).where(
        table.c.id.in_(set(key_ids)),
        or_(table.c.expires_at.is_(None), table.c.expires_at > transaction.now()),
    )
    return frozenset(transaction.connection.execute(query).scalars())


@frozen
class Expired:
    """The keys that expired between two looks.

    :ivar looked_at: the time of the second one, by the database's clock.
    """

    looked_at: datetime
    key_ids: frozenset[str]


def expired_since(transaction: Transaction, since: datetime | None) -> Expired:
    """Tell which keys have expired since an earlier look; none at the first one.

    :param since: the time of the earlier look.
    """
    now = transaction.now()
    if since is None:
        return Expired(now, frozenset())
    query = select(table.c.id).where(table.c.expires_at > since, table.c.expires_at <= now)
    return Expired(now, frozenset(transaction.connection.execute(query).scalars()))


def use(
    transaction: Transaction,
    key_id: str,
    login: LoginRecord,
    *,
    user: User | None = None,
    tunnel: Tunnel | None = None,
) -> Session | None:
    """Begin a session for a key whose signature was verified, in this one transaction.

    :param user: whose key it is, as far as that was read already.
    :param tunnel: what the session is narrowed to.
    :return: None when the key is gone, or has expired, or its user is blocked.
    """
    found = _USE(
        transaction.connection,
        {"wanted": key_id, "now": transaction.now(), "source": login.source_ip},
    )
    if not found:
        return None
    [used] = found
    if user is None or user.id != used.user_id:
        user = users.get(transaction, used.user_id)
    return start(
        transaction,
        user,
        SessionMethod.KEY,
        login,
        tunnel=tunnel,
        key_id=key_id,
        key_fingerprint=used.fingerprint,
    )
