"""The objects and connections that deleting an object would end, for a warning before it."""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import Column, ColumnElement, Table, func, select

from tunnelcloud.store import assignments, schema, sessions
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.user_views import names_of

_assigned, _open, _members = schema.assignments, schema.channels, schema.group_members


@frozen
class Consequences:
    """What goes with an object.

    :ivar people: users who have something open through it now; in the case of a group or an
        assignment another path may still allow it.
    :ivar channels: what they have open.
    :ivar sessions: sessions that are open, for a user.
    :ivar objects: how many of what is deleted with it, by the noun.
    :ivar in_use: assignments that forbid it.
    """

    people: int = 0
    channels: int = 0
    sessions: int = 0
    objects: tuple[tuple[str, int], ...] = ()
    in_use: int = 0


@frozen
class TakenAway:
    """What taking a tunnel away from somebody would mean.

    :ivar kind: ``user`` or ``group``.
    """

    kind: str
    who: str
    tunnel: str
    cost: Consequences


def of_taking_away(transaction: Transaction, tunnel_id: str, assignment_id: str) -> TakenAway:
    """Say what deleting one of a tunnel's assignments would mean, in names.

    :raise NotFound: the tunnel has no such assignment.
    """
    one = assignments.get(transaction, assignment_id, tunnel_id=tunnel_id)
    kind = "user" if one.user_id else "group"
    holder = one.user_id or one.group_id or ""
    who = names_of(transaction, kind, [holder]).get(holder, holder)
    tunnel = names_of(transaction, "tunnel", [tunnel_id])[tunnel_id]
    return TakenAway(kind, who, tunnel, of_deleting(transaction, "assignment", one.id))


def of_ending_session(transaction: Transaction, session_id: str) -> tuple[str, int]:
    """Say whose session it is, and how many channels end with it.

    :raise NotFound: there is no such session.
    """
    one = sessions.get(transaction, session_id)
    names = names_of(transaction, "user", [one.user_id])
    opened = _count(transaction, _open, _open.c.session_id == one.id, _open.c.closed_at.is_(None))
    return names.get(one.user_id, one.login_name), opened


def of_deleting(transaction: Transaction, kind: str, object_id: str) -> Consequences:
    """Say what deleting an object would take with it.

    :param kind: ``tunnel``, ``site``, ``connector``, ``user``, ``group``, ``policy`` or
        ``assignment``.
    """
    people, channels = 0, 0
    through = _through(kind, object_id)
    if through is not None:
        query = select(func.count(func.distinct(_open.c.user_id)), func.count()).where(
            _open.c.closed_at.is_(None), through
        )
        people, channels = transaction.connection.execute(query).one()
    sessions = 0
    if kind == "user":
        one = schema.sessions.c
        sessions = _count(
            transaction, schema.sessions, one.user_id == object_id, one.ended_at.is_(None)
        )
    objects = tuple(
        (noun, count)
        for noun, column in _BELONGINGS.get(kind, ())
        if (count := _count(transaction, column.table, column == object_id))
    )
    in_use = 0
    if kind == "policy":
        in_use = _count(transaction, _assigned, _assigned.c.policy_id == object_id)
    return Consequences(people, channels, sessions, objects, in_use)


_BELONGINGS: dict[str, tuple[tuple[str, Column[str]], ...]] = {
    "tunnel": (("assignment", _assigned.c.tunnel_id),),
    "site": (("connector", schema.connectors.c.site_id), ("tunnel", schema.tunnels.c.site_id)),
    "user": (("key", schema.keys.c.user_id), ("assignment", _assigned.c.user_id)),
    "group": (("membership", _members.c.group_id), ("assignment", _assigned.c.group_id)),
}


def _through(kind: str, object_id: str) -> ColumnElement[bool] | None:
    """Match the channels that an object lets through."""
    if kind == "site":
        of_site = select(schema.tunnels.c.id).where(schema.tunnels.c.site_id == object_id)
        return _open.c.tunnel_id.in_(of_site)
    if kind == "group":
        members = select(_members.c.user_id).where(_members.c.group_id == object_id)
        tunnels = select(_assigned.c.tunnel_id).where(_assigned.c.group_id == object_id)
        return _open.c.user_id.in_(members) & _open.c.tunnel_id.in_(tunnels)
    if kind == "assignment":
        this = _assigned.c.id == object_id
        members = select(_members.c.user_id).join(
            _assigned, _assigned.c.group_id == _members.c.group_id
        )
        users = select(_assigned.c.user_id).where(this, _assigned.c.user_id.is_not(None))
        tunnels = select(_assigned.c.tunnel_id).where(this)
        return _open.c.tunnel_id.in_(tunnels) & (
            _open.c.user_id.in_(users) | _open.c.user_id.in_(members.where(this))
        )
    column = {"tunnel": _open.c.tunnel_id, "connector": _open.c.connector_id,
              "user": _open.c.user_id}.get(kind)  # fmt: skip
    return None if column is None else column == object_id


def _count(transaction: Transaction, table: Table, *conditions: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(table).where(*conditions)
    return int(transaction.connection.execute(query).scalar_one())
