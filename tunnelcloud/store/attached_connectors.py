"""The connectors attached to each pod, as each pod records them with its heartbeats."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, func, insert, select

from tunnelcloud.store.pods import leased
from tunnelcloud.store.schema import attachments as table
from tunnelcloud.store.schema import connectors, pods
from tunnelcloud.store.transaction import Transaction


def note(transaction: Transaction, pod_id: str, connector_ids: Collection[str]) -> None:
    """Write down which connectors have links to a pod, whichever had before."""
    query = select(table.c.connector_id).where(table.c.pod_id == pod_id)
    before = set(transaction.connection.execute(query).scalars())
    gone = before.difference(connector_ids)
    if gone:
        transaction.connection.execute(
            delete(table).where(table.c.pod_id == pod_id, table.c.connector_id.in_(gone))
        )
    come = set(connector_ids) - before
    if come:
        there = select(connectors.c.id).where(connectors.c.id.in_(come))
        known = transaction.connection.execute(there).scalars().all()
        if known:
            rows = [{"pod_id": pod_id, "connector_id": one} for one in known]
            transaction.connection.execute(insert(table), rows)


def counts(transaction: Transaction) -> dict[str, int]:
    """Count to how many living pods each connector has links, by its id."""
    query = (
        select(table.c.connector_id, func.count())
        .join(pods, pods.c.id == table.c.pod_id)
        .where(leased(transaction))
        .group_by(table.c.connector_id)
    )
    return {row[0]: int(row[1]) for row in transaction.connection.execute(query)}
