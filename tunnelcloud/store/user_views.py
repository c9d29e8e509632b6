"""Reads all data that a decision about a user needs, at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import frozen
from sqlalchemy import BindParameter, Select, bindparam, or_, select

from tunnelcloud.domain.entities import Grant, Token, UserView
from tunnelcloud.domain.objects.policies import Approval, Policy
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store import schema, timed_grants
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.policies import POLICIES
from tunnelcloud.store.tokens import TOKENS
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.tunnels import TUNNELS
from tunnelcloud.store.users import USERS

_NAMED = {
    table.name.removesuffix("s").replace("policie", "policy"): table
    for table in (
        schema.sites,
        schema.connectors,
        schema.tunnels,
        schema.users,
        schema.groups,
        schema.policies,
        schema.pods,
    )
}


def _users() -> Select[Any]:
    """Select users with each group that they are in."""
    members = schema.users.outerjoin(
        schema.group_members, schema.group_members.c.user_id == schema.users.c.id
    )
    return (
        USERS.select()
        .add_columns(schema.group_members.c.group_id)
        .select_from(members)
        .where(schema.users.c.id.in_(bindparam("wanted", expanding=True)))
    )


def _by_token() -> Select[Any]:
    """Select a token with its user."""
    one = schema.tokens
    return (
        select(*TOKENS.select().selected_columns, *USERS.select().selected_columns)
        .select_from(schema.users.join(one, one.c.user_id == schema.users.c.id))
        .where(one.c.secret_hash == bindparam("wanted"))
    )


def _grants() -> Select[Any]:
    """Select every path by which some users reach tunnels: that, its policy, group and way."""
    one = schema.assignments
    wanted: BindParameter[str] = bindparam("wanted", expanding=True)
    own_groups = select(schema.group_members.c.group_id).where(
        schema.group_members.c.user_id.in_(wanted)
    )
    return (
        TUNNELS.select()
        .add_columns(
            *POLICIES.select().selected_columns,
            schema.groups.c.name,
            one.c.methods,
            one.c.id,
            one.c.user_id,
            one.c.group_id,
        )
        .join(one, one.c.tunnel_id == schema.tunnels.c.id)
        .outerjoin(schema.groups, schema.groups.c.id == one.c.group_id)
        .outerjoin(schema.policies, schema.policies.c.id == one.c.policy_id)
        .where(or_(one.c.user_id.in_(wanted), one.c.group_id.in_(own_groups)))
        .order_by(schema.tunnels.c.name, one.c.id)
    )


_USERS = _users()
_BY_TOKEN = _by_token()
_GRANTS = _grants()
_TOKEN_WIDTH = len(TOKENS.select().selected_columns)
_USER_WIDTH = len(USERS.select().selected_columns)
_TUNNEL_WIDTH = len(TUNNELS.select().selected_columns)
_POLICY_WIDTH = len(POLICIES.select().selected_columns)
_WAY = _TUNNEL_WIDTH + _POLICY_WIDTH


def load_view(transaction: Transaction, user_id: str) -> UserView:
    """Read a user and every path by which they reach a tunnel, enabled or not.

    :raise NotFound: there is no such user.
    """
    view = load_views(transaction, [user_id]).get(user_id)
    if view is None:
        raise NotFound("user", user_id)
    return view


def load_views(transaction: Transaction, user_ids: Iterable[str]) -> Mapping[str, UserView]:
    """Read the views of some users at once; who isn't there is left out.

    Users who reach a tunnel by the same assignment share what is in memory of it.  Only a
    transaction that reads takes this: thousands of tunnels take a tenth of a second, and others'
    logins wait for each write.
    """
    assert transaction.only_reads, "views are read before a write, not in it"
    wanted = {"wanted": [one for one in user_ids if "\x00" not in one]}
    return _views(transaction, transaction.connection.execute(_USERS, wanted).all())


@frozen
class FoundToken:
    """A one-time token and its user."""

    token: Token
    user: User


def find_token(transaction: Transaction, secret_hash: bytes) -> FoundToken | None:
    """Find a one-time token, in whatever state it is, with its user but without their grants."""
    row = transaction.connection.execute(_BY_TOKEN, {"wanted": secret_hash}).first()
    if row is None:
        return None
    return FoundToken(TOKENS.make(row[:_TOKEN_WIDTH]), USERS.make(row[_TOKEN_WIDTH:]))


def _views(transaction: Transaction, rows: Iterable[Any]) -> Mapping[str, UserView]:
    """Make views of users' rows, each with a group that the user is in."""
    users: dict[str, User] = {}
    groups: dict[str, set[str]] = {}
    members: dict[str, list[str]] = {}
    for row in rows:
        user: User = USERS.make(row[:_USER_WIDTH])
        users[user.id] = user
        groups.setdefault(user.id, set())
        if row[_USER_WIDTH] is not None:
            groups[user.id].add(row[_USER_WIDTH])
            members.setdefault(row[_USER_WIDTH], []).append(user.id)
    grants: dict[str, list[Grant]] = {user_id: [] for user_id in users}
    if users:
        for user_id, group_id, grant in _read_grants(transaction, list(users)):
            for reached in [user_id] if user_id is not None else members.get(group_id, ()):
                grants[reached].append(grant)
    asking = {
        user_id
        for user_id, paths in grants.items()
        if any(one.approval is not Approval.NONE for path in paths for one in path.policies)
    }
    approved = timed_grants.live(transaction, asking) if asking else {}
    views = {
        user_id: UserView(
            user,
            tuple(grants[user_id]),
            frozenset(groups[user_id]),
            approved.get(user_id, ()),
        )
        for user_id, user in users.items()
    }
    for view in views.values():
        # Made here, in the store's thread, which holds up nobody's streams.
        _ = view.by_host, view.by_tunnel, view.by_method, view.limits, view.held_ids
    return views


def _read_grants(
    transaction: Transaction, user_ids: list[str]
) -> Iterator[tuple[str | None, str, Grant]]:
    """Give each assignment's user, or else its group, and the path that it is."""
    tunnels: dict[str, Tunnel] = {}
    policies: dict[str, Policy] = {}
    for row in transaction.connection.execute(_GRANTS, {"wanted": user_ids}):
        if row[0] not in tunnels:
            tunnels[row[0]] = TUNNELS.make(row[:_TUNNEL_WIDTH])
        policy = row[_TUNNEL_WIDTH]
        if policy is not None and policy not in policies:
            policies[policy] = POLICIES.make(row[_TUNNEL_WIDTH:_WAY])
        group_name, methods, assignment_id, user_id, group_id = row[_WAY:]
        grant = Grant(
            tunnel=tunnels[row[0]],
            assignment_id=assignment_id,
            methods=methods,
            policies=() if policy is None else (policies[policy],),
            group_name=group_name,
        )
        yield user_id, group_id, grant


def names_of(transaction: Transaction, kind: str, ids: Iterable[str]) -> dict[str, str]:
    """Give the names of objects of one kind by their ids; who is gone is left out.

    :param kind: ``site``, ``connector``, ``tunnel``, ``user``, ``group``, ``policy`` or ``pod``.
    """
    table = _NAMED[kind]
    query = select(table.c.id, table.c.name).where(table.c.id.in_(set(ids)))
    return {row.id: row.name for row in transaction.connection.execute(query)}
