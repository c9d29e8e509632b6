"""Operations on a tunnel's assignments and a group's members."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from tunnelcloud.domain import entities
from tunnelcloud.store import assignments, groups, tunnels
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.assignments import (
    Assignment,
    AssignmentChange,
    AssignmentQuery,
    NewAssignment,
)
from tunnelcloud.web.models.fields import PageQuery, page_model
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.models.users import User
from tunnelcloud.web.resources.collection import Kind, collection_routes, listed
from tunnelcloud.web.resources.context import ApiContext, owned_by
from tunnelcloud.web.routes import ADMINS, READERS, Call, Listed, Route, operation, rows_of


def _list_page(
    transaction: Transaction, *, tunnel_id: str, **filters: Any
) -> ListPage[entities.Assignment]:
    tunnels.get(transaction, tunnel_id)
    return assignments.list_page(transaction, tunnel_id=tunnel_id, **filters)


def _create(transaction: Transaction, *, tunnel_id: str, **values: Any) -> entities.Assignment:
    tunnels.get(transaction, tunnel_id)
    return assignments.create(transaction, tunnel_id=tunnel_id, **values)


def _update(
    transaction: Transaction,
    assignment_id: str,
    changes: dict[str, Any],
    *,
    expected_version: str | None,
) -> entities.Assignment:
    if "methods" in changes:
        changes = {**changes, "methods": frozenset(changes["methods"])}
    return assignments.update(
        transaction, assignment_id, changes, expected_version=expected_version
    )


ASSIGNMENT = Kind(
    noun="assignment",
    plural="assignments",
    shown=Assignment,
    new=NewAssignment,
    change=AssignmentChange,
    query=AssignmentQuery,
    get=assignments.get,
    list_page=_list_page,
    create=_create,
    update=_update,
    delete=assignments.delete,
    show=values_as(Assignment),
    texts={
        "list": "List who may open a tunnel.",
        "create": "Let a user or a group open a tunnel.",
        "show": "Show an assignment.",
        "change": "Change an assignment's methods or its policy.",
        "delete": "Remove an assignment of a user or a group.",
    },
)


_MEMBER = "/groups/{group_id}/members/{user_id}"


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for a tunnel's assignments and a group's members."""
    return [
        *collection_routes(context, ASSIGNMENT, owned_by("tunnel", "a tunnel's")),
        *rows_of(_Members(context)),
    ]


@frozen
class _Members:
    context: ApiContext

    @operation(
        "GET", "/groups/{group_id}/members", READERS, query=PageQuery, answer=page_model(User)
    )
    async def list_members(self, call: Call) -> Listed:
        """List the users in a group."""
        filters = call.query_as(PageQuery).filters()
        group_id = call.params["group_id"]
        page = await self.context.store.read(groups.list_members, group_id, **filters)
        return listed(self.context, page, values_as(User))

    @operation("PUT", _MEMBER, ADMINS)
    async def add_member(self, call: Call) -> None:
        """Add a user to a group."""
        group_id, user_id = call.params["group_id"], call.params["user_id"]
        await self.context.acting(call).write(groups.add_member, group_id, user_id)

    @operation("DELETE", _MEMBER, ADMINS)
    async def remove_member(self, call: Call) -> None:
        """Remove a user from a group."""
        group_id, user_id = call.params["group_id"], call.params["user_id"]
        if not await self.context.acting(call).write(groups.remove_member, group_id, user_id):
            raise NotFound("member", user_id)
