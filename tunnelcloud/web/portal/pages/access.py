"""Pages of access: assignments, members of groups, keys, and links to set a password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tunnelcloud.domain.join_tokens import (
    address_warning,
    join_command,
    keep_command,
    parse_join_token,
)
from tunnelcloud.store import users
from tunnelcloud.store.errors import NotFound
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.assignee_fields import People
from tunnelcloud.web.portal.pages.objects import Objects, joining
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS


def access_pages(
    context: ApiContext, operations: Operations, objects: Mapping[str, Objects]
) -> list[PageRoute]:
    """Make the rows of the page table for who may open what."""
    handlers = _Access(context, operations, objects)
    tunnel, group, user = (f"/admin/{kind}s/{{{kind}_id}}" for kind in ("tunnel", "group", "user"))
    connector = "/admin/connectors/{connector_id}"
    return [
        PageRoute("POST", f"{tunnel}/assignments", ADMINS, handlers.assign),
        PageRoute("POST", f"{tunnel}/assignments/{{assignment_id}}", ADMINS, handlers.change),
        PageRoute("GET", f"{tunnel}/check", READERS, handlers.checked),
        PageRoute("POST", f"{tunnel}/check", ADMINS, handlers.check),
        PageRoute("POST", f"{group}/members", ADMINS, handlers.add_member),
        PageRoute("POST", f"{user}/keys", ADMINS, handlers.add_key),
        PageRoute("POST", f"{user}/identities", ADMINS, handlers.link),
        PageRoute("GET", f"{user}/invite", ADMINS, handlers.invited),
        PageRoute("POST", f"{user}/invite", ADMINS, handlers.invite),
        PageRoute("GET", f"{connector}/join", ADMINS, handlers.joins),
        PageRoute("POST", f"{connector}/join", ADMINS, handlers.join),
        PageRoute("GET", f"{connector}/state", READERS, handlers.state, shared=True),
    ]


@frozen
class _Access:
    context: ApiContext
    operations: Operations
    objects: Mapping[str, Objects]

    async def assign(self, visit: Visit) -> Reply:
        path = f"/tunnels/{visit.params['tunnel_id']}"
        people = People(self.context, self.operations)
        body, errors = await people.row(visit, required=True)
        if not errors:
            try:
                await self.operations(visit, "POST", f"{path}/assignments", body)
            except Problem as problem:
                errors = {"who": next(iter(faults(problem).values()))}
        if errors:
            return await self.objects["tunnel"].again(visit, errors)
        return Moved(f"/admin{path}/access", note=f"Assigned to {visit.typed('who').strip()}.")

    async def change(self, visit: Visit) -> Reply:
        path = f"/tunnels/{visit.params['tunnel_id']}"
        one = f"{path}/assignments/{visit.params['assignment_id']}"
        body, errors = await People(self.context, self.operations).terms(visit)
        if not errors:
            try:
                await self.operations(visit, "PATCH", one, body)
            except Problem as problem:
                errors = {"policy": next(iter(faults(problem).values()))}
        if errors:
            return await self.objects["tunnel"].again(visit, errors)
        return Moved(f"/admin{path}/access", note="Saved.")

    async def check(self, visit: Visit) -> Reply:
        path = f"/tunnels/{visit.params['tunnel_id']}"
        await self.operations(visit, "POST", f"{path}/check")
        return Moved(f"/admin{path}/check")

    async def checked(self, visit: Visit) -> Reply:
        path = f"/tunnels/{visit.params['tunnel_id']}"
        check = await self.operations(visit, "GET", f"{path}/check")
        tunnel = await self.operations(visit, "GET", path)
        return Shown("admin_check.html", {"tunnel": tunnel, "check": check})

    async def add_member(self, visit: Visit) -> Reply:
        path = f"/groups/{visit.params['group_id']}"
        name = visit.typed("member").strip()
        try:
            user = await self.context.store.read(users.find, name)
        except NotFound:
            text = f"there is no user {name[:320]}" if name else "name a user"
            return await self.objects["group"].again(visit, {"member": text})
        await self.operations(visit, "PUT", f"{path}/members/{user.id}")
        return Moved(f"/admin{path}", note=f"Added {user.name}.")

    async def add_key(self, visit: Visit) -> Reply:
        path = f"/users/{visit.params['user_id']}"
        body: dict[str, Any] = {
            "public_key": visit.typed("public_key").strip(),
            "title": visit.typed("key_title").strip(),
        }
        try:
            await self.operations(visit, "POST", f"{path}/keys", body)
        except Problem as problem:
            found = faults(problem)
            if "title" in found:
                found["key_title"] = found.pop("title")
            return await self.objects["user"].again(visit, found)
        return Moved(f"/admin{path}/access#keys", note="The key is added.")

    async def link(self, visit: Visit) -> Reply:
        path = f"/users/{visit.params['user_id']}"
        body = {name: visit.typed(name).strip() for name in ("identity_provider_id", "subject")}
        try:
            await self.operations(visit, "POST", f"{path}/identities", body)
        except Problem as problem:
            return await self.objects["user"].again(visit, faults(problem))
        return Moved(f"/admin{path}/settings#identities", note="Linked.")

    async def invite(self, visit: Visit) -> Reply:
        path = f"/users/{visit.params['user_id']}"
        made = await self.operations(visit, "POST", f"{path}/invitations")
        shown = {name: made[name] for name in ("url", "expires_at")}
        return Moved(f"/admin{path}/invite", once={"link": shown})

    async def invited(self, visit: Visit) -> Reply:
        """Show a link that was made, one time."""
        path = f"/users/{visit.params['user_id']}"
        if not visit.once:
            return Moved(f"/admin{path}")
        user = await self.operations(visit, "GET", path)
        return Shown("admin_invited.html", {"invited": user, **visit.once})

    async def join(self, visit: Visit) -> Reply:
        path = f"/connectors/{visit.params['connector_id']}"
        join = await self.operations(visit, "POST", f"{path}/join-token")
        return joining(path, join)

    async def joins(self, visit: Visit) -> Reply:
        """Show how a connector joins, one time."""
        path = f"/connectors/{visit.params['connector_id']}"
        if not visit.once:
            return Moved(f"/admin{path}")
        connector = await self.operations(visit, "GET", path)
        warning = address_warning(parse_join_token(visit.once["join"]["token"]))
        name = connector["name"]
        values = {
            "connector": connector,
            "warning": warning,
            "keep": keep_command(name),
            "start": join_command(name),
            **visit.once,
        }
        return Shown("admin_join.html", values)

    async def state(self, visit: Visit) -> Reply:
        """Tell whether a connector is attached: for the page that waits for it."""
        path = f"/connectors/{visit.params['connector_id']}"
        return Shown("admin_state.html", {"connector": await self.operations(visit, "GET", path)})
