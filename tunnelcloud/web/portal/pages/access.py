"""Who may open what: assignments of a tunnel, members of a group, links that let people in."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from attrs import frozen

from tunnelcloud.web.portal.operations import Operations, faults
from tunnelcloud.web.portal.pages.objects import choices_of
from tunnelcloud.web.portal.visits import Moved, Page, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.routes import ADMINS, READERS


def access_pages(operations: Operations) -> list[Page]:
    """Make the rows of the page table for who may open what."""
    handlers = _Access(operations)
    tunnel = "/admin/tunnels/{tunnel_id}/assignments"
    group = "/admin/groups/{group_id}/members"
    return [
        Page("GET", tunnel, READERS, handlers.assignments),
        Page("POST", tunnel, ADMINS, handlers.assign),
        Page("POST", f"{tunnel}/{{assignment_id}}/delete", ADMINS, handlers.unassign),
        Page("GET", group, READERS, handlers.members),
        Page("POST", group, ADMINS, handlers.add_member),
        Page("POST", f"{group}/{{user_id}}/remove", ADMINS, handlers.remove_member),
        Page("POST", "/admin/users/{user_id}/invite", ADMINS, handlers.invite),
        Page("POST", "/admin/connectors/{connector_id}/join", ADMINS, handlers.join),
    ]


@frozen
class _Access:
    operations: Operations

    async def assignments(self, visit: Visit) -> Reply:
        return await self._assignments(visit, {})

    async def _assignments(self, visit: Visit, errors: Mapping[str, str]) -> Shown:
        path = f"/tunnels/{visit.params['tunnel_id']}"
        users = await choices_of(self.operations, visit, "users")
        groups = await choices_of(self.operations, visit, "groups")
        policies = await choices_of(self.operations, visit, "policies")
        values = {
            "tunnel": await self.operations(visit, "GET", path),
            "assignments": await self.operations.every(visit, f"{path}/assignments"),
            "users": users,
            "groups": groups,
            "policies": policies,
            "names": dict([*users, *groups, *policies]),
            "who": visit.typed("who"),
            "policy": visit.typed("policy_id"),
            "methods": visit.form.get("methods", ("token", "key")),
            "errors": errors,
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("admin_assignments.html", values, status)

    async def assign(self, visit: Visit) -> Reply:
        who = visit.typed("who")
        body = {
            "group_id" if who.startswith("grp_") else "user_id": who or None,
            "methods": list(visit.form.get("methods", ())),
            "policy_id": visit.typed("policy_id") or None,
        }
        path = f"/tunnels/{visit.params['tunnel_id']}/assignments"
        try:
            await self.operations(visit, "POST", path, body)
        except Problem as problem:
            return await self._assignments(visit, faults(problem))
        return Moved(f"/admin{path}")

    async def unassign(self, visit: Visit) -> Reply:
        path = f"/tunnels/{visit.params['tunnel_id']}/assignments"
        await self.operations(visit, "DELETE", f"{path}/{visit.params['assignment_id']}")
        return Moved(f"/admin{path}")

    async def members(self, visit: Visit) -> Reply:
        path = f"/groups/{visit.params['group_id']}"
        members = await self.operations.every(visit, f"{path}/members")
        inside = {member["id"] for member in members}
        everybody = await choices_of(self.operations, visit, "users")
        values = {
            "group": await self.operations(visit, "GET", path),
            "members": members,
            "others": [choice for choice in everybody if choice[0] not in inside],
        }
        return Shown("admin_members.html", values)

    async def add_member(self, visit: Visit) -> Reply:
        path = f"/groups/{visit.params['group_id']}/members"
        await self.operations(visit, "PUT", f"{path}/{visit.typed('user_id') or '-'}")
        return Moved(f"/admin{path}")

    async def remove_member(self, visit: Visit) -> Reply:
        path = f"/groups/{visit.params['group_id']}/members"
        await self.operations(visit, "DELETE", f"{path}/{visit.params['user_id']}")
        return Moved(f"/admin{path}")

    async def invite(self, visit: Visit) -> Reply:
        path = f"/users/{visit.params['user_id']}"
        user = await self.operations(visit, "GET", path)
        made = await self.operations(visit, "POST", f"{path}/invitations")
        values = {"invited": user["name"], "link": made, "location": f"/admin{path}"}
        return Shown("admin_invited.html", values)

    async def join(self, visit: Visit) -> Reply:
        path = f"/connectors/{visit.params['connector_id']}"
        connector = await self.operations(visit, "GET", path)
        join = await self.operations(visit, "POST", f"{path}/join-token")
        values = {"join": join, "name": connector["name"], "location": f"/admin{path}"}
        return Shown("admin_join.html", values)
