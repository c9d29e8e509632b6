"""Pods: each registers itself, and keeps a lease by renewing it regularly.

A pod's id stands for one process from its start to its end, and for the next one from the same
state directory.  Its incarnation is that process alone; who finds another one in its row has lost
its lease.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen
from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update

from tunnelcloud.domain.entities import Pod
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import sessions
from tunnelcloud.store.errors import Conflict, NotFound
from tunnelcloud.store.migrate import LEASE_SECONDS
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.schema import pods as table
from tunnelcloud.store.schema import probes
from tunnelcloud.store.schema import sessions as sessions_table
from tunnelcloud.store.transaction import Transaction

PODS = Aggregate("pod", table, Pod, sorts={"name": table.c.name}, identified_by_time="started_at")

_NAME_LENGTH = 63
_MOMENT = timedelta(milliseconds=1)

get = PODS.get
list_page = PODS.list_page


@frozen
class Registration:
    """A process's registration.

    :ivar incarnation: new at each start.
    :ivar home: of its state directory; a copy of the directory has another one.
    """

    name: str
    version: str
    ssh_address: str
    connectors_address: str
    incarnation: str = ""
    home: str = ""


class NameInUse(Conflict):
    """Another pod has the name, and its lease isn't over.

    :ivar holder: that pod.
    """

    def __init__(self, holder: Pod) -> None:
        super().__init__(
            "name",
            f"the name {holder.name!r} is in use by the pod at {holder.connectors_address}, which "
            "is alive: set another name in pod.toml, or stop that pod first",
        )
        self.holder = holder


def register(
    transaction: Transaction,
    registration: Registration,
    *,
    shared: bool = False,
    instead_of: str | None = None,
) -> Pod:
    """Write down that a pod begins to serve.

    What its state directory's last process left open is closed.  A pod from elsewhere that takes
    over a name gets an id of its own: the process that had the name may come to life again.

    :param shared: whether other pods may use the database.
    :param instead_of: an incarnation that is known to be dead, whatever its lease says.
    :raise NameInUse: by another pod.
    """
    holder = _find(transaction, registration.name)
    if holder is None:
        pod_id = transaction.new_id("pod")
    elif not shared or holder.home == registration.home or holder.stopped_at is not None:
        pod_id = holder.id
        reason = f"pod {holder.name} was started again"
        sessions.end_all(transaction, sessions_table.c.pod_id == pod_id, reason)
    elif has_lease(holder, transaction.now()) and holder.incarnation != instead_of:
        raise NameInUse(holder)
    else:
        _rename(transaction, holder)
        pod_id = transaction.new_id("pod")
    return _enter(transaction, pod_id, registration)


def renew(transaction: Transaction, pod_id: str, incarnation: str) -> bool:
    """Renew a pod's lease: it is there.

    :return: False when the lease isn't this incarnation's any more.
    """
    now = transaction.now()
    renewed = transaction.connection.execute(
        update(table)
        .where(
            table.c.id == pod_id, table.c.incarnation == incarnation, table.c.stopped_at.is_(None)
        )
        .values(last_seen_at=now, leased_until=now + timedelta(seconds=LEASE_SECONDS))
    )
    return renewed.rowcount == 1


def rejoin(transaction: Transaction, pod_id: str, registration: Registration) -> Pod:
    """Register again, after the lease was taken or the row deleted.

    :param registration: with a new incarnation.
    :return: the pod, under another name where somebody else has its own.
    """
    row = _find_by_id(transaction, pod_id)
    name = registration.name if row is None else row.name
    holder = _find(transaction, name)
    if holder is not None and holder.id != pod_id:
        name = _other_name(name, pod_id)
    values = Registration(
        name,
        registration.version,
        registration.ssh_address,
        registration.connectors_address,
        registration.incarnation,
        registration.home,
    )
    return _enter(transaction, pod_id, values)


def probe(transaction: Transaction, pod_id: str, filler: bytes) -> None:
    """Write as much as a login does, to find out whether that is possible."""
    now = transaction.now()
    same = and_(probes.c.pod_id == pod_id, probes.c.at == now)
    transaction.connection.execute(delete(probes).where(same))
    # First the new row: the old one's room proves nothing.
    row = {"pod_id": pod_id, "at": now, "filler": filler}
    transaction.connection.execute(insert(probes), row)
    older = and_(probes.c.pod_id == pod_id, probes.c.at != now)
    transaction.connection.execute(delete(probes).where(older))


def drain(transaction: Transaction, pod_id: str, draining: bool) -> Pod:
    """Have a pod let nothing new in, or take it up again; what is open goes on.

    :raise NotFound: there is no such pod.
    """
    pod = PODS.lock(transaction, pod_id)
    if pod.draining == draining:
        return pod
    transaction.connection.execute(
        update(table).where(table.c.id == pod_id).values(draining=draining)
    )
    event = "pod.drained" if draining else "pod.resumed"
    transaction.audit(AuditEvent(event, pod_id=pod_id, data={"pod": pod.name}))
    transaction.changed("pod", pod_id)
    return PODS.get(transaction, pod_id)


def leased(transaction: Transaction) -> ColumnElement[bool]:
    """Make the condition that a pod has its lease."""
    now, lease = transaction.now(), timedelta(seconds=LEASE_SECONDS)
    # A lease that ends later than any could is from before the clock went back.
    leased = table.c.leased_until.between(now + _MOMENT, now + lease)
    without = and_(table.c.leased_until.is_(None), table.c.last_seen_at.between(now - lease, now))
    return and_(table.c.stopped_at.is_(None), or_(leased, without))


def alive(transaction: Transaction) -> list[Pod]:
    """List the pods that have leases, by name."""
    query = PODS.select().where(leased(transaction)).order_by(table.c.name)
    return [PODS.make(row) for row in transaction.connection.execute(query)]


def refuse_other_versions(transaction: Transaction, version: str) -> None:
    """Refuse what pods of other versions may not understand.

    :raise Conflict: one lives.
    """
    for pod in alive(transaction):
        if pod.version != version:
            raise Conflict(
                "",
                f"pod {pod.name} runs version {pod.version} and this one {version}: bring all pods "
                "to one version first",
            )


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


def remove(transaction: Transaction, pod_id: str) -> None:
    """Forget a pod that is gone; what it left open is closed.

    :raise NotFound: there is no such pod.
    :raise Conflict: it is alive.
    """
    pod = PODS.lock(transaction, pod_id)
    if pod.stopped_at is None and has_lease(pod, transaction.now()):
        raise Conflict("", f"pod {pod.name} is alive: stop it first")
    sessions.end_all(transaction, sessions_table.c.pod_id == pod_id, sessions.SERVED_IT_STOPPED)
    transaction.connection.execute(delete(table).where(table.c.id == pod_id))
    transaction.audit(AuditEvent("pod.removed", data={"pod": pod.name}))
    transaction.changed("pod", pod_id)


def forget(transaction: Transaction, until: datetime, *, limit: int = 500) -> int:
    """Delete pods that were last heard of before a time; return their number."""
    query = select(table.c.id).where(table.c.last_seen_at < until).limit(limit)
    gone = transaction.connection.execute(query).scalars().all()
    transaction.connection.execute(delete(probes).where(probes.c.pod_id.in_(gone)))
    transaction.connection.execute(delete(table).where(table.c.id.in_(gone)))
    for pod_id in gone:
        transaction.changed("pod", pod_id)
    return len(gone)


REAPED_AT_ONCE = 100
"""Sessions whose records one transaction closes.  Each takes four statements, and the heartbeat
that does it has a few seconds: of thousands at once none would ever be closed."""


def reap(transaction: Transaction, *, silent_seconds: float) -> int:
    """Close the open records of pods that were silent for too long (or were deleted).

    Several pods may do this at once: each record is closed by one of them.

    :return: how many sessions there were, ``REAPED_AT_ONCE`` at most: with that many there may be
        more.
    """
    since = transaction.now() - timedelta(seconds=silent_seconds)
    heard = select(table.c.id).where(table.c.last_seen_at >= since, table.c.stopped_at.is_(None))
    return sessions.end_all(
        transaction,
        sessions_table.c.pod_id.not_in(heard),
        sessions.SERVED_IT_STOPPED,
        limit=REAPED_AT_ONCE,
    )


def _find(transaction: Transaction, name: str) -> Pod | None:
    query = PODS.select().where(table.c.name == name).with_for_update()
    row = transaction.connection.execute(query).first()
    return None if row is None else PODS.make(row)


def _find_by_id(transaction: Transaction, pod_id: str) -> Pod | None:
    try:
        return PODS.lock(transaction, pod_id)
    except NotFound:
        return None


def _enter(transaction: Transaction, pod_id: str, registration: Registration) -> Pod:
    now = transaction.now()
    values = {
        "name": registration.name,
        "version": registration.version,
        "started_at": now,
        "last_seen_at": now,
        "ssh_address": registration.ssh_address,
        "connectors_address": registration.connectors_address,
        "draining": False,
        "stopped_at": None,
        "incarnation": registration.incarnation,
        "home": registration.home,
        "leased_until": now + timedelta(seconds=LEASE_SECONDS),
    }
    changed = transaction.connection.execute(
        update(table).where(table.c.id == pod_id).values(values)
    )
    if not changed.rowcount:
        transaction.connection.execute(insert(table), {"id": pod_id, **values})
    transaction.audit(
        AuditEvent(
            "pod.started",
            actor=registration.name,
            pod_id=pod_id,
            data={"version": registration.version},
        )
    )
    transaction.changed("pod", pod_id)
    return PODS.get(transaction, pod_id)


def _rename(transaction: Transaction, pod: Pod) -> None:
    """Take its name from a pod whose lease is over."""
    transaction.connection.execute(
        update(table)
        .where(table.c.id == pod.id)
        .values(name=_other_name(pod.name, pod.id), incarnation="")
    )


def _other_name(name: str, pod_id: str) -> str:
    """Name a pod that had to leave its name to another."""
    end = f"-{pod_id[-8:]}"
    return name[: _NAME_LENGTH - len(end)] + end


def has_lease(pod: Pod, now: datetime) -> bool:
    """Tell whether a pod that hasn't stopped is taken to be alive."""
    lease = timedelta(seconds=LEASE_SECONDS)
    return now < (pod.leased_until or pod.last_seen_at + lease) <= now + lease
