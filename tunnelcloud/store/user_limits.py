"""A user's limits over all pods, judged in the transaction that records a channel.

What other pods have open counts while they have their leases: a pod that died holds nobody up for
longer than that.
"""

from __future__ import annotations

from sqlalchemy import and_, exists, func, or_, select

from tunnelcloud.domain.entities import Channel, Session
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.user_limits import Limits
from tunnelcloud.store import channels, pods
from tunnelcloud.store.errors import LimitReached
from tunnelcloud.store.filters import as_referred
from tunnelcloud.store.schema import channels as channels_table
from tunnelcloud.store.schema import pods as pods_table
from tunnelcloud.store.schema import sessions as sessions_table
from tunnelcloud.store.schema import users
from tunnelcloud.store.transaction import Transaction


def open_channel(
    transaction: Transaction,
    session: Session,
    tunnel: Tunnel,
    limits: Limits | None,
    *,
    destination: str,
    port: int,
) -> Channel:
    """Record a channel, as ``channels.open`` does, unless its user has too much on all pods.

    :raise LimitReached: with the limit.
    """
    if limits is not None:
        _check(transaction, session, tunnel, limits)
    return channels.open(transaction, session, tunnel, destination=destination, port=port)


def _check(transaction: Transaction, session: Session, tunnel: Tunnel, limits: Limits) -> None:
    # Pods that open channels of one user at the same moment take turns.
    turn = select(users.c.id).where(users.c.id == session.user_id)
    transaction.connection.execute(turn.with_for_update(key_share=True))
    elsewhere = select(pods_table.c.id).where(
        pods.leased(transaction), pods_table.c.id != session.pod_id
    )
    one, two = sessions_table.c, channels_table.c
    used = exists().where(two.session_id == as_referred(one.id))
    is_new = ~exists().where(two.session_id == session.id)
    sessions = select(func.count()).where(
        one.user_id == session.user_id,
        one.ended_at.is_(None),
        one.pod_id.in_(elsewhere),
        used,
        # A session that is in use goes on, whoever came later.
        or_(is_new, one.id < session.id),
    )
    opened = select(func.count()).where(
        and_(two.user_id == session.user_id, two.tunnel_id == tunnel.id),
        two.closed_at.is_(None),
        two.pod_id.in_(elsewhere),
    )
    row = transaction.connection.execute(
        select(sessions.scalar_subquery(), opened.scalar_subquery())
    ).one()
    if reason := limits.reached(tunnel.name, *row):
        raise LimitReached(reason)
