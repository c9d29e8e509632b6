"""What lists of objects show beside their settings: counts, for the objects of one page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import frozen
from sqlalchemy import Column, ColumnElement, func, select

from tunnelcloud.domain.entities import Channel, Connector
from tunnelcloud.store import schema
from tunnelcloud.store.channels import CHANNELS
from tunnelcloud.store.connectors import CONNECTORS
from tunnelcloud.store.transaction import Transaction

Counts = Mapping[str, int]
"""Counts by the id of what they are of; where there is none, none is there."""


def count_by(
    transaction: Transaction,
    column: Column[Any],
    ids: Collection[str],
    *conditions: ColumnElement[bool],
) -> Counts:
    """Count the rows that refer to each of some objects."""
    query = select(column, func.count()).where(column.in_(ids), *conditions).group_by(column)
    return {row[0]: row[1] for row in transaction.connection.execute(query)}


@frozen
class TunnelCounts:
    """How many users and groups each tunnel is assigned to, and its open channels."""

    users: Counts
    groups: Counts
    open: Counts


def of_tunnels(transaction: Transaction, ids: Collection[str]) -> TunnelCounts:
    """Count what lists of tunnels show."""
    one = schema.assignments.c
    return TunnelCounts(
        count_by(transaction, one.tunnel_id, ids, one.user_id.is_not(None)),
        count_by(transaction, one.tunnel_id, ids, one.group_id.is_not(None)),
        count_by(
            transaction, schema.channels.c.tunnel_id, ids, schema.channels.c.closed_at.is_(None)
        ),
    )


def connectors_of(transaction: Transaction, site_ids: Collection[str]) -> list[Connector]:
    """List the connectors of some sites."""
    query = CONNECTORS.select().where(schema.connectors.c.site_id.in_(site_ids))
    return [CONNECTORS.make(row) for row in transaction.connection.execute(query)]


def open_channels(transaction: Transaction, session_ids: Collection[str]) -> list[Channel]:
    """List the open channels of some sessions, the oldest first."""
    one = schema.channels.c
    query = CHANNELS.select().where(one.session_id.in_(session_ids), one.closed_at.is_(None))
    rows = transaction.connection.execute(query.order_by(one.id))
    return [CHANNELS.make(row) for row in rows]
