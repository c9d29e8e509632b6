"""What is not well, as pods see it: written down, so that it is told once, by one of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen
from sqlalchemy import delete, insert, select

from tunnelcloud.domain.addresses import source_groups
from tunnelcloud.store import list_counts, pods
from tunnelcloud.store.schema import notices as table
from tunnelcloud.store.schema import sessions, sites, tunnels
from tunnelcloud.store.site_health import Attachments
from tunnelcloud.store.transaction import Transaction

_MOST_SESSIONS = 200
"""How many of a user's last sessions are searched for a network."""


Over = Mapping[str, str]
"""The notice that something is over."""


@frozen
class Synced:
    """What this pod is to tell.

    :ivar begun: keys of what no pod had seen before.
    :ivar over: keys of what no pod sees any more, with since when it was seen, and what is told.
    """

    begun: tuple[str, ...]
    over: Mapping[str, tuple[datetime, Over]]


def sync(
    transaction: Transaction, pod_id: str, present: Mapping[str, Over], *, ending: bool
) -> Synced:
    """Write down what a pod sees now.

    :param present: by key, what is told when it is over.
    :param ending: whether what it doesn't see is over; a pod that has just started doesn't know.
    """
    alive = [one.id for one in pods.alive(transaction)]
    query = select(table).where(table.c.pod_id.in_([*alive, pod_id]))
    mine: dict[str, tuple[datetime, Over]] = {}
    others: set[str] = set()
    for row in transaction.connection.execute(query):
        if row.pod_id == pod_id:
            mine[row.key] = (row.since, row.over)
        else:
            others.add(row.key)
    new = sorted(present.keys() - mine.keys())
    for key in new:
        values = {"pod_id": pod_id, "key": key, "since": transaction.now(), "over": present[key]}
        transaction.connection.execute(insert(table), values)
    gone = sorted(mine.keys() - present.keys()) if ending else []
    for key in gone:
        transaction.connection.execute(
            delete(table).where(table.c.pod_id == pod_id, table.c.key == key)
        )
    return Synced(
        tuple(key for key in new if key not in others),
        {key: mine[key] for key in gone if key not in others},
    )


def sites_down(transaction: Transaction, attachments: Attachments) -> dict[str, str]:
    """Return the names of sites, by id, whose connectors are all gone, without muted ones."""
    query = select(sites.c.id, sites.c.name).where(sites.c.muted.is_(False))
    names = {row.id: row.name for row in transaction.connection.execute(query)}
    joined: set[str] = set()
    attached: set[str] = set()
    for one in list_counts.connectors_of(transaction, list(names)):
        if one.joined_at is not None:
            joined.add(one.site_id)
        if attachments.have(one):
            attached.add(one.site_id)
    return {one: names[one] for one in joined - attached}


def told_sites(transaction: Transaction, ids: frozenset[str]) -> frozenset[str]:
    """Give those of some sites' ids that are there and not muted."""
    query = select(sites.c.id).where(sites.c.id.in_(ids), sites.c.muted.is_(False))
    return frozenset(transaction.connection.execute(query).scalars())


def told_tunnels(transaction: Transaction, ids: frozenset[str]) -> dict[str, str]:
    """Give the names of some tunnels, by id, whose sites aren't muted."""
    query = (
        select(tunnels.c.id, tunnels.c.name)
        .join(sites, sites.c.id == tunnels.c.site_id)
        .where(tunnels.c.id.in_(ids), tunnels.c.enabled.is_(True), sites.c.muted.is_(False))
    )
    return {row.id: row.name for row in transaction.connection.execute(query)}


def is_new_network(transaction: Transaction, user_id: str, session_id: str, source: str) -> bool:
    """Tell whether a user who came before has never come from the network of a source.

    :param session_id: the session that has just begun from there.
    """
    query = (
        select(sessions.c.source_ip)
        .where(sessions.c.user_id == user_id, sessions.c.id < session_id)
        .order_by(sessions.c.id.desc())
        .limit(_MOST_SESSIONS)
    )
    before = {_network(one) for one in transaction.connection.execute(query).scalars()}
    return bool(before) and _network(source) not in before


def _network(source: str) -> str:
    """Give the widest network around a source that one site may have."""
    return source_groups(source)[-1][0]
