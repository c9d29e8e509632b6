"""Connectors, the join tokens that let them in, and the certificates they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from attrs import frozen
from sqlalchemy import bindparam, func, insert, select
from sqlalchemy import update as update_rows

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.join_tokens import MOST_CERTIFICATES, JoinProblem, JoinRefused
from tunnelcloud.domain.late_renewals import Issued, LateRenewal, end_of_shown
from tunnelcloud.domain.objects.sites import Connector
from tunnelcloud.store.column_types import ENDED
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.filters import equals, is_set, searches
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.orders import time_of
from tunnelcloud.store.schema import connector_certificates, join_tokens, sites
from tunnelcloud.store.schema import connectors as table
from tunnelcloud.store.transaction import Transaction

_AT_ONCE = 500
"""How many connectors one statement is about."""

_NAMED = 10
"""How many connectors are named at once."""

CONNECTORS = Aggregate(
    "connector",
    table,
    Connector,
    references={"site_id": ("site", sites)},
    filters={
        "name": equals(table.c.name),
        "q": searches(table.c.name, table.c.title),
        "site_id": equals(table.c.site_id),
        "joined": is_set(table.c.joined_at),
    },
    sorts={
        "name": table.c.name,
        "site": select(sites.c.name).where(sites.c.id == table.c.site_id).scalar_subquery(),
        "version": table.c.version,
        "last_seen_at": time_of(table.c.last_seen_at),
        "certificate_expires_at": time_of(table.c.certificate_expires_at),
    },
)

get = CONNECTORS.get
list_page = CONNECTORS.list_page
count = CONNECTORS.count
create = CONNECTORS.new
update = CONNECTORS.update
delete = CONNECTORS.delete


@frozen
class JoinToken:
    """A join token as it is kept: what it is good for, not what it is."""

    connector_id: str
    created_at: datetime
    expires_at: datetime
    redeemed_at: datetime | None = None


def add_join_token(
    transaction: Transaction, connector_id: str, *, secret_hash: str, lifetime_seconds: int
) -> JoinToken:
    """Keep a new join token of a connector; the ones it had before end.

    :param secret_hash: of ``tunnelcloud.domain.join_tokens.hash_secret``.
    :raise NotFound: there is no such connector.
    """
    connector = CONNECTORS.lock(transaction, connector_id)
    now = transaction.now()
    transaction.connection.execute(
        update_rows(join_tokens)
        .where(join_tokens.c.connector_id == connector_id)
        .values(expires_at=ENDED)
    )
    token = JoinToken(connector_id, now, now + timedelta(seconds=lifetime_seconds))
    transaction.connection.execute(
        insert(join_tokens),
        {
            "secret_hash": secret_hash,
            "connector_id": connector_id,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        },
    )
    CONNECTORS.record(
        transaction, "join_token_created", connector, {"expires_at": {"to": token.expires_at}}
    )
    return token


def redeem_join_token(
    transaction: Transaction, secret_hash: str, *, key_fingerprint: str
) -> Connector:
    """Let a connector join with a key.

    The same key may redeem its token again while it lasts: the answer may have been lost.  A key
    that joins anew ends what certificates of other keys the connector had.

    :return: the connector, for which a certificate may now be issued.
    :raise JoinRefused: the token is unknown, expired, was used with another key, or has brought
        ``MOST_CERTIFICATES``.
    """
    now = transaction.now()
    _lock_connector_of(transaction, secret_hash)
    token = transaction.connection.execute(
        update_rows(join_tokens)
        .where(
            join_tokens.c.secret_hash == secret_hash,
            join_tokens.c.expires_at > now,
            join_tokens.c.redeemed_key.is_(None) | (join_tokens.c.redeemed_key == key_fingerprint),
        )
        .values(redeemed_at=now, redeemed_key=key_fingerprint)
        .returning(join_tokens.c.connector_id, join_tokens.c.created_at)
    ).first()
    if token is None:
        raise JoinRefused(_problem(transaction, secret_hash, key_fingerprint))
    redeemed = token.connector_id
    transaction.connection.execute(
        update_rows(join_tokens)
        .where(
            join_tokens.c.connector_id == redeemed,
            join_tokens.c.redeemed_key != key_fingerprint,
        )
        .values(redeemed_key=None, expires_at=ENDED)
    )
    certificates = connector_certificates
    brought = (
        select(func.count())
        .select_from(certificates)
        .where(
            certificates.c.connector_id == redeemed, certificates.c.issued_at >= token.created_at
        )
    )
    if transaction.connection.execute(brought).scalar_one() >= MOST_CERTIFICATES:
        raise JoinRefused(JoinProblem.USED)
    revoked = transaction.connection.execute(
        update_rows(certificates)
        .where(
            certificates.c.connector_id == redeemed,
            certificates.c.key_fingerprint != key_fingerprint,
            certificates.c.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )
    transaction.connection.execute(
        update_rows(table).where(table.c.id == redeemed).values(joined_at=now)
    )
    if revoked.rowcount:
        transaction.changed("connector", redeemed)
    return CONNECTORS.get(transaction, redeemed)


def _lock_connector_of(transaction: Transaction, secret_hash: str) -> None:
    """Lock the connector that a join token is for, if there is one.

    Whoever records a certificate of it is done, or waits and then sees which key has joined.
    """
    query = select(join_tokens.c.connector_id).where(join_tokens.c.secret_hash == secret_hash)
    connector_id = transaction.connection.execute(query).scalar()
    if connector_id is not None:
        with suppress(NotFound):
            CONNECTORS.lock(transaction, connector_id)


def _problem(transaction: Transaction, secret_hash: str, key_fingerprint: str) -> JoinProblem:
    query = select(join_tokens.c.redeemed_key).where(join_tokens.c.secret_hash == secret_hash)
    row = transaction.connection.execute(query).first()
    if row is None:
        return JoinProblem.UNKNOWN
    if row.redeemed_key in (None, key_fingerprint):
        return JoinProblem.EXPIRED
    return JoinProblem.USED


def record_certificate(
    transaction: Transaction,
    connector_id: str,
    *,
    serial: str,
    key_fingerprint: str,
    expires_at: datetime,
    renewal: bool,
    source_ip: str | None = None,
    ended_at: datetime | None = None,
) -> Connector:
    """Write down a certificate before it is handed to its connector.

    :param ended_at: when the one before it ended; None for one that has not.
    :raise JoinRefused: the connector was deleted, or has joined with another key.
    """
    connector = _lock(transaction, connector_id)
    if _is_replaced(transaction, connector_id, key_fingerprint):
        raise JoinRefused(JoinProblem.REVOKED)
    transaction.connection.execute(
        insert(connector_certificates),
        {
            "serial": serial,
            "connector_id": connector_id,
            "key_fingerprint": key_fingerprint,
            "issued_at": transaction.now(),
            "expires_at": expires_at,
        },
    )
    transaction.connection.execute(
        update_rows(table)
        .where(table.c.id == connector_id)
        .values(certificate_serial=serial, certificate_expires_at=expires_at)
    )
    transaction.audit(
        AuditEvent(
            "connector.renewed" if renewal else "connector.joined",
            actor=connector.name,
            actor_id=connector_id,
            source_ip=source_ip,
            data={
                "connector_id": connector_id,
                "serial": serial,
                **({} if ended_at is None else {"ended_at": ended_at.isoformat()}),
            },
        )
    )
    return CONNECTORS.get(transaction, connector_id)


def has_certificate(transaction: Transaction, connector_id: str, key_fingerprint: str) -> bool:
    """Tell whether a connector has had a certificate for a key, and it wasn't revoked."""
    certificates = connector_certificates
    query = select(certificates.c.serial).where(
        certificates.c.connector_id == connector_id,
        certificates.c.key_fingerprint == key_fingerprint,
        certificates.c.revoked_at.is_(None),
    )
    return transaction.connection.execute(query.limit(1)).first() is not None


def _lock(transaction: Transaction, connector_id: str) -> Connector:
    """Lock a connector that gets a certificate.

    :raise JoinRefused: it was deleted.
    """
    try:
        return CONNECTORS.lock(transaction, connector_id)
    except NotFound:
        raise JoinRefused(JoinProblem.REVOKED) from None


def _is_replaced(transaction: Transaction, connector_id: str, key_fingerprint: str) -> bool:
    """Tell whether another key has joined as this connector since this one did."""
    query = select(join_tokens.c.redeemed_key).where(
        join_tokens.c.connector_id == connector_id, join_tokens.c.redeemed_key.is_not(None)
    )
    joined = transaction.connection.execute(query).scalars().all()
    return bool(joined) and key_fingerprint not in joined


def check_late(transaction: Transaction, asked: LateRenewal) -> datetime:
    """Check that a certificate may be renewed though it has ended.

    :return: when it ended.
    :raise JoinRefused: it may not, or its connector is gone.
    """
    try:
        connector = CONNECTORS.get(transaction, asked.connector_id)
    except NotFound:
        raise JoinRefused(JoinProblem.REVOKED) from None
    certificates = connector_certificates
    found = transaction.connection.execute(
        select(certificates)
        .where(certificates.c.key_fingerprint == asked.key_fingerprint)
        .order_by(certificates.c.issued_at, certificates.c.serial)
    ).all()
    issued = [
        Issued(
            one.serial, one.connector_id, one.issued_at, one.expires_at, one.revoked_at is not None
        )
        for one in found
    ]
    return end_of_shown(asked, issued, transaction.now(), connector.last_seen_at)


def renew_late(
    transaction: Transaction,
    asked: LateRenewal,
    *,
    serial: str,
    expires_at: datetime,
    source_ip: str | None = None,
) -> Connector:
    """Write down a certificate in place of one that has ended, for the same key.

    :param serial: of the new one.
    :raise JoinRefused: see ``check_late``.
    """
    _lock(transaction, asked.connector_id)
    return record_certificate(
        transaction,
        asked.connector_id,
        serial=serial,
        key_fingerprint=asked.key_fingerprint,
        expires_at=expires_at,
        renewal=True,
        source_ip=source_ip,
        ended_at=check_late(transaction, asked),
    )


def find_by_certificates(
    transaction: Transaction, key_fingerprints: Sequence[str]
) -> dict[str, Connector]:
    """Say whose some keys are, by their fingerprints; without those of which no certificate is
    good (any more).

    A renewal is for the same key, so that a link outlives the certificate it was made with.  A
    key that joined twice is the later connector's.
    """
    certificates = connector_certificates
    query = (
        CONNECTORS.select()
        .add_columns(certificates.c.key_fingerprint)
        .join(certificates, certificates.c.connector_id == table.c.id)
        .where(
            certificates.c.key_fingerprint.in_(bindparam("wanted", expanding=True)),
            certificates.c.revoked_at.is_(None),
            certificates.c.expires_at > transaction.now(),
        )
        .order_by(certificates.c.issued_at)
    )
    found: dict[str, Connector] = {}
    for some in _some(key_fingerprints):
        for row in transaction.connection.execute(query, {"wanted": some}):
            found[row[-1]] = CONNECTORS.make(row[:-1])
    return found


@frozen
class EndingSoon:
    """Connectors whose certificates end soon.

    :ivar names: of some of them.
    """

    until: datetime
    count: int
    names: tuple[str, ...]


def ending(transaction: Transaction, until: datetime) -> EndingSoon:
    """Tell which connectors have certificates that are good now, and end by a time."""
    ends = table.c.certificate_expires_at
    soon = ends > transaction.now(), ends <= until
    read = transaction.connection.execute
    names = read(select(table.c.name).where(*soon).order_by(ends, table.c.name).limit(_NAMED))
    count = read(select(func.count()).select_from(table).where(*soon)).scalar_one()
    return EndingSoon(until, count, tuple(names.scalars()))


def _some(every: Sequence[str]) -> Iterator[Sequence[str]]:
    return (every[at : at + _AT_ONCE] for at in range(0, len(every), _AT_ONCE))


def record_seen(
    transaction: Transaction, versions: Mapping[str, str], authority: str | None = None
) -> None:
    """Write down that connectors are attached now.

    What another transaction changes meanwhile, such as another pod that writes down the same, is
    left out: many are written at once here, and none of them waits for it.

    :param versions: the version each connector runs, by its id.
    :param authority: the pin of the CA whose certificate they use; None leaves it as it is.  With
        one, none is left out.
    """
    more = {} if authority is None else {"authority": authority}
    of_version: dict[str, list[str]] = {}
    for connector_id, version in versions.items():
        of_version.setdefault(version, []).append(connector_id)
    for version, ids in of_version.items():
        values = {"version": version, "last_seen_at": transaction.now(), **more}
        for some in _some(ids):
            free = select(table.c.id).where(table.c.id.in_(some))
            if authority is None:
                free = free.with_for_update(skip_locked=True)
            query = update_rows(table).where(table.c.id.in_(free)).values(values)
            transaction.connection.execute(query)
