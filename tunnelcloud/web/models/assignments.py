"""Models of assignments."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from tunnelcloud.domain.entities import Method
from tunnelcloud.web.models.fields import Body, Change, Id, Instant, PageQuery, Shown, Text, one_of

Methods = Annotated[list[Annotated[Method, Field(strict=False)]], Field(min_length=1, max_length=2)]


class NewAssignment(Body):
    """Gives a tunnel to a user or a group."""

    model_config = ConfigDict(json_schema_extra=one_of("user_id", "group_id"))

    user_id: Id | None = None
    group_id: Id | None = None
    methods: Methods
    policy_id: Id | None = None

    @model_validator(mode="after")
    def _one_entity(self) -> NewAssignment:
        if (self.user_id is None) == (self.group_id is None):
            raise ValueError("give either a user or a group")
        return self


class Assignment(Shown):
    """Who may open a tunnel, by which methods, under which policy."""

    id: str
    created_at: Instant
    tunnel_id: str
    user_id: str | None
    group_id: str | None
    methods: list[Method]
    policy_id: str | None


class AssignmentQuery(PageQuery):
    """Asks for a tunnel's assignments."""

    user_id: Text | None = None
    group_id: Text | None = None
    policy_id: Text | None = None
    reaches_user_id: Text | None = Field(
        default=None, description="Those of a user, and of the groups the user is in."
    )


class AssignmentChange(Change):
    """Changes the methods or the policy of an assignment."""

    methods: Methods = []
    policy_id: Id | None = None
