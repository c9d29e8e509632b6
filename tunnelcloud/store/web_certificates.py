"""The web's certificate that pods share: kept sealed, ordered by one pod at a time.

Who orders has a lease.  What an order needs on other pods (the answers to challenges) and what came
of it stands here, so that any pod may answer, and each shows the same certificate.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen
from sqlalchemy import and_, or_, select, update

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store.bulk_statements import insert_unless_there
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import web_certificates as table
from tunnelcloud.store.transaction import Transaction

KIND = "web_certificate"
_NAME = "web"
_MOST_DOUBLINGS = 16


@frozen
class KeptCertificate:
    """What pods share; each secret is sealed.

    :ivar account: the account at the authority.
    :ivar content: certificate and key.
    :ivar answers: to the challenges of the order under way.
    :ivar failures: orders that failed since the last good one.
    :ivar retry_at: no pod orders before.
    :ivar fault: why the last order failed; empty when it didn't.
    """

    account: bytes | None = None
    content: bytes | None = None
    answers: bytes | None = None
    failures: int = 0
    retry_at: datetime | None = None
    fault: str = ""


_COLUMNS = [table.c[name] for name in KeptCertificate.__annotations__]


def load(transaction: Transaction) -> KeptCertificate:
    """Return the stored state, which is empty before the first order."""
    query = select(*_COLUMNS).where(table.c.name == _NAME)
    row = transaction.connection.execute(query).first()
    return KeptCertificate() if row is None else KeptCertificate(*row)


def take_lease(transaction: Transaction, holder: str, seconds: float, *, pod_id: str) -> bool:
    """Take the right to order, unless another has it or it is too early for another try.

    :param holder: names this order; the pod's id stands first in it.
    :param pod_id: who asks, and orders nothing now: its own lease is of a process before it.
    """
    now = transaction.now()
    until = now + timedelta(seconds=seconds)
    row = {"name": _NAME, "failures": 0, "fault": ""}
    insert_unless_there(transaction.connection, table, row)
    # A lease that ends later than any could is from before the clock went back.
    free = or_(
        table.c.leased_until.is_(None),
        table.c.leased_until <= now,
        table.c.leased_until > until,
        table.c.leased_by.startswith(pod_id, autoescape=True),
    )
    due = or_(table.c.retry_at.is_(None), table.c.retry_at <= now)
    taken = transaction.connection.execute(
        update(table)
        .where(table.c.name == _NAME, and_(free, due))
        .values(leased_by=holder, leased_until=until)
    )
    return bool(taken.rowcount)


def publish(transaction: Transaction, holder: str, answers: bytes) -> None:
    """Show all pods the answers to challenges.

    :raise Conflict: the lease is another's by now.
    """
    _set(transaction, holder, answers=answers)


def keep_account(transaction: Transaction, holder: str, account: bytes) -> None:
    """Keep the account at the authority.

    :raise Conflict: the lease is another's by now.
    """
    _set(transaction, holder, account=account)


def keep(
    transaction: Transaction, holder: str, content: bytes, *, names: str, ends_at: str
) -> None:
    """Keep a new certificate for all pods; the order is over.

    :param names: for the audit, as the end is.
    :raise Conflict: the lease is another's by now.
    """
    _set(
        transaction,
        holder,
        content=content,
        answers=None,
        failures=0,
        retry_at=None,
        fault="",
        leased_by=None,
        leased_until=None,
    )
    data = {"names": names, "ends_at": ends_at}
    transaction.audit(AuditEvent("web_certificate.issued", data=data))


def fail(transaction: Transaction, holder: str, fault: str, *, first: float, longest: float) -> int:
    """Write down that an order failed; the next one comes after a pause that grows fourfold.

    :param fault: one line.
    :param first: seconds before the second try.
    :param longest: so long a pause is at most; ``first`` may be more.
    :return: how many have failed since the last good one.
    :raise Conflict: the lease is another's by now.
    """
    before = load(transaction)
    growing = first * 4.0 ** min(before.failures, _MOST_DOUBLINGS)
    pause = max(first, min(longest, growing))
    _set(
        transaction,
        holder,
        answers=None,
        failures=before.failures + 1,
        retry_at=transaction.now() + timedelta(seconds=pause),
        fault=fault,
        leased_by=None,
        leased_until=None,
    )
    if fault != before.fault:
        transaction.audit(AuditEvent("web_certificate.refused", data={"reason": fault}))
    return before.failures + 1


def _set(transaction: Transaction, holder: str, **values: object) -> None:
    changed = transaction.connection.execute(
        update(table).where(table.c.name == _NAME, table.c.leased_by == holder).values(values)
    )
    if not changed.rowcount:
        raise Conflict("", "another pod orders the web's certificate by now")
    transaction.changed(KIND, _NAME, decides=False)
