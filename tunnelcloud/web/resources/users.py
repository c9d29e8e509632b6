"""Users and groups."""

from __future__ import annotations

from tunnelcloud.store import groups, users
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.models.users import (
    Group,
    GroupChange,
    GroupQuery,
    NewGroup,
    NewUser,
    User,
    UserChange,
    UserQuery,
)
from tunnelcloud.web.resources.collection import Kind, collection_routes
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import Route

USER = Kind(
    noun="user",
    plural="users",
    shown=User,
    new=NewUser,
    change=UserChange,
    query=UserQuery,
    get=users.get,
    list_page=users.list_page,
    create=users.create,
    update=users.update,
    delete=users.delete,
    show=values_as(User),
)

GROUP = Kind(
    noun="group",
    plural="groups",
    shown=Group,
    new=NewGroup,
    change=GroupChange,
    query=GroupQuery,
    get=groups.get,
    list_page=groups.list_page,
    create=groups.create,
    update=groups.update,
    delete=groups.delete,
    show=values_as(Group),
)


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for users and groups."""
    return [*collection_routes(context, USER), *collection_routes(context, GROUP)]
