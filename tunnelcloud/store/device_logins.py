"""Command lines that wait for somebody to let them in (as RFC 8628 has it).

The command line keeps a secret, of which the hash is here; the code is for people to compare, and
is worth something only to who is signed in and says yes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto

from attrs import asdict, evolve, frozen
from sqlalchemy import ColumnElement, delete, func, insert, select, update

from tunnelcloud.domain.addresses import source_groups
from tunnelcloud.domain.entities import ApiToken
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.store import api_tokens, users
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import device_logins as table
from tunnelcloud.store.transaction import Actor, Transaction

MAX_OF_A_SOURCE = 100
"""An office may be one source."""
MAX_WAITING = 2000
LIFETIME_SECONDS = 10 * 60
INTERVAL_SECONDS = 3
_IMPATIENT = timedelta(seconds=INTERVAL_SECONDS - 1)


class Progress(Enum):
    """How it stands with a command line that asks."""

    PENDING = auto()
    TOO_SOON = auto()
    DENIED = auto()
    OVER = auto()
    ALLOWED = auto()


@frozen
class DeviceLogin:
    """A command line, or an SSH login, that waits.

    :ivar client: what it says it is.
    :ivar login_name: of an SSH login.
    """

    user_code: str
    client: str
    source_ip: str
    created_at: datetime
    login_name: str | None = None


@frozen
class Polled:
    """The answer to a command line that asks whether it is let in."""

    progress: Progress
    token: ApiToken | None = None
    user: User | None = None


class Kind(Enum):
    """The two kinds of waiting logins, named as in the audit; each has room of its own."""

    COMMAND_LINE = "device_login"
    SSH = "browser_login"

    @property
    def rows(self) -> ColumnElement[bool]:
        """Choose the rows of this kind."""
        name = table.c.login_name
        return name.is_(None) if self is Kind.COMMAND_LINE else name.is_not(None)


@frozen
class Asking:
    """What asks to be let in.

    :ivar source: the network of its address.
    :ivar login_name: of an SSH login.
    """

    secret_hash: bytes
    user_code: str
    client: str
    source_ip: str
    source: str
    login_name: str | None = None


def begin(
    transaction: Transaction,
    *,
    secret_hash: bytes,
    user_code: str,
    client: str,
    source_ip: str,
    source: str,
) -> bool:
    """Keep a command line that waits.

    When all together are too many, the oldest one of the site with the most makes room.

    :param source: the network of its address.
    :return: False when too many of its source wait already, or when there is no room and no site
        has at least two more than this one's.
    """
    return begin_waiting(
        transaction,
        Asking(secret_hash, user_code, client, source_ip, source),
        Kind.COMMAND_LINE,
        most=MAX_OF_A_SOURCE,
        lifetime=timedelta(seconds=LIFETIME_SECONDS),
    )


def begin_waiting(
    transaction: Transaction, asking: Asking, kind: Kind, *, most: int, lifetime: timedelta
) -> bool:
    """Keep what waits.

    :param most: of a source.
    :return: as ``begin``.
    """
    now = transaction.now()
    transaction.connection.execute(delete(table).where(table.c.expires_at <= now))
    if not _make_room(transaction, asking.source_ip, kind, most):
        return False
    transaction.connection.execute(
        insert(table),
        {**asdict(asking), "created_at": now, "expires_at": now + lifetime, "denied": False},
    )
    return True


def has_room(transaction: Transaction, source_ip: str) -> bool:
    """Tell whether another command line may wait, as far as where it comes from goes."""
    waiting = _waiting(transaction, Kind.COMMAND_LINE)
    return not _has_most(waiting, source_ip, MAX_OF_A_SOURCE)


_Waiting = Sequence[tuple[str, str, int]]
"""Sources of which some wait: the network that counts as one source, one of its addresses, and how
many wait."""


def _waiting(transaction: Transaction, kind: Kind) -> _Waiting:
    """Count what waits, by its source: however many of one wait, they are one row here."""
    query = (
        select(table.c.source, func.min(table.c.source_ip), func.count())
        .where(table.c.expires_at > transaction.now(), kind.rows)
        .group_by(table.c.source)
    )
    return [tuple(row) for row in transaction.connection.execute(query).all()]


def _has_most(waiting: _Waiting, source_ip: str, most: int) -> bool:
    """Tell whether a source, or a network around it, has as many as it may.

    :param most: of a source; a network may have as many times more as its share is larger.
    """
    counts = dict.fromkeys((group for group, _ in source_groups(source_ip)), 0)
    for _, address, count in waiting:
        for group, _ in source_groups(address):
            if group in counts:
                counts[group] += count
    return any(counts[group] >= most * share for group, share in source_groups(source_ip))


def _site(address: str) -> str:
    """Name the widest network that one site may have."""
    return source_groups(address)[-1][0]


def _make_room(transaction: Transaction, source_ip: str, kind: Kind, most: int) -> bool:
    """End what the site with the most has waited for longest, if all together are too many.

    A site is the widest network that may be one's own: who has many networks of IPv6 is one.

    :param most: of a source.
    :return: False when the source has the most, or its site has no fewer than every other.
    """
    waiting = _waiting(transaction, kind)
    if _has_most(waiting, source_ip, most):
        return False
    if sum(count for _, _, count in waiting) < MAX_WAITING:
        return True
    sites: Counter[str] = Counter()
    for _, address, count in waiting:
        sites[_site(address)] += count
    [(largest, count)] = sites.most_common(1)
    if count <= sites[_site(source_ip)] + 1:
        return False
    of_largest = table.c.source.in_(
        [name for name, address, _ in waiting if _site(address) == largest]
    )
    oldest = (
        select(table.c.secret_hash)
        .where(table.c.expires_at > transaction.now(), kind.rows, of_largest)
        .order_by(table.c.created_at)
        .limit(1)
    )
    ended = delete(table).where(table.c.secret_hash == oldest.scalar_subquery())
    transaction.connection.execute(ended)
    return True


def look(transaction: Transaction, secret_hash: bytes) -> Progress | None:
    """Tell a command line how it stands where that changes nothing; None where it does."""
    row = transaction.connection.execute(
        select(table.c.expires_at, table.c.polled_at, table.c.user_id).where(
            table.c.secret_hash == secret_hash
        )
    ).first()
    now = transaction.now()
    if row is None or row.expires_at <= now:
        return Progress.OVER
    if row.user_id is None and _is_soon(row.polled_at, now):
        return Progress.TOO_SOON
    return None


def _is_soon(polled_at: datetime | None, now: datetime) -> bool:
    """Tell whether a command line asked a moment ago, and not before the clock went back."""
    return polled_at is not None and abs(now - polled_at) < _IMPATIENT


def find(transaction: Transaction, user_code: str) -> DeviceLogin | None:
    """Find a command line that nobody has decided about."""
    return find_waiting(transaction, user_code, Kind.COMMAND_LINE)


def find_waiting(transaction: Transaction, user_code: str, kind: Kind) -> DeviceLogin | None:
    """Find what nobody has decided about."""
    wanted = (table.c.user_code, table.c.client, table.c.source_ip, table.c.created_at)
    row = transaction.connection.execute(
        select(*wanted, table.c.login_name).where(
            table.c.user_code == user_code,
            table.c.expires_at > transaction.now(),
            table.c.user_id.is_(None),
            kind.rows,
        )
    ).first()
    return None if row is None else DeviceLogin(*row)


def decide(
    transaction: Transaction,
    user_code: str,
    user_id: str,
    *,
    allowed: bool,
    kind: Kind = Kind.COMMAND_LINE,
) -> bool:
    """Let a waiting login in as a user, or keep it out; the first decision counts.

    :return: False when it is over, or somebody decided before.
    :raise Conflict: the user is blocked.
    """
    user = users.lock_unblocked(transaction, user_id)
    decided = transaction.connection.execute(
        update(table)
        .where(
            table.c.user_code == user_code,
            table.c.expires_at > transaction.now(),
            table.c.user_id.is_(None),
            kind.rows,
        )
        .values(user_id=user_id, denied=not allowed)
        .returning(table.c.client, table.c.source_ip, table.c.login_name)
    ).first()
    if decided is None:
        return False
    client, source_ip, login_name = decided
    data = {"client": client, "from": source_ip}
    transaction.audit(
        AuditEvent(
            f"{kind.value}.{'allowed' if allowed else 'denied'}",
            user_id=user.id,
            user_name=user.name,
            data=data if login_name is None else {**data, "login_name": login_name},
        )
    )
    return True


def poll(
    transaction: Transaction, secret_hash: bytes, token_hash: bytes, lifetime: timedelta
) -> Polled:
    """Tell a command line how it stands; one that was let in gets its API token, once.

    :param token_hash: of the new token, if there is to be one.
    """
    now = transaction.now()
    row = transaction.connection.execute(
        select(
            table.c.client, table.c.expires_at, table.c.polled_at, table.c.user_id, table.c.denied
        )
        .where(table.c.secret_hash == secret_hash)
        .with_for_update()
    ).first()
    if row is None or row.expires_at <= now:
        return Polled(Progress.OVER)
    if row.user_id is None:
        soon = _is_soon(row.polled_at, now)
        transaction.connection.execute(
            update(table).where(table.c.secret_hash == secret_hash).values(polled_at=now)
        )
        return Polled(Progress.TOO_SOON if soon else Progress.PENDING)
    taken = transaction.connection.execute(
        delete(table).where(table.c.secret_hash == secret_hash)
    ).rowcount
    if not taken or row.denied:
        return Polled(Progress.DENIED)
    try:
        user = users.lock_unblocked(transaction, row.user_id)
    except Conflict:
        return Polled(Progress.DENIED)
    token = api_tokens.create(
        evolve(transaction, actor=Actor(user.name, user.id)),
        title=row.client,
        role=Role.USER,
        secret_hash=token_hash,
        user_id=user.id,
        expires_at=now + lifetime,
    )
    return Polled(Progress.ALLOWED, token, user)
