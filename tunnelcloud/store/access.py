"""What a decision about a user needs, read at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, bindparam, or_, select

from tunnelcloud.domain.entities import Grant, User, UserView
from tunnelcloud.store import schema
from tunnelcloud.store.policies import POLICIES
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.tunnels import TUNNELS
from tunnelcloud.store.users import USERS, find_login

__all__ = ["find_login", "load_view", "names_of"]

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


def _grants() -> Select[Any]:
    """Select every path by which a user reaches a tunnel: that, its policy, group and way."""
    one = schema.assignments
    own_groups = select(schema.group_members.c.group_id).where(
        schema.group_members.c.user_id == bindparam("wanted")
    )
    return (
        TUNNELS.select()
        .add_columns(
            *POLICIES.select().selected_columns,
            schema.groups.c.name,
            one.c.methods,
            one.c.id,
        )
        .join(one, one.c.tunnel_id == schema.tunnels.c.id)
        .outerjoin(schema.groups, schema.groups.c.id == one.c.group_id)
        .outerjoin(schema.policies, schema.policies.c.id == one.c.policy_id)
        .where(or_(one.c.user_id == bindparam("wanted"), one.c.group_id.in_(own_groups)))
        .order_by(schema.tunnels.c.name, one.c.id)
    )


_GRANTS = _grants()
_TUNNEL_WIDTH = len(TUNNELS.select().selected_columns)
_POLICY_WIDTH = len(POLICIES.select().selected_columns)


def load_view(transaction: Transaction, user_id: str) -> UserView:
    """Read a user and every path by which they reach a tunnel, enabled or not.

    :raise NotFound: there is no such user.
    """
    user: User = USERS.get(transaction, user_id)
    grants = []
    for row in transaction.connection.execute(_GRANTS, {"wanted": user_id}):
        policy = row[_TUNNEL_WIDTH : _TUNNEL_WIDTH + _POLICY_WIDTH]
        group_name, methods, assignment_id = row[_TUNNEL_WIDTH + _POLICY_WIDTH :]
        grants.append(
            Grant(
                tunnel=TUNNELS.make(row[:_TUNNEL_WIDTH]),
                assignment_id=assignment_id,
                methods=methods,
                policies=() if policy[0] is None else (POLICIES.make(policy),),
                group_name=group_name,
            )
        )
    view = UserView(user, tuple(grants))
    # Made here, in the store's thread, which holds up nobody's streams.
    _ = view.by_host, view.by_tunnel, view.by_method
    return view


def names_of(transaction: Transaction, kind: str, ids: Iterable[str]) -> dict[str, str]:
    """Give the names of objects of one kind by their ids; who is gone is left out.

    :param kind: C{site}, C{connector}, C{tunnel}, C{user}, C{group}, C{policy} or C{pod}.
    """
    table = _NAMED[kind]
    query = select(table.c.id, table.c.name).where(table.c.id.in_(set(ids)))
    return {row.id: row.name for row in transaction.connection.execute(query)}
