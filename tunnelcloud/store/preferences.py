"""Settings that administrators change while pods run, such as how long the audit is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from tunnelcloud.store.schema import settings as table
from tunnelcloud.store.transaction import Transaction


def load(transaction: Transaction, name: str) -> Mapping[str, Any]:
    """Give what is set under a name; empty when nothing is."""
    found = transaction.connection.execute(select(table.c.value).where(table.c.name == name))
    return found.scalar() or {}


def keep(transaction: Transaction, name: str, value: Mapping[str, Any]) -> None:
    """Set what stands under a name."""
    transaction.connection.execute(delete(table).where(table.c.name == name))
    transaction.connection.execute(insert(table), {"name": name, "value": value})
    transaction.changed("setting", name)
