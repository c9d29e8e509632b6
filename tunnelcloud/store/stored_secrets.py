"""The secrets that all pods share: the CA and the SSH host keys, as named blobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import select, update

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store.bulk_statements import insert_unless_there
from tunnelcloud.store.schema import authority as table
from tunnelcloud.store.transaction import Transaction

SHARED_KEYS = "shared_key"
"""The kind of object whose changes all pods hear of."""

Rename = Callable[[bytes, str, str], bytes]
"""Seals a stored secret again for another name: content, name, other name."""


def load(transaction: Transaction, name: str) -> bytes | None:
    """Return the content stored under a name; None if there is none."""
    query = select(table.c.content).where(table.c.name == name)
    found: bytes | None = transaction.connection.execute(query).scalar()
    return found


def load_all(transaction: Transaction) -> dict[str, bytes]:
    """Give all that is kept, by name."""
    rows = transaction.connection.execute(select(table.c.name, table.c.content))
    return {row.name: row.content for row in rows}


def lock_all(transaction: Transaction) -> dict[str, bytes]:
    """Give all that is kept, by name, locked against other changes."""
    query = select(table.c.name, table.c.content).order_by(table.c.name).with_for_update()
    return {row.name: row.content for row in transaction.connection.execute(query)}


def keep_first(transaction: Transaction, name: str, content: bytes) -> bytes:
    """Store a blob unless the name has one: if pods start together, the first one's counts.

    :return: the stored blob.
    """
    row = {"name": name, "content": content, "created_at": transaction.now()}
    insert_unless_there(transaction.connection, table, row)
    found = load(transaction, name)
    assert found is not None
    return found


def tell(transaction: Transaction, event: str, data: Mapping[str, object]) -> None:
    """Audit a change of what pods share, and tell all pods to read it again."""
    transaction.audit(AuditEvent(event, data=data))
    transaction.changed(SHARED_KEYS, "all", decides=False)


def replace(transaction: Transaction, name: str, content: bytes) -> None:
    """Keep another blob under a name that has one."""
    transaction.connection.execute(
        update(table).where(table.c.name == name).values(content=content)
    )
