"""Users and groups, with the description of each field."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

from attrs import frozen

from tunnelcloud.domain.kinds import FieldType, Setting
from tunnelcloud.domain.objects.shared import Name, title_setting


class Role(enum.StrEnum):
    """The rights of a web session or an API token."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    USER = "user"


@frozen
class User:
    """A person or a service account.  ``name`` and ``email`` share one namespace."""

    id: str
    name: Annotated[str, Setting(FieldType.USER_NAME, "Name", "The login name, such as alice")]
    title: Annotated[str, title_setting("Full name", "")]
    created_at: datetime
    email: Annotated[
        str | None,
        Setting(
            FieldType.EMAIL, "E-mail", "Optional; also a login name",
            help="Also a login name.", heading="email",
        ),
    ] = None  # fmt: skip
    role: Annotated[
        Role,
        Setting(
            FieldType.CHOICE, "Role",
            help="What the user may do in the portal.", heading="role",
            choices=tuple((str(role), str(role)) for role in Role),
        ),
    ] = Role.USER  # fmt: skip
    service: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "A service account: keys and tokens, but no password",
            option="--service/--person", help="Whether it is a service account.",
            heading="service", spare=True,
        ),
    ] = False  # fmt: skip
    blocked: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "Blocked", option=None, heading="blocked", spare=True, in_form=False
        ),
    ] = False


@frozen
class Group:
    """Users that are assigned together."""

    id: str
    name: Name
    title: Annotated[str, title_setting(heading="title", spare=True)]
    created_at: datetime
