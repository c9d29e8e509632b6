"""Sessions, open and past: each is on the disk before its first byte flows.

Tokens and keys start sessions in the transaction that verifies them (see their modules).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from attrs import asdict, frozen
from sqlalchemy import ColumnElement, bindparam, delete, func, select, update

from tunnelcloud.domain.entities import Channel, Session, SessionMethod
from tunnelcloud.domain.events import AuditEvent, event_of
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store import channels
from tunnelcloud.store.audit_rows import RowAndEvent
from tunnelcloud.store.column_types import first_id
from tunnelcloud.store.filters import before, equals, searches, since
from tunnelcloud.store.object_reads import Listing
from tunnelcloud.store.paging import MAX_SEARCHED
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.schema import channels as channels_table
from tunnelcloud.store.schema import sessions as table
from tunnelcloud.store.schema import tunnels
from tunnelcloud.store.transaction import Transaction

SERVED_IT_STOPPED = "the pod that served it stopped"
"""Why others closed the record of a session.  The pod may only have been cut off: then it opens the
record again when it is back."""

Traffic = tuple[int, int]
"""Bytes to the target and from it, since the beginning."""


@frozen
class LoginRecord:
    """Where a login comes from and what it says of itself; none of it proves anything."""

    login_name: str
    source_ip: str
    client_version: str
    pod_id: str


def _live(wanted: bool) -> ColumnElement[bool]:
    return table.c.ended_at.is_(None) if wanted else table.c.ended_at.is_not(None)


def _of_tunnel(tunnel_id: str) -> ColumnElement[bool]:
    # Two looks by index; an OR would be none, and look at every session there was.
    used = select(channels_table.c.session_id).where(channels_table.c.tunnel_id == tunnel_id)
    narrowed = select(table.c.id).where(table.c.tunnel_id == tunnel_id)
    return table.c.id.in_(used.union_all(narrowed))


SESSIONS = Listing(
    "session",
    table,
    Session,
    filters={
        "live": _live,
        "user_id": equals(table.c.user_id),
        "tunnel_id": _of_tunnel,
        "pod_id": equals(table.c.pod_id),
        "method": equals(table.c.method),
        "source_ip": equals(table.c.source_ip),
        "since": since(table.c.started_at),
        "until": before(table.c.started_at),
        "q": searches(table.c.user_name, table.c.login_name, table.c.source_ip),
    },
    identified_by_time="started_at",
    searched_at_once=MAX_SEARCHED,
)

get = SESSIONS.get
list_page = SESSIONS.list_page
count = SESSIONS.count

_INSERT = RowAndEvent(table)
_END = Prepared(
    update(table)
    .where(table.c.id == bindparam("wanted"), table.c.ended_at.is_(None))
    .values(
        ended_at=bindparam("now"),
        end_reason=bindparam("reason"),
        bytes_to_target=func.coalesce(bindparam("to_target"), table.c.bytes_to_target),
        bytes_from_target=func.coalesce(bindparam("from_target"), table.c.bytes_from_target),
    )
    .returning(table)
)


def start(
    transaction: Transaction,
    user: User,
    method: SessionMethod,
    login: LoginRecord,
    *,
    tunnel: Tunnel | None = None,
    token_id: str | None = None,
    key_id: str | None = None,
    key_fingerprint: str | None = None,
) -> Session:
    """Write down that a credential of ``user`` was verified and a session begins.

    :param tunnel: the one that the session is narrowed to.
    """
    session = Session(
        id=transaction.new_id("session"),
        user_id=user.id,
        user_name=user.name,
        method=method,
        login_name=login.login_name,
        source_ip=login.source_ip,
        client_version=login.client_version,
        pod_id=login.pod_id,
        started_at=transaction.now(),
        tunnel_id=None if tunnel is None else tunnel.id,
        token_id=token_id,
        key_id=key_id,
    )
    data = {
        "login_name": login.login_name,
        "method": str(method),
        "client_version": login.client_version,
        "key_fingerprint": key_fingerprint,
        "token_id": token_id,
    }
    transaction.insert_and_audit(
        _INSERT,
        {**asdict(session, recurse=False), "end_requested": None},
        event_of(
            "login.succeeded",
            user.id,
            user.name,
            tunnel_id=session.tunnel_id,
            tunnel_name=None if tunnel is None else tunnel.name,
            session_id=session.id,
            source_ip=login.source_ip,
            pod_id=login.pod_id,
            data={name: value for name, value in data.items() if value is not None},
        ),
    )
    return session


def end(
    transaction: Transaction, session_id: str, *, reason: str, traffic: Traffic | None = None
) -> bool:
    """Write down that a session is over, and with it the channels it still has.

    :param traffic: None leaves what was written down last.
    :return: False when its record was closed before.
    """
    channels.close_of_session(transaction, session_id, reason)
    to_target, from_target = traffic or (None, None)
    ended = _END(
        transaction.connection,
        {
            "wanted": session_id,
            "now": transaction.now(),
            "reason": reason,
            "to_target": to_target,
            "from_target": from_target,
        },
    )
    if not ended:
        return False
    [row] = ended
    transaction.audit(
        event_of(
            "session.ended",
            row.user_id,
            row.user_name,
            tunnel_id=row.tunnel_id,
            tunnel_name=_tunnel_name(transaction, row.tunnel_id),
            session_id=session_id,
            source_ip=row.source_ip,
            pod_id=row.pod_id,
            data={
                "reason": reason,
                "bytes_to_target": row.bytes_to_target,
                "bytes_from_target": row.bytes_from_target,
                "seconds": (row.ended_at - row.started_at).total_seconds(),
            },
        )
    )
    return True


def _tunnel_name(transaction: Transaction, tunnel_id: str | None) -> str | None:
    if tunnel_id is None:
        return None
    name: str | None = transaction.connection.execute(
        select(tunnels.c.name).where(tunnels.c.id == tunnel_id)
    ).scalar()
    return name


def end_all(
    transaction: Transaction,
    condition: ColumnElement[bool],
    reason: str,
    *,
    limit: int | None = None,
) -> int:
    """Close the records of all open sessions that a condition holds for.

    :param limit: how many at most, of those that nobody else closes at the moment.
    :return: how many there were.
    """
    query = select(table.c.id).where(table.c.ended_at.is_(None), condition)
    if limit is not None:
        query = query.limit(limit).with_for_update(skip_locked=True)
    found = transaction.connection.execute(query).scalars().all()
    return sum(end(transaction, session_id, reason=reason) for session_id in found)


def forget(transaction: Transaction, until: datetime, *, limit: int = 500) -> int:
    """Delete the oldest sessions that ended before a time, with their channels.

    :param limit: how many at most.
    :return: how many there were; fewer than ``limit`` means that all are gone.
    """
    # Who ended before it began before it: ids are indexed, and sort by that.
    query = select(table.c.id).where(table.c.id < first_id("session", until))
    query = query.where(table.c.ended_at < until).order_by(table.c.id).limit(limit)
    old = transaction.connection.execute(query).scalars().all()
    transaction.connection.execute(
        delete(channels_table).where(channels_table.c.session_id.in_(old))
    )
    return transaction.connection.execute(delete(table).where(table.c.id.in_(old))).rowcount


def client_versions(transaction: Transaction, ids: Iterable[str]) -> dict[str, str]:
    """Give the client's version of sessions by their ids."""
    query = select(table.c.id, table.c.client_version).where(table.c.id.in_(set(ids)))
    return {row.id: row.client_version for row in transaction.connection.execute(query)}


def closed(transaction: Transaction, ids: Iterable[str]) -> list[str]:
    """Give those of some sessions whose records are closed."""
    query = select(table.c.id).where(table.c.id.in_(set(ids)), table.c.ended_at.is_not(None))
    return list(transaction.connection.execute(query).scalars())


def sync_traffic(
    transaction: Transaction,
    of_sessions: Mapping[str, Traffic],
    of_channels: Mapping[str, Traffic],
    carriers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write down what open sessions and channels have carried so far, by their ids.

    :param carriers: the ids of the connectors that carry open channels, by the channels' ids.
    """
    if carriers:
        one = channels_table.c
        transaction.connection.execute(
            update(channels_table).where(one.id == bindparam("row"), one.closed_at.is_(None)),
            [{"row": row, "connector_id": connector} for row, connector in carriers.items()],
        )
    for rows, open_rows, batch in (
        (table, table.c.ended_at.is_(None), of_sessions),
        (channels_table, channels_table.c.closed_at.is_(None), of_channels),
    ):
        if batch:
            transaction.connection.execute(
                update(rows).where(rows.c.id == bindparam("row"), open_rows),
                [
                    {"row": row, "bytes_to_target": to_target, "bytes_from_target": from_target}
                    for row, (to_target, from_target) in batch.items()
                ],
            )


@frozen
class EndRequest:
    """Somebody wants a session or one channel of it ended.

    :ivar kind: ``session`` or ``channel``.
    """

    kind: str
    id: str
    session_id: str
    reason: str


def request_end(transaction: Transaction, session_id: str, reason: str) -> Session:
    """Ask the pod that serves a session to end it; without effect if it is over.

    :param reason: for the user and the audit.
    :raise NotFound: there never was such a session.
    """
    session = SESSIONS.get(transaction, session_id)
    transaction.connection.execute(
        update(table)
        .where(table.c.id == session_id, table.c.ended_at.is_(None))
        .values(end_requested=reason)
    )
    transaction.changed("session", session_id)
    return session


def note_end_request(
    transaction: Transaction, session: Session, channel: Channel | None = None
) -> None:
    """Record who asks for the end of a session: the event of its end names the session's user.

    :param channel: the only one of its channels that is to end.
    """
    tunnel_id = session.tunnel_id if channel is None else channel.tunnel_id
    transaction.audit(
        AuditEvent(
            f"{'session' if channel is None else 'channel'}.end_requested",
            user_id=session.user_id,
            user_name=session.user_name,
            tunnel_id=tunnel_id,
            tunnel_name=_tunnel_name(transaction, tunnel_id),
            session_id=session.id,
            data={} if channel is None else {"channel_id": channel.id},
        )
    )


def end_requests(transaction: Transaction, pod_id: str) -> list[EndRequest]:
    """List what a pod was asked to end and hasn't yet."""
    return end_requests_of(
        transaction,
        (table.c.pod_id == pod_id, table.c.ended_at.is_(None)),
        (channels_table.c.pod_id == pod_id, channels_table.c.closed_at.is_(None)),
    )


def end_requests_of(
    transaction: Transaction,
    which_sessions: Iterable[ColumnElement[bool]],
    which_channels: Iterable[ColumnElement[bool]],
) -> list[EndRequest]:
    """List those of some sessions and channels that were asked to be ended."""
    one, two = table.c, channels_table.c
    of_sessions = select(one.id, one.end_requested).where(
        one.end_requested.is_not(None), *which_sessions
    )
    of_channels = select(two.id, two.session_id, two.end_requested).where(
        two.end_requested.is_not(None), *which_channels
    )
    run = transaction.connection.execute
    return [
        *(EndRequest("session", row.id, row.id, row.end_requested) for row in run(of_sessions)),
        *(
            EndRequest("channel", row.id, row.session_id, row.end_requested)
            for row in run(of_channels)
        ),
    ]
