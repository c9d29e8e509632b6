"""Tunnels.  Deleting one deletes its assignments and the tokens bound to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.store import assignments
from tunnelcloud.store.errors import BadDocument, Conflict, InvalidReference
from tunnelcloud.store.filters import (
    contains,
    equals,
    groups_of,
    has,
    searches,
    tunnel_unused_since,
)
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.orders import text_of, whether
from tunnelcloud.store.schema import assignments as assigned
from tunnelcloud.store.schema import sites
from tunnelcloud.store.schema import tunnels as table
from tunnelcloud.store.transaction import Transaction


def _assigned_to(user_id: str) -> ColumnElement[bool]:
    reached = select(assigned.c.tunnel_id).where(
        or_(assigned.c.user_id == user_id, assigned.c.group_id.in_(groups_of(user_id)))
    )
    return table.c.id.in_(reached)


def _assigned_to_group(group_id: str) -> ColumnElement[bool]:
    return table.c.id.in_(select(assigned.c.tunnel_id).where(assigned.c.group_id == group_id))


_ASSIGNED = select(assigned.c.id).where(assigned.c.tunnel_id == table.c.id)


def _opened_with(method: Method) -> ColumnElement[bool]:
    return _ASSIGNED.where(contains(f'"{method}"', assigned.c.methods)).exists()


TUNNELS = Aggregate(
    "tunnel",
    table,
    Tunnel,
    joined={"site_name": sites.c.name},
    source=table.join(sites),
    references={"site_id": ("site", sites)},
    filters={
        "name": equals(table.c.name),
        "q": searches(
            table.c.name, table.c.title, table.c.target_address, table.c.external_address
        ),
        "site_id": equals(table.c.site_id),
        "enabled": equals(table.c.enabled),
        "target_address": equals(table.c.target_address),
        "external_address": equals(table.c.external_address),
        "user_id": _assigned_to,
        "group_id": _assigned_to_group,
        "method": _opened_with,
        "assigned": has(_ASSIGNED),
        "unused_since": tunnel_unused_since,
    },
    sorts={
        "name": table.c.name,
        "target_address": table.c.target_address,
        "external_address": text_of(table.c.external_address),
        "site": sites.c.name,
        "enabled": whether(table.c.enabled),
    },
)

get = TUNNELS.get
find = TUNNELS.find
list_page = TUNNELS.list_page
count = TUNNELS.count
create = TUNNELS.new
update = TUNNELS.update
delete = TUNNELS.delete


def create_assigned(
    transaction: Transaction, given: Iterable[Mapping[str, Any]], **values: Any
) -> Tunnel:
    """Create a tunnel together with its assignments; otherwise as ``create``.

    :param given: what ``assignments.create`` takes beside the tunnel, of each.
    :raise BadDocument: some of them can't be made; ``assignments.0.user_id`` is a field of one.
    """
    made = create(transaction, **values)
    faults = []
    for number, one in enumerate(given):
        try:
            assignments.create(transaction, tunnel_id=made.id, **one)
        except (Conflict, InvalidReference) as error:
            faults.append((f"assignments.{number}.{error.field}", str(error)))
    if faults:
        raise BadDocument(faults)
    return made


def external_addresses(transaction: Transaction) -> list[str]:
    """List the external addresses of all tunnels, in order."""
    column = table.c.external_address
    query = select(column).where(column.is_not(None)).order_by(column)
    return [str(address) for address in transaction.connection.execute(query).scalars()]
