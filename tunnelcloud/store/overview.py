"""Reads the administrators' overview: what needs attention, what is open, and recent activity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from tunnelcloud.domain.approvals import RequestStatus, TimedGrant
from tunnelcloud.domain.event_sentences import groups_in
from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.store import (
    approvals,
    assignments,
    audit,
    channels,
    connectors,
    list_counts,
    sessions,
    sites,
    statistics,
    timed_grants,
    tunnels,
    user_views,
    users,
)
from tunnelcloud.store.site_health import Attachments, SiteHealth, unwell_sites
from tunnelcloud.store.transaction import Transaction

_MOST_FAILING = 20
_LOOKED_AT = 60
_MOST_RECENT = 8
_NOISE = ("channel.opened", "channel.closed", "session.ended", "connector.renewed")
"""Events of every connection: they would leave no room for what people do."""


@frozen
class Live:
    """What the running pod knows, and no table does.

    :ivar failing: what was wrong with targets whose last check failed, by their tunnels' ids.
    :ivar certificates: as in ``read_models.expiring``.
    """

    attachments: Attachments
    failing: Mapping[str, str]
    certificates: Mapping[str, datetime]


@frozen
class Overview:
    """What goes on, and what needs somebody.

    :ivar failing: tunnels whose target fails: their ids, names, and why.
    :ivar waiting: how many requests wait for an answer.
    :ivar unreviewed: emergencies that nobody has reviewed.
    :ivar recent: the latest events, without those of every connection.
    :ivar groups: names of the groups in them, by their ids.
    :ivar steps: of the first day, and whether each is done; empty once a tunnel carried data.
    """

    open_sessions: int
    open_channels: int
    slots: statistics.Slots
    unwell: list[SiteHealth]
    failing: list[tuple[str, str, str]]
    expiring: list[list_counts.Expiring]
    waiting: int
    unreviewed: Sequence[TimedGrant]
    recent: list[AuditRecord]
    groups: Mapping[str, str]
    steps: Mapping[str, bool]


def read_overview(
    transaction: Transaction, live: Live, soon: timedelta, count: int, seconds: int
) -> Overview:
    """Read the overview.

    :param soon: what ends within this time is listed.
    :param count: of the slots of time to show.
    :param seconds: the length of each.
    """
    names = user_views.names_of(transaction, "tunnel", list(live.failing)[:_MOST_FAILING])
    recent = [
        record
        for record in audit.list_page(transaction, limit=_LOOKED_AT).items
        if record.event.event not in _NOISE
    ][:_MOST_RECENT]
    return Overview(
        sessions.count(transaction, live=True),
        channels.count(transaction, live=True),
        statistics.last_slots(transaction, count, seconds),
        unwell_sites(transaction, live.attachments),
        [(one, name, live.failing[one]) for one, name in sorted(names.items(), key=_by_name)],
        list_counts.expiring(transaction, transaction.now() + soon, live.certificates),
        _waiting(transaction),
        timed_grants.list_page(transaction, unreviewed=True, limit=_MOST_FAILING).items,
        recent,
        user_views.names_of(transaction, "group", groups_in(one.event for one in recent)),
        {} if list_counts.has_carried(transaction) else _first_steps(transaction),
    )


def _by_name(item: tuple[str, str]) -> str:
    return item[1]


def _waiting(transaction: Transaction) -> int:
    page = approvals.list_requests(transaction, status=RequestStatus.PENDING, limit=_LOOKED_AT)
    return sum(one.status is RequestStatus.PENDING for one in page.items)


def _first_steps(transaction: Transaction) -> Mapping[str, bool]:
    return {
        "site": sites.count(transaction) > 0,
        "connector": connectors.count(transaction, joined=True) > 0,
        "tunnel": tunnels.count(transaction) > 0,
        "user": users.count(transaction) > 1,
        "assignment": assignments.count(transaction) > 0,
        "carried": False,
    }
