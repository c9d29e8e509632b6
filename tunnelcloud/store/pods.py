"""Pods: each registers itself and says again and again that it is there."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, insert, select, update

from tunnelcloud.domain.entities import Pod
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import sessions
from tunnelcloud.store.aggregate import Aggregate
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import pods as table
from tunnelcloud.store.schema import sessions as sessions_table
from tunnelcloud.store.transaction import Transaction

PODS = Aggregate("pod", table, Pod, sorts={"name": table.c.name}, identified_by_time="started_at")

_LIVELY_SECONDS = 30
"""A pod that was heard of so lately is taken to serve."""

get = PODS.get
find = PODS.find
list_page = PODS.list_page


def register(
    transaction: Transaction,
    *,
    name: str,
    version: str,
    ssh_address: str,
    connectors_address: str,
    shared: bool = False,
) -> Pod:
    """Write down that a pod begins to serve; what it left open before it ended is closed.

    A pod keeps its id as long as it keeps its name.

    :param shared: whether other pods may use the database.
    :raise Conflict: one of them has the name, and serves.
    """
    now = transaction.now()
    if shared:
        _check_name_is_free(transaction, name, connectors_address)
    values = {
        "version": version,
        "started_at": now,
        "last_seen_at": now,
        "ssh_address": ssh_address,
        "connectors_address": connectors_address,
        "draining": False,
        "stopped_at": None,
    }
    pod_id = transaction.connection.execute(
        update(table).where(table.c.name == name).values(values).returning(table.c.id)
    ).scalar()
    if pod_id is None:
        pod_id = transaction.new_id("pod")
        transaction.connection.execute(insert(table), {"id": pod_id, "name": name, **values})
    else:
        sessions.end_all(
            transaction, sessions_table.c.pod_id == pod_id, f"pod {name} was started again"
        )
    transaction.audit(
        AuditEvent("pod.started", actor=name, pod_id=pod_id, data={"version": version})
    )
    transaction.changed("pod", pod_id)
    return PODS.get(transaction, pod_id)


def _check_name_is_free(transaction: Transaction, name: str, connectors_address: str) -> None:
    """Refuse a name in use; a pod that was killed and starts again has the address it had."""
    query = select(table.c.connectors_address).where(
        table.c.name == name,
        table.c.connectors_address != connectors_address,
        _heard(transaction, _LIVELY_SECONDS),
    )
    other = transaction.connection.execute(query).scalar()
    if other is not None:
        raise Conflict(
            "name",
            f"the name {name!r} is in use by the pod at {other}: set another name in pod.toml (or, "
            f"if that pod is gone and this one replaces it, start again in {_LIVELY_SECONDS} s)",
        )


def heartbeat(transaction: Transaction, pod_id: str, *, draining: bool = False) -> bool:
    """Write down that a pod is there.

    :return: False when it isn't registered.
    """
    query = select(table.c.draining).where(table.c.id == pod_id, table.c.stopped_at.is_(None))
    before = transaction.connection.execute(query).scalar()
    if before is None:
        return False
    transaction.connection.execute(
        update(table)
        .where(table.c.id == pod_id)
        .values(last_seen_at=transaction.now(), draining=draining)
    )
    if before != draining:
        transaction.changed("pod", pod_id)
    return True


def alive(transaction: Transaction, *, within_seconds: float) -> list[Pod]:
    """List the pods that were heard of lately, by name."""
    query = PODS.select().where(_heard(transaction, within_seconds)).order_by(table.c.name)
    return [PODS.make(row) for row in transaction.connection.execute(query)]


def leave(transaction: Transaction, pod_id: str, *, reason: str) -> None:
    """Write down that a pod stopped in order; what it left open is closed.

    :raise NotFound: there is no such pod.
    """
    pod = PODS.lock(transaction, pod_id)
    sessions.end_all(transaction, sessions_table.c.pod_id == pod_id, reason)
    transaction.connection.execute(
        update(table).where(table.c.id == pod_id).values(stopped_at=transaction.now())
    )
    transaction.audit(
        AuditEvent("pod.stopped", actor=pod.name, pod_id=pod_id, data={"reason": reason})
    )
    transaction.changed("pod", pod_id)


def reap(transaction: Transaction, *, silent_seconds: float) -> int:
    """Close what pods left open that were not heard of for so long (or are gone altogether).

    Several pods may do this at once: each record is closed by one of them.

    :return: how many sessions there were.
    """
    heard = select(table.c.id).where(_heard(transaction, silent_seconds))
    return sessions.end_all(
        transaction, sessions_table.c.pod_id.not_in(heard), "the pod that served it stopped"
    )


def _heard(transaction: Transaction, within_seconds: float) -> ColumnElement[bool]:
    since = transaction.now() - timedelta(seconds=within_seconds)
    return and_(table.c.last_seen_at >= since, table.c.stopped_at.is_(None))
