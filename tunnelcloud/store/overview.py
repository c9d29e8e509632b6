"""What administrators see first: what is open, the last day, what isn't well, what ends soon."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from attrs import frozen

from tunnelcloud.store import (
    assignments,
    channels,
    connectors,
    read_models,
    sessions,
    sites,
    statistics,
    tunnels,
    users,
)
from tunnelcloud.store.site_health import Attachments, SiteHealth, unwell_sites
from tunnelcloud.store.transaction import Transaction


@frozen
class Overview:
    """What goes on, and what needs somebody.

    :ivar steps: of the first day, and whether each is done; empty once a tunnel carried data.
    """

    open_sessions: int
    open_channels: int
    slots: statistics.Slots
    unwell: list[SiteHealth]
    expiring: list[read_models.Expiring]
    steps: Mapping[str, bool]


def read_overview(
    transaction: Transaction,
    attachments: Attachments,
    certificates: Mapping[str, datetime],
    soon: timedelta,
) -> Overview:
    """Read the overview.

    :param certificates: as in ``read_models.expiring``.
    :param soon: what ends within this time is listed.
    """
    return Overview(
        sessions.count(transaction, live=True),
        channels.count(transaction, live=True),
        statistics.last_slots(transaction),
        unwell_sites(transaction, attachments),
        read_models.expiring(transaction, transaction.now() + soon, certificates),
        {} if read_models.has_carried(transaction) else _first_steps(transaction),
    )


def _first_steps(transaction: Transaction) -> Mapping[str, bool]:
    return {
        "site": sites.count(transaction) > 0,
        "connector": connectors.count(transaction, joined=True) > 0,
        "tunnel": tunnels.count(transaction) > 0,
        "user": users.count(transaction) > 1,
        "assignment": assignments.count(transaction) > 0,
        "carried": False,
    }
