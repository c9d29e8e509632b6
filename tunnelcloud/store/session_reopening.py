"""Opens again the records of sessions that another pod took for dead, and that live.

A pod that was away from the database may come back after others closed what it has open.  What an
administrator wanted ended meanwhile stays closed, and its pod is told to end it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import and_, select, update

from tunnelcloud.domain.events import event_of
from tunnelcloud.store.schema import channels, sessions
from tunnelcloud.store.sessions import EndRequest, end_requests_of
from tunnelcloud.store.transaction import Transaction


def reopen(
    transaction: Transaction,
    pod_id: str,
    session_ids: Collection[str],
    channel_ids: Collection[str],
) -> list[EndRequest]:
    """Open the records of what a pod still has open, unless somebody wanted it ended.

    :param session_ids: of sessions that live on the pod.
    :param channel_ids: of the channels that they have.
    :return: what is to be ended instead.
    """
    wanted = end_requests_of(
        transaction,
        (sessions.c.id.in_(session_ids), sessions.c.pod_id == pod_id),
        (channels.c.id.in_(channel_ids), channels.c.pod_id == pod_id),
    )
    closed = and_(
        sessions.c.id.in_(session_ids),
        sessions.c.pod_id == pod_id,
        sessions.c.ended_at.is_not(None),
        sessions.c.end_requested.is_(None),
    )
    reopened = transaction.connection.execute(
        update(sessions).where(closed).values(ended_at=None, end_reason="").returning(sessions)
    ).all()
    live = select(sessions.c.id).where(sessions.c.ended_at.is_(None))
    transaction.connection.execute(
        update(channels)
        .where(
            channels.c.id.in_(channel_ids),
            channels.c.pod_id == pod_id,
            channels.c.closed_at.is_not(None),
            channels.c.end_requested.is_(None),
            channels.c.session_id.in_(live),
        )
        .values(closed_at=None, close_reason="")
    )
    for row in reopened:
        _audit(transaction, row)
    return wanted


def _audit(transaction: Transaction, row: Any) -> None:
    transaction.audit(
        event_of(
            "session.reopened",
            row.user_id,
            row.user_name,
            tunnel_id=row.tunnel_id,
            session_id=row.id,
            source_ip=row.source_ip,
            pod_id=row.pod_id,
        )
    )
