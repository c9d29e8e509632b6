"""What happened to a group, a policy, a site or a connector lately, as the audit has it."""

from __future__ import annotations

from sqlalchemy import select

from tunnelcloud.domain.events import CATALOGUE, AuditRecord
from tunnelcloud.store import audit
from tunnelcloud.store.schema import connectors
from tunnelcloud.store.transaction import Transaction

MOST = 20
"""Events that are given of one object."""

_MOST_CONNECTORS = 10
"""The events of so many connectors of a site are given, of the latest."""


def _beginning(*beginnings: str) -> tuple[str, ...]:
    return tuple(name for name in CATALOGUE if name.startswith(beginnings))


EVENTS = {
    "group": _beginning("group.", "assignment."),
    "policy": _beginning("policy.", "assignment."),
    "connector": _beginning("connector."),
    "site": _beginning("site.", "connector.", "tunnel."),
}
"""Which events may be about an object, by its kind."""


def latest_of(transaction: Transaction, kind: str, object_id: str) -> list[AuditRecord]:
    """Give the latest events about an object, the last one first.

    A site's are also those of its connectors, and of the tunnels that were published in it.

    :param kind: one of ``EVENTS``.
    """
    ids = [object_id]
    if kind == "site":
        one = connectors.c
        its_own = select(one.id).where(one.site_id == object_id).order_by(one.id.desc())
        ids += transaction.connection.execute(its_own.limit(_MOST_CONNECTORS)).scalars()
    return audit.latest_about(transaction, EVENTS[kind], ids, limit=MOST)
