"""Settings that administrators change while pods run, such as how long the audit is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from sqlalchemy import delete, insert, select

from tunnelcloud.domain.entities import Settings
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store.column_types import plain
from tunnelcloud.store.errors import Stale
from tunnelcloud.store.object_writes import version_of
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


_GENERAL = "general"


def settings(transaction: Transaction) -> Settings:
    """Give what is set; what a newer version set beside that is left alone."""
    known = {one.name for one in attrs.fields(Settings)}
    found = load(transaction, _GENERAL)
    return Settings(**{name: value for name, value in found.items() if name in known})


def change_settings(
    transaction: Transaction, changes: Mapping[str, Any], *, expected_version: str | None = None
) -> Settings:
    """Change some settings; what is the same already is no change.

    :param expected_version: what ``version_of`` gave for the settings their reader saw.
    :raise Stale: they aren't of the expected version any more.
    """
    before = settings(transaction)
    if expected_version is not None and version_of(before) != expected_version:
        raise Stale("setting", _GENERAL)
    after = attrs.evolve(before, **changes)
    different = {
        name: {"from": getattr(before, name), "to": value}
        for name, value in changes.items()
        if getattr(before, name) != value
    }
    if different:
        keep(transaction, _GENERAL, {**load(transaction, _GENERAL), **attrs.asdict(after)})
        data = {"object_name": _GENERAL, "changes": plain(different)}
        transaction.audit(AuditEvent("settings.changed", data=data))
    return after
