"""The page of keys, assignments and users that nobody has used for long."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from tunnelcloud.store.unused_objects import MOST, unused_for
from tunnelcloud.web.portal.list_filters import UNUSED
from tunnelcloud.web.portal.page_requests import PageRoute, Reply, Shown, Visit
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS


def unused_pages(context: ApiContext) -> list[PageRoute]:
    """Make the row of the page table for unused objects."""
    return [PageRoute("GET", "/admin/unused", READERS, _Unused(context).show)]


@frozen
class _Unused:
    context: ApiContext

    async def show(self, visit: Visit) -> Reply:
        found = await self.context.store.read_long(unused_for, UNUSED)
        values = {
            "users": [_shown(row) for row in found.users],
            "keys": [_shown(row) for row in found.keys],
            "assignments": [_shown(row) for row in found.assignments],
            "days": UNUSED.days,
            "kept_days": found.kept_days,
            "most": MOST,
        }
        return Shown("admin_unused.html", values)


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }
