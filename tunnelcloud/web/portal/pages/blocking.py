"""A user is shut out, which asks once and says what that cuts off, or let in again."""

from __future__ import annotations

from attrs import frozen

from tunnelcloud.store import consequences
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Visit
from tunnelcloud.web.portal.pages.deletion import asked
from tunnelcloud.web.portal.sentences import cut_sentence
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS


def blocking_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for blocking and unblocking users."""
    handlers = _Blocking(context, operations)
    one = "/admin/users/{user_id}"
    return [
        PageRoute("GET", f"{one}/block", ADMINS, handlers.ask),
        PageRoute("POST", f"{one}/block", ADMINS, handlers.block),
        PageRoute("POST", f"{one}/unblock", ADMINS, handlers.unblock),
    ]


@frozen
class _Blocking:
    context: ApiContext
    operations: Operations

    async def ask(self, visit: Visit) -> Reply:
        user = await self.operations(visit, "GET", f"/users/{visit.params['user_id']}")
        cost = await self.context.store.read(consequences.of_deleting, "user", user["id"])
        texts = [
            cut_sentence("user", cost),
            "They can't sign in and open nothing until they are unblocked; what they have is kept.",
        ]
        name = user["name"]
        return asked(f"Block {name}?", texts, f"Block {name}", f"/admin/users/{user['id']}")

    async def block(self, visit: Visit) -> Reply:
        return await self._set(visit, blocked=True)

    async def unblock(self, visit: Visit) -> Reply:
        return await self._set(visit, blocked=False)

    async def _set(self, visit: Visit, *, blocked: bool) -> Reply:
        path = f"/users/{visit.params['user_id']}"
        user = await self.operations(visit, "PATCH", path, {"blocked": blocked})
        note = f"{user['name']} is {'blocked' if blocked else 'unblocked'}."
        return Moved(f"/admin{path}", note=note)
