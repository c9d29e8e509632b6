"""Who may open what: a tunnel's assignments, a group's members."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from attrs import frozen

from tunnelcloud.domain import entities
from tunnelcloud.store import assignments, groups, tunnels
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.fields import Body, Page, PageQuery, page_model
from tunnelcloud.web.models.objects import (
    Assignment,
    AssignmentChange,
    AssignmentQuery,
    NewAssignment,
    User,
)
from tunnelcloud.web.resources.collection import (
    expected_version,
    item_of,
    listed,
)
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS, Call, Item, Listed, Route


def assignment_routes(context: ApiContext) -> list[Route]:
    """Make the rows for a tunnel's assignments."""
    handlers = _Assignments(context)
    all_of_them = "/tunnels/{tunnel_id}/assignments"
    one = "/tunnels/{tunnel_id}/assignments/{assignment_id}"
    return [
        Route(
            "GET",
            all_of_them,
            "list_assignments",
            "List who may open a tunnel.",
            READERS,
            handlers.list_all,
            query=AssignmentQuery,
            answer=Page[Assignment],
        ),
        Route(
            "POST",
            all_of_them,
            "create_assignment",
            "Let a user or a group open a tunnel.",
            ADMINS,
            handlers.create,
            body=NewAssignment,
            answer=Assignment,
            status=HTTPStatus.CREATED,
            item=True,
        ),
        Route(
            "GET",
            one,
            "show_assignment",
            "Show an assignment.",
            READERS,
            handlers.show,
            answer=Assignment,
            item=True,
        ),
        Route(
            "PATCH",
            one,
            "change_assignment",
            "Change an assignment's methods or its policy.",
            ADMINS,
            handlers.change,
            body=AssignmentChange,
            answer=Assignment,
            item=True,
        ),
        Route(
            "DELETE",
            one,
            "delete_assignment",
            "Take a tunnel away from a user or a group.",
            ADMINS,
            handlers.delete,
            item=True,
        ),
    ]


def assignment_values(body: Body) -> dict[str, Any]:
    """Give what the store takes of a new assignment, or of a change of one."""
    values = body.given()
    if "methods" in values:
        values["methods"] = frozenset(values["methods"])
    return values


def _get(transaction: Transaction, call: Call) -> entities.Assignment:
    object_id, tunnel_id = call.params["assignment_id"], call.params["tunnel_id"]
    return assignments.get(transaction, object_id, tunnel_id=tunnel_id)


def _version(transaction: Transaction, call: Call) -> str | None:
    found = _get(transaction, call)
    return expected_version(transaction, assignments.get, found.id, call.if_match)


@frozen
class _Assignments:
    context: ApiContext

    async def list_all(self, call: Call) -> Listed:
        filters = call.query_as(AssignmentQuery).filters()

        def work(transaction: Transaction) -> Any:
            tunnel = tunnels.get(transaction, call.params["tunnel_id"])
            return assignments.list_page(transaction, tunnel_id=tunnel.id, **filters)

        page = await self.context.store.read(work)
        return listed(self.context, page, Assignment.model_validate)

    async def create(self, call: Call) -> Item:
        values = assignment_values(call.body_as(NewAssignment))

        def work(transaction: Transaction) -> entities.Assignment:
            tunnel = tunnels.get(transaction, call.params["tunnel_id"])
            return assignments.create(transaction, tunnel_id=tunnel.id, **values)

        made = await self.context.acting(call).write(work)
        return item_of(made, Assignment.model_validate)

    async def show(self, call: Call) -> Item:
        return item_of(await self.context.store.read(_get, call), Assignment.model_validate)

    async def change(self, call: Call) -> Item:
        values = assignment_values(call.body_as(AssignmentChange))
        object_id = call.params["assignment_id"]

        def work(transaction: Transaction) -> entities.Assignment:
            version = _version(transaction, call)
            return assignments.update(transaction, object_id, values, expected_version=version)

        changed = await self.context.acting(call).write(work)
        return item_of(changed, Assignment.model_validate)

    async def delete(self, call: Call) -> None:
        def work(transaction: Transaction) -> None:
            version = _version(transaction, call)
            object_id = call.params["assignment_id"]
            assignments.delete(transaction, object_id, expected_version=version)

        await self.context.acting(call).write(work)


def member_routes(context: ApiContext) -> list[Route]:
    """Make the rows for a group's members."""
    handlers = _Members(context)
    one = "/groups/{group_id}/members/{user_id}"
    return [
        Route(
            "GET",
            "/groups/{group_id}/members",
            "list_members",
            "List the users in a group.",
            READERS,
            handlers.list_all,
            query=PageQuery,
            answer=page_model(User),
        ),
        Route("PUT", one, "add_member", "Put a user into a group.", ADMINS, handlers.add),
        Route(
            "DELETE", one, "remove_member", "Take a user out of a group.", ADMINS, handlers.remove
        ),
    ]


@frozen
class _Members:
    context: ApiContext

    async def list_all(self, call: Call) -> Listed:
        filters = call.query_as(PageQuery).filters()
        group_id = call.params["group_id"]
        page = await self.context.store.read(groups.list_members, group_id, **filters)
        return listed(self.context, page, User.model_validate)

    async def add(self, call: Call) -> None:
        group_id, user_id = call.params["group_id"], call.params["user_id"]
        await self.context.acting(call).write(groups.add_member, group_id, user_id)

    async def remove(self, call: Call) -> None:
        group_id, user_id = call.params["group_id"], call.params["user_id"]
        if not await self.context.acting(call).write(groups.remove_member, group_id, user_id):
            raise NotFound("member", user_id)
