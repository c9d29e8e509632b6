"""Models of users and groups."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunnelcloud.domain.objects import GROUP, USER
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web.models.fields import Instant, NamedQuery, Order, Text
from tunnelcloud.web.models.object_models import change_model, new_model, shown_model

User = shown_model(USER, "User", "A person or a service account.")
NewUser = new_model(USER, "NewUser", "Makes a user.")
UserChange = change_model(USER, "UserChange", "Changes a user.")


class UserQuery(NamedQuery):
    """Asks for users."""

    sort: Annotated[str, Order("role", "blocked", "groups", "second_factor", "last_seen")] = (
        "created_at"
    )
    name: Text | None = Field(default=None, description="The one with this name or e-mail address.")
    role: Role | None = None
    blocked: bool | None = None
    service: bool | None = None
    group_id: Text | None = Field(default=None, description="The members of a group.")
    second_factor: bool | None = Field(
        default=None, description="Those who sign in with a second factor, or without."
    )
    unused_since: Instant | None = Field(
        default=None,
        description="Those made before this time who haven't begun an SSH session or used the"
        " portal or the API since, as far as past sessions are kept.",
    )


Group = shown_model(GROUP, "Group", "Users that are assigned together.")
NewGroup = new_model(GROUP, "NewGroup", "Makes a group.")
GroupChange = change_model(GROUP, "GroupChange", "Changes a group.")


class GroupQuery(NamedQuery):
    """Asks for groups."""

    sort: Annotated[str, Order("members", "tunnels")] = "created_at"
    user_id: Text | None = Field(default=None, description="Those a user is in.")
    has_members: bool | None = Field(default=None, description="Those with members, or without.")
    assigned: bool | None = Field(
        default=None, description="Those with assigned tunnels, or without."
    )
