"""Channels, open and past: each is on the disk before its target is dialled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, insert, update

from tunnelcloud.domain.entities import Channel, Session
from tunnelcloud.domain.events import AuditEvent, event_of
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.store.column_types import plain
from tunnelcloud.store.filters import before, equals, searches, since
from tunnelcloud.store.object_reads import Listing
from tunnelcloud.store.paging import MAX_SEARCHED
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.schema import channels as table
from tunnelcloud.store.transaction import Transaction


def _live(wanted: bool) -> ColumnElement[bool]:
    return table.c.closed_at.is_(None) if wanted else table.c.closed_at.is_not(None)


CHANNELS = Listing(
    "channel",
    table,
    Channel,
    filters={
        "live": _live,
        "session_id": equals(table.c.session_id),
        "user_id": equals(table.c.user_id),
        "tunnel_id": equals(table.c.tunnel_id),
        "connector_id": equals(table.c.connector_id),
        "pod_id": equals(table.c.pod_id),
        "since": since(table.c.opened_at),
        "until": before(table.c.opened_at),
        "q": searches(table.c.user_name, table.c.tunnel_name, table.c.destination),
    },
    identified_by_time="opened_at",
    searched_at_once=MAX_SEARCHED,
)

get = CHANNELS.get
list_page = CHANNELS.list_page
count = CHANNELS.count

_INSERT = Prepared(insert(table))
_CLOSE = Prepared(
    update(table)
    .where(table.c.id == bindparam("wanted"), table.c.closed_at.is_(None))
    .values(
        closed_at=bindparam("now"),
        close_reason=bindparam("reason"),
        bytes_to_target=bindparam("to_target"),
        bytes_from_target=bindparam("from_target"),
        connector_id=func.coalesce(
            bindparam("connector", type_=table.c.connector_id.type), table.c.connector_id
        ),
    )
    .returning(table)
)
_CLOSE_OF_SESSION = Prepared(
    update(table)
    .where(table.c.session_id == bindparam("wanted"), table.c.closed_at.is_(None))
    .values(closed_at=bindparam("now"), close_reason=bindparam("reason"))
    .returning(table)
)


def open(  # noqa: A001  (what one does to a channel)
    transaction: Transaction,
    session: Session,
    tunnel: Tunnel,
    *,
    destination: str,
    port: int,
) -> Channel:
    """Record that a session was allowed to reach a target, which is about to be dialled.

    The audit has it at the latest when the channel is closed, by any pod.
    """
    channel = Channel(
        id=transaction.new_id("channel"),
        session_id=session.id,
        tunnel_id=tunnel.id,
        destination=destination,
        port=port,
        opened_at=transaction.now(),
    )
    _INSERT(
        transaction.connection,
        {
            "id": channel.id,
            "session_id": session.id,
            "user_id": session.user_id,
            "user_name": session.user_name,
            "tunnel_id": tunnel.id,
            "tunnel_name": tunnel.name,
            "pod_id": session.pod_id,
            "source_ip": session.source_ip,
            "destination": destination,
            "port": port,
            "opened_at": channel.opened_at,
            "close_reason": channel.close_reason,
            "bytes_to_target": channel.bytes_to_target,
            "bytes_from_target": channel.bytes_from_target,
        },
    )
    return channel


def say_opened(
    transaction: Transaction, session: Session, tunnel: Tunnel, channel: Channel
) -> None:
    """Put into the audit that a channel is open; of one that is over soon, its end is enough."""
    transaction.audit(
        session_event(
            "channel.opened",
            session,
            tunnel,
            channel_id=channel.id,
            destination=channel.destination,
            port=channel.port,
            opened_at=plain(channel.opened_at),
        )
    )


def refuse(
    transaction: Transaction,
    session: Session,
    tunnel: Tunnel | None,
    *,
    destination: str,
    port: int,
    reason: str,
) -> None:
    """Write down that a session asked for a destination and was refused.

    :param tunnel: which it was, when that is known.
    """
    transaction.audit(
        session_event(
            "channel.refused",
            session,
            tunnel,
            destination=destination,
            port=port,
            reason=reason,
        )
    )


def close(
    transaction: Transaction,
    channel_id: str,
    *,
    reason: str,
    bytes_to_target: int,
    bytes_from_target: int,
    acknowledged: bool = False,
    connector_id: str | None = None,
) -> bool:
    """Write down that a channel is over, or never came to be.

    :param acknowledged: whether the target's system has acknowledged ``bytes_to_target``, which are
        those that were sent otherwise.
    :param connector_id: which carried it in the end; None leaves what was written down first.
    :return: False when its record was closed before.
    """
    closed = _CLOSE(
        transaction.connection,
        {
            "wanted": channel_id,
            "now": transaction.now(),
            "reason": reason,
            "to_target": bytes_to_target,
            "from_target": bytes_from_target,
            "connector": connector_id,
        },
    )
    return _audit_closed(transaction, closed, reason, acknowledged) > 0


def close_of_session(transaction: Transaction, session_id: str, reason: str) -> int:
    """Close the records of all channels that a session still has; say how many."""
    closed = _CLOSE_OF_SESSION(
        transaction.connection,
        {"wanted": session_id, "now": transaction.now(), "reason": reason},
    )
    return _audit_closed(transaction, closed, reason, False)


def _audit_closed(
    transaction: Transaction, closed: Sequence[Any], reason: str, acknowledged: bool
) -> int:
    for row in closed:
        transaction.audit(
            event_of(
                "channel.closed",
                row.user_id,
                row.user_name,
                tunnel_id=row.tunnel_id,
                tunnel_name=row.tunnel_name,
                session_id=row.session_id,
                source_ip=row.source_ip,
                pod_id=row.pod_id,
                data={
                    "channel_id": row.id,
                    "connector_id": row.connector_id,
                    "destination": row.destination,
                    "port": row.port,
                    "opened_at": plain(row.opened_at),
                    "reason": reason,
                    "bytes_to_target": row.bytes_to_target,
                    "bytes_from_target": row.bytes_from_target,
                    "acknowledged": acknowledged,
                },
            )
        )
    return len(closed)


def request_end(transaction: Transaction, channel_id: str, reason: str) -> Channel:
    """Ask the pod that serves a channel to end it; without effect if it is over.

    :param reason: for the user and the audit.
    :raise NotFound: there never was such a channel.
    """
    channel = CHANNELS.get(transaction, channel_id)
    transaction.connection.execute(
        update(table)
        .where(table.c.id == channel_id, table.c.closed_at.is_(None))
        .values(end_requested=reason)
    )
    transaction.changed("channel", channel_id)
    return channel


def session_event(name: str, session: Session, tunnel: Tunnel | None, **data: Any) -> AuditEvent:
    """Make an event of a session, about one of its destinations."""
    return event_of(
        name,
        session.user_id,
        session.user_name,
        tunnel_id=tunnel.id if tunnel else None,
        tunnel_name=tunnel.name if tunnel else None,
        session_id=session.id,
        source_ip=session.source_ip,
        pod_id=session.pod_id,
        data={key: value for key, value in data.items() if value is not None},
    )
