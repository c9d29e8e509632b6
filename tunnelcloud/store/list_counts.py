"""Reads the counts that lists of objects show, for the objects of one page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import Column, ColumnElement, false, func, not_, null, select

from tunnelcloud.domain.entities import Channel
from tunnelcloud.domain.objects.sites import Connector
from tunnelcloud.store import schema
from tunnelcloud.store.channels import CHANNELS
from tunnelcloud.store.connectors import CONNECTORS
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.user_views import names_of

Counts = Mapping[str, int]
"""Counts by the id of what they are of; where there is none, none is there."""

_MOST_EXPIRING = 20
_LATEST = 1000
"""How many of the audit's latest events are counted by their kind."""


def count_by(
    transaction: Transaction,
    column: Column[Any],
    ids: Collection[str],
    *conditions: ColumnElement[bool],
) -> Counts:
    """Count the rows that refer to each of some objects."""
    query = select(column, func.count()).where(column.in_(ids), *conditions).group_by(column)
    return {row[0]: row[1] for row in transaction.connection.execute(query)}


@frozen
class TunnelCounts:
    """How many users and groups each tunnel is assigned to, and its open channels."""

    users: Counts
    groups: Counts
    open: Counts


def of_tunnels(transaction: Transaction, ids: Collection[str]) -> TunnelCounts:
    """Count what lists of tunnels show."""
    one = schema.assignments.c
    return TunnelCounts(
        count_by(transaction, one.tunnel_id, ids, one.user_id.is_not(None)),
        count_by(transaction, one.tunnel_id, ids, one.group_id.is_not(None)),
        count_by(
            transaction, schema.channels.c.tunnel_id, ids, schema.channels.c.closed_at.is_(None)
        ),
    )


def connectors_of(transaction: Transaction, site_ids: Collection[str]) -> list[Connector]:
    """List the connectors of some sites."""
    query = CONNECTORS.select().where(schema.connectors.c.site_id.in_(site_ids))
    return [CONNECTORS.make(row) for row in transaction.connection.execute(query)]


def open_channels(transaction: Transaction, session_ids: Collection[str]) -> list[Channel]:
    """List the open channels of some sessions, the oldest first."""
    one = schema.channels.c
    query = CHANNELS.select().where(one.session_id.in_(session_ids), one.closed_at.is_(None))
    rows = transaction.connection.execute(query.order_by(one.id))
    return [CHANNELS.make(row) for row in rows]


def open_channels_with_names(
    transaction: Transaction, session_ids: Collection[str], connector_ids: Collection[str]
) -> tuple[list[Channel], dict[str, str]]:
    """List the open channels of some sessions, and name their tunnels and some connectors by id."""
    opened = open_channels(transaction, session_ids)
    names = names_of(transaction, "tunnel", {one.tunnel_id for one in opened})
    return opened, names | names_of(transaction, "connector", connector_ids)


@frozen
class Names:
    """The names of the objects in a session or a channel; None if there is none, or it is gone."""

    user: str
    tunnel: str | None
    connector: str | None = None


def names_of_sessions(transaction: Transaction, ids: Collection[str]) -> dict[str, Names]:
    """Name who sessions are of, and the tunnel that each is narrowed to, by the sessions' ids."""
    one, tunnel = schema.sessions.c, schema.tunnels.c
    query = (
        select(one.id, one.user_name, tunnel.name)
        .outerjoin(schema.tunnels, tunnel.id == one.tunnel_id)
        .where(one.id.in_(ids))
    )
    return {row[0]: Names(row[1], row[2]) for row in transaction.connection.execute(query)}


def names_of_channels(
    transaction: Transaction, ids: Collection[str], through: Mapping[str, str]
) -> dict[str, Names]:
    """Name who channels are of, where they lead and by which connector, by the channels' ids.

    :param through: the ids of connectors that aren't written down yet, by the channels'.
    """
    one, connectors = schema.channels.c, schema.connectors.c
    query = select(one.id, one.user_name, one.tunnel_name, one.connector_id).where(one.id.in_(ids))
    rows = transaction.connection.execute(query).all()
    by = {row[0]: through.get(row[0], row[3]) for row in rows}
    wanted = select(connectors.id, connectors.name).where(connectors.id.in_(set(by.values())))
    names = {row[0]: row[1] for row in transaction.connection.execute(wanted)}
    return {row[0]: Names(row[1], row[2], names.get(by[row[0]])) for row in rows}


def tunnels_of_sites(transaction: Transaction, ids: Collection[str]) -> Counts:
    """Count the tunnels of some sites."""
    return count_by(transaction, schema.tunnels.c.site_id, ids)


def sites_without(
    transaction: Transaction,
    here: Collection[str],
    lost: Collection[str],
    seen_since: datetime,
    at_most: int,
) -> list[str]:
    """List sites with a connector that may not be attached, or with tunnels and no connector.

    :param here: connectors that are attached.
    :param lost: some that were just lost, whatever the store says.
    :param seen_since: who else was seen since then is attached, too.
    """
    one = schema.connectors.c
    seen = func.coalesce(one.last_seen_at > seen_since, false())
    there = one.id.in_(here) | (seen & one.id.not_in(lost))
    detached = select(one.site_id).where(not_(there))
    have = select(one.site_id)
    needed = select(schema.tunnels.c.site_id)
    sites = schema.sites.c
    query = select(sites.id).where(
        sites.id.in_(detached) | (sites.id.in_(needed) & sites.id.not_in(have))
    )
    return list(transaction.connection.execute(query.order_by(sites.name).limit(at_most)).scalars())


def of_groups(transaction: Transaction, ids: Collection[str]) -> tuple[Counts, Counts]:
    """Count the members of some groups, and the tunnels that are assigned to them."""
    return (
        count_by(transaction, schema.group_members.c.group_id, ids),
        count_by(transaction, schema.assignments.c.group_id, ids),
    )


def of_policies(transaction: Transaction, ids: Collection[str]) -> Counts:
    """Count the assignments that some policies narrow."""
    return count_by(transaction, schema.assignments.c.policy_id, ids)


def providers_of(transaction: Transaction, user_ids: Collection[str]) -> dict[str, list[str]]:
    """Name the identity providers that vouch for some users, by the users' ids."""
    one, provider = schema.identities.c, schema.identity_providers.c
    query = (
        select(one.user_id, provider.name)
        .join(schema.identity_providers, provider.id == one.provider_id)
        .where(one.user_id.in_(user_ids))
        .order_by(provider.name)
    )
    found: dict[str, list[str]] = {}
    for user_id, name in transaction.connection.execute(query):
        found.setdefault(user_id, []).append(name)
    return found


def has_carried(transaction: Transaction) -> bool:
    """Tell whether any tunnel has carried data."""
    one = schema.channels.c
    query = select(one.id).where(one.bytes_to_target + one.bytes_from_target > 0).limit(1)
    return transaction.connection.execute(query).first() is not None


@frozen
class Expiring:
    """Something that ends soon.

    :ivar kind: ``connector``, ``key``, ``api_token``, ``policy`` or ``tunnel``.
    :ivar owner_id: of its user; None without one.
    """

    kind: str
    id: str
    name: str
    owner_id: str | None
    at: datetime


def expiring(
    transaction: Transaction,
    until: datetime,
    certificates: Mapping[str, datetime],
) -> list[Expiring]:
    """List what ends between now and a time, the soonest first.

    :param certificates: when those of targets end, which no table knows, by their tunnels' ids.
    """
    keys, tokens = schema.keys.c, schema.api_tokens.c
    connectors, policies = schema.connectors.c, schema.policies.c
    found = []
    for kind, identity, name, owner, at in (
        ("connector", connectors.id, connectors.name, null(), connectors.certificate_expires_at),
        ("key", keys.id, keys.title, keys.user_id, keys.expires_at),
        ("api_token", tokens.id, tokens.title, tokens.user_id, tokens.expires_at),
        ("policy", policies.id, policies.name, null(), policies.valid_until),
    ):
        query = select(identity, name, owner, at).where(at > transaction.now(), at <= until)
        rows = transaction.connection.execute(query.order_by(at).limit(_MOST_EXPIRING))
        found += [Expiring(kind, *row) for row in rows]
    soonest = sorted(certificates.items(), key=lambda one: one[1])
    ending = dict([one for one in soonest if transaction.now() < one[1] <= until][:_MOST_EXPIRING])
    names = names_of(transaction, "tunnel", ending)
    found += [Expiring("tunnel", one, name, None, ending[one]) for one, name in names.items()]
    return sorted(found, key=lambda one: one.at)[:_MOST_EXPIRING]


def latest_events(transaction: Transaction) -> list[tuple[str, int]]:
    """Count the kinds of events among the latest, the most frequent first."""
    one = schema.audit.c
    latest = select(one.event).order_by(one.id.desc()).limit(_LATEST).subquery()
    query = select(latest.c.event, func.count()).group_by(latest.c.event)
    rows = [(row[0], row[1]) for row in transaction.connection.execute(query)]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def beside_events(
    transaction: Transaction, session_ids: Collection[str], group_ids: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Tell how some sessions signed in, and what some groups are called, by their ids."""
    one = schema.sessions.c
    query = select(one.id, one.method).where(one.id.in_(session_ids))
    methods = {row[0]: str(row[1]) for row in transaction.connection.execute(query)}
    return methods, names_of(transaction, "group", group_ids)
