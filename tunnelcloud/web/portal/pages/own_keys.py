"""One's own SSH keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from attrs import frozen

from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.forms import expiry, with_faults_of_days
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY


def key_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for one's own keys."""
    handlers = _Keys(context, operations)
    return [
        PageRoute("GET", "/keys", EVERYBODY, handlers.keys),
        PageRoute("POST", "/keys", EVERYBODY, handlers.add_key),
    ]


@frozen
class _Keys:
    context: ApiContext
    operations: Operations

    async def keys(self, visit: Visit) -> Reply:
        return await self._keys(visit, {})

    async def _keys(self, visit: Visit, errors: Mapping[str, str]) -> Shown:
        typed = {name: visit.typed(name) for name in ("public_key", "title", "expires_at")}
        now = self.context.now()
        keys = [
            {
                **key,
                "expired": key["expires_at"] and datetime.fromisoformat(key["expires_at"]) < now,
            }
            for key in await self.operations.every(visit, "/me/keys")
        ]
        values: dict[str, Any] = {
            "keys": keys,
            "errors": errors,
            "typed": typed,
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("keys.html", values, status)

    async def add_key(self, visit: Visit) -> Reply:
        body = {
            "public_key": visit.typed("public_key"),
            "title": visit.typed("title"),
            "expires_at": expiry(visit.typed("expires_at")),
        }
        try:
            await self.operations(visit, "POST", "/me/keys", body)
        except Problem as problem:
            found = with_faults_of_days(faults(problem), visit)
            if not visit.typed("public_key").strip():
                found["public_key"] = "paste a public key"
            return await self._keys(visit, found)
        return Moved("/keys", note="The key is added.")
