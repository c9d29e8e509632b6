"""Identity providers, with the description of each field."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from attrs import field, frozen

from tunnelcloud.domain.kinds import FieldType, Setting
from tunnelcloud.domain.objects.shared import title_setting


class LinkBy(enum.StrEnum):
    """How somebody who comes from an identity provider is recognised as an existing user."""

    NOTHING = "nothing"
    EMAIL = "email"
    NAME = "name"


@frozen
class IdentityProvider:
    """An OpenID provider that vouches for people; its client secret is kept apart.

    :ivar issuer: its identifier, an https URL; its published configuration is below it.
    :ivar name_claim: the claim that names the user; without it a new user is named by the
        first part of their e-mail address.
    :ivar groups_claim: the claim that lists groups; empty for none.
    :ivar group_map: the group here that stands for a value of that claim.
    :ivar create_users: whether somebody unknown becomes a user at their first sign-in.
    :ivar checked_at: when a check last succeeded; None if none has, and the sign-in page doesn't
        offer it.
    :ivar check_fault: what was wrong at the last check; empty if nothing.
    """

    id: str
    name: Annotated[str, Setting(FieldType.NAME, "Name", "Part of the redirect URI, such as corp")]
    title: Annotated[str, title_setting("Shown on the button", "Optional: such as Corp Login")]
    created_at: datetime
    issuer: Annotated[
        str,
        Setting(
            FieldType.URL, "Issuer",
            "Exactly as the provider calls itself, such as "
            "https://login.example.com/realms/corp",
            heading="issuer", fixed=True,
            help="What the provider calls itself, an https URL.", maximum=1000,
            sample="https://login.example.com",
        ),
    ]  # fmt: skip
    client_id: Annotated[
        str,
        Setting(
            FieldType.TEXT, "Client id", heading="client id",
            help="The name of this service at the provider.", minimum=1, maximum=500,
            sample="tunnelcloud",
        ),
    ]  # fmt: skip
    scopes: Annotated[
        tuple[str, ...],
        Setting(
            FieldType.WORDS, "Scopes", option="--scope",
            help="Beside openid; may be repeated.", maximum=20, folded=True,
        ),
    ] = ("openid", "profile", "email")  # fmt: skip
    name_claim: Annotated[
        str,
        Setting(
            FieldType.TEXT, "Claim that names the user",
            help="The claim that names the user.", maximum=200, folded=True,
        ),
    ] = "preferred_username"  # fmt: skip
    groups_claim: Annotated[
        str,
        Setting(
            FieldType.TEXT, "Claim that lists groups", "Optional: such as groups",

            help="The claim that lists groups.", maximum=200,
        ),
    ] = ""  # fmt: skip
    group_map: Annotated[
        Mapping[str, str],
        Setting(
            FieldType.GROUPS_BY_VALUE, "Groups by the claim's value",
            "One a line, as value = group: people with the value in the claim join the group",
            option="--group",
            help="VALUE=GROUP: people with the value join the group; repeats.", maximum=200,
        ),
    ] = field(factory=dict)  # fmt: skip
    create_users: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "Create a user at the first sign-in",
            option="--create-users/--known-users",
            help="Whether somebody's first sign-in creates a user.",
        ),
    ] = False  # fmt: skip
    link_by: Annotated[
        LinkBy,
        Setting(
            FieldType.CHOICE, "Find an existing user by",
            help="How the first sign-in finds an existing user.",
            choices=(
                ("nothing", "Nothing: no existing user is linked"),
                ("email", "The e-mail address, which the provider has verified"),
                ("name", "The name, if people can't choose their name at the provider"),
            ),
        ),
    ] = LinkBy.NOTHING  # fmt: skip
    enabled: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "Enabled: people may sign in with it",
            option="--enabled/--disabled", heading="enabled",
            help="Whether people may sign in with it.",
        ),
    ] = True  # fmt: skip
    has_client_secret: bool = False
    checked_at: datetime | None = None
    check_fault: str = ""
