"""Policies, with the description of each condition."""

from __future__ import annotations

import enum
import ipaddress
from datetime import datetime
from functools import cached_property
from typing import Annotated

from attrs import frozen

from tunnelcloud.domain.kinds import FieldType, Setting
from tunnelcloud.domain.objects.shared import Name, title_setting
from tunnelcloud.domain.schedule import Window


class Approval(enum.StrEnum):
    """Who has to allow a channel, beside what an assignment allows."""

    NONE = "none"
    SELF = "self"
    OTHERS = "others"


_OF_ONE_USER = "Of one user; empty: no limit"
_YEAR = 31_622_400
_DAY = 86_400


def _most(label: str, text: str, maximum: int, hint: str = "") -> Setting:
    return Setting(FieldType.NUMBER, label, hint, help=text, minimum=1, maximum=maximum)


@frozen
class Policy:
    """Conditions that must all hold; an empty one holds always."""

    id: str
    name: Name
    title: Annotated[str, title_setting()]
    created_at: datetime
    source_networks: Annotated[
        tuple[str, ...],
        Setting(
            FieldType.NETWORKS, "From these networks only",
            "One a line, such as 10.0.0.0/8; none for anywhere",
            option="--source", help="A network such as 10.0.0.0/8; repeats.",
            heading="sources", maximum=256, sample=("10.0.0.0/8",),
        ),
    ] = ()  # fmt: skip
    windows: Annotated[
        tuple[Window, ...],
        Setting(
            FieldType.WINDOWS, "In these hours only",
            "One a line, such as Mon-Fri 09:00-18:00 Europe/Paris; none for always",
            option="--window", help="'Mon-Fri 09:00-18:00 Europe/Paris'; repeats.",
            heading="windows", maximum=64,
        ),
    ] = ()  # fmt: skip
    valid_from: Annotated[
        datetime | None,
        Setting(
            FieldType.MOMENT, "From (UTC)",
            option="--from", help="Not before; a date is its 00:00.",
            heading="from", spare=True,
        ),
    ] = None  # fmt: skip
    valid_until: Annotated[
        datetime | None,
        Setting(
            FieldType.MOMENT, "Until (UTC)",
            option="--until", help="Not after; a date is its 00:00.",
            heading="until", spare=True,
        ),
    ] = None  # fmt: skip
    max_session_seconds: Annotated[
        int | None,
        Setting(
            FieldType.SECONDS, "Longest session", "Such as 8h or 7d; empty: no limit",
            option="--max-session", help="Such as 8h.", heading="max session", spare=True,
            minimum=1, maximum=_YEAR,
        ),
    ] = None  # fmt: skip
    idle_seconds: Annotated[
        int | None,
        Setting(
            FieldType.SECONDS, "End a channel that is idle for", "Such as 15m; empty: no limit",
            option="--idle", help="Ends a channel without traffic.", heading="idle", spare=True,
            minimum=1, maximum=_YEAR,
        ),
    ] = None  # fmt: skip
    max_channels: Annotated[
        int | None,
        _most("Most channels at once", "Channels at once, of one user.", 1_000_000, _OF_ONE_USER),
    ] = None
    max_sessions: Annotated[
        int | None,
        _most("Most sessions at once", "Sessions at once, of one user.", 1_000_000, _OF_ONE_USER),
    ] = None
    max_token_sessions: Annotated[
        int | None,
        _most("Most sessions of a token (1 to 8)", "Sessions that one token may open.", 8),
    ] = None
    approval: Annotated[
        Approval,
        Setting(
            FieldType.CHOICE, "Approval",
            "A connection waits, without an answer, until it is approved",
            help="Who has to approve a connection: nobody, the user in the portal, or others.",
            choices=(
                ("none", "none"),
                ("self", "by the user, in the portal"),
                ("others", "by others"),
            ),
        ),
    ] = Approval.NONE  # fmt: skip
    approvers_id: Annotated[
        str | None,
        Setting(
            FieldType.REFERENCE, "Approvers", "The group whose members approve for others",
            help="The group whose members approve for others.", reference="group",
        ),
    ] = None  # fmt: skip
    approval_seconds: Annotated[
        int,
        Setting(
            FieldType.SECONDS, "Length of an approval", "Such as 1h or 8h",
            option="--approval-lasts", help="How long an approval lasts, such as 8h.",
            minimum=60, maximum=_YEAR, folded=True,
        ),
    ] = 3600  # fmt: skip
    approval_wait_seconds: Annotated[
        int,
        Setting(
            FieldType.SECONDS, "Longest wait for an approval", "Such as 60s; then it is refused",
            option="--approval-wait", help="How long a connection waits for it, such as 60s.",
            minimum=1, maximum=3600, folded=True,
        ),
    ] = 60  # fmt: skip
    emergency_seconds: Annotated[
        int | None,
        Setting(
            FieldType.SECONDS, "In an emergency, users may open it without approval for",
            "Such as 1h; they give a reason, and somebody reviews it later. Empty: never",
            option="--emergency",
            help="How long users may open it in an emergency without approval, such as 1h.",
            minimum=60, maximum=_DAY, folded=True,
        ),
    ] = None  # fmt: skip

    @cached_property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Give ``source_networks`` as networks."""
        return tuple(map(ipaddress.ip_network, self.source_networks))
