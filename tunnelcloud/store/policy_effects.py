"""The users whom a policy concerns, and the sessions that a change would cut, for a preview.

All pods' sessions are in the store, so all pods' are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import define, field, frozen
from sqlalchemy import CompoundSelect, Select, func, select, union

from tunnelcloud.domain.entities import Channel
from tunnelcloud.domain.objects.policies import Policy
from tunnelcloud.domain.policy_effects import Cut, OpenSession, cuts_of_user, with_policy
from tunnelcloud.interpreter_lock import politely
from tunnelcloud.store import policies, schema, user_views
from tunnelcloud.store.channels import CHANNELS
from tunnelcloud.store.sessions import SESSIONS
from tunnelcloud.store.transaction import Transaction

USERS_AT_ONCE = 100
MOST_SESSIONS = 20_000
"""Sessions that are looked at; of more, the rest is left out, and the answer says so."""

MOST_SHOWN = 20
"""Sessions that the answer lists."""

_assigned, _members = schema.assignments.c, schema.group_members.c
_sessions, _channels = schema.sessions.c, schema.channels.c


@define
class Effects:
    """What a policy concerns, and what another version of it would cut.

    :ivar users: users who reach a tunnel under the policy.
    :ivar tunnels: tunnels that are assigned under it.
    :ivar sessions: these users' open sessions.
    :ivar channels: these sessions' open channels to these tunnels.
    :ivar cut_sessions: sessions that would lose something.
    :ivar cut_channels: channels that would be cut.
    :ivar ended: sessions that would end altogether.
    :ivar cuts: the first of what is cut.
    :ivar is_complete: whether every open session was looked at.
    """

    users: int = 0
    tunnels: int = 0
    sessions: int = 0
    channels: int = 0
    cut_sessions: int = 0
    cut_channels: int = 0
    ended: int = 0
    cuts: list[Cut] = field(factory=list)
    is_complete: bool = True

    def add(self, cut: Cut) -> None:
        """Count what a session would lose."""
        self.cut_sessions += 1
        self.cut_channels += len(cut.channels)
        self.ended += cut.ends
        if len(self.cuts) < MOST_SHOWN:
            self.cuts.append(cut)


def of_changing(transaction: Transaction, policy: Policy, at: datetime) -> Effects:
    """Say what a policy would cut if it were as given.

    :param policy: the policy as it is to be, with the id of the one that is there.
    :param at: the time by which windows and ages are judged.
    """
    reached = _reached(policy.id)
    found = Effects(
        users=_count(transaction, select(func.count()).select_from(reached.subquery())),
        tunnels=_count(
            transaction,
            select(func.count(_assigned.tunnel_id.distinct())).where(
                _assigned.policy_id == policy.id
            ),
        ),
    )
    tunnel_ids = _tunnels(transaction, policy.id)
    for user_ids in _connected(transaction, reached):
        if found.sessions >= MOST_SESSIONS:
            found.is_complete = False
            break
        views = user_views.load_views(transaction, user_ids)
        opened = _opened(transaction, user_ids)
        for user_id in politely(user_ids):
            sessions = opened.get(user_id, ())
            found.sessions += len(sessions)
            found.channels += sum(
                one.tunnel_id in tunnel_ids for each in sessions for one in each.channels
            )
            if user_id in views:
                for cut in cuts_of_user(with_policy(views[user_id], policy), sessions, at):
                    found.add(cut)
    return found


@frozen
class Planned:
    """A policy as it would be, and what that would cut."""

    policy: Policy
    effects: Effects


def of_plan(
    transaction: Transaction, policy_id: str, changes: Mapping[str, Any], at: datetime
) -> Planned:
    """Say what changing some fields of a policy would cut.

    :raise NotFound: there is no such policy.
    :raise Conflict: it would end before it begins.
    """
    policy = policies.changed(policies.get(transaction, policy_id), changes)
    return Planned(policy, of_changing(transaction, policy, at))


def _reached(policy_id: str) -> CompoundSelect[tuple[str]]:
    """Select the users whom an assignment under a policy reaches, each once."""
    direct = select(_assigned.user_id).where(
        _assigned.policy_id == policy_id, _assigned.user_id.is_not(None)
    )
    by_group = (
        select(_members.user_id)
        .join(schema.assignments, _assigned.group_id == _members.group_id)
        .where(_assigned.policy_id == policy_id)
    )
    return union(direct, by_group)


def _tunnels(transaction: Transaction, policy_id: str) -> frozenset[str]:
    query = select(_assigned.tunnel_id).where(_assigned.policy_id == policy_id).distinct()
    return frozenset(transaction.connection.execute(query).scalars())


def _connected(
    transaction: Transaction, reached: CompoundSelect[tuple[str]]
) -> Iterator[Sequence[str]]:
    """Give the users of some who have a session open, a hundred at a time."""
    last = ""
    while True:
        query = (
            select(_sessions.user_id)
            .where(
                _sessions.ended_at.is_(None),
                _sessions.user_id > last,
                _sessions.user_id.in_(reached),
            )
            .distinct()
            .order_by(_sessions.user_id)
            .limit(USERS_AT_ONCE)
        )
        found = transaction.connection.execute(query).scalars().all()
        if found:
            yield found
        if len(found) < USERS_AT_ONCE:
            return
        last = found[-1]


def _opened(transaction: Transaction, user_ids: Sequence[str]) -> dict[str, list[OpenSession]]:
    """Read what some users have open."""
    connection = transaction.connection
    of_them = _sessions.user_id.in_(user_ids), _sessions.ended_at.is_(None)
    first = (
        select(_channels.id)
        .where(_channels.session_id == _sessions.id)
        .order_by(_channels.id)
        .limit(1)
        .scalar_subquery()
    )
    first_uses = {
        row[0]: row[1] for row in connection.execute(select(_sessions.id, first).where(*of_them))
    }
    channels: dict[str, list[Channel]] = {}
    query = CHANNELS.select().where(_channels.user_id.in_(user_ids), _channels.closed_at.is_(None))
    for row in politely(connection.execute(query.order_by(_channels.id)).all()):
        one = CHANNELS.make(row)
        channels.setdefault(one.session_id, []).append(one)
    found: dict[str, list[OpenSession]] = {}
    rows = connection.execute(SESSIONS.select().where(*of_them).order_by(_sessions.id)).all()
    for row in politely(rows):
        session = SESSIONS.make(row)
        one_open = OpenSession(
            session, tuple(channels.get(session.id, ())), first_uses.get(session.id) or ""
        )
        found.setdefault(session.user_id, []).append(one_open)
    return found


def _count(transaction: Transaction, query: Select[Any]) -> int:
    return int(transaction.connection.execute(query).scalar_one())
