"""The order of a user's tunnels: those they pinned, then those they used last."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from tunnelcloud.domain.entities import UserView
from tunnelcloud.store import user_views
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.schema import channels, pins
from tunnelcloud.store.transaction import Transaction

_LOOKED_AT = 200


def pinned(transaction: Transaction, user_id: str) -> frozenset[str]:
    """Give the ids of the tunnels that a user pinned."""
    query = select(pins.c.tunnel_id).where(pins.c.user_id == user_id)
    return frozenset(transaction.connection.execute(query).scalars())


def with_pinned(transaction: Transaction, user_id: str) -> tuple[UserView, frozenset[str]]:
    """Read a user's view, and the ids of the tunnels that they pinned.

    :raise NotFound: there is no such user.
    """
    return user_views.load_view(transaction, user_id), pinned(transaction, user_id)


def in_order(transaction: Transaction, user_id: str) -> tuple[UserView, frozenset[str], list[str]]:
    """Read a user's view, the ids of the tunnels that they pinned, and of those used last.

    :raise NotFound: there is no such user.
    """
    view, first = with_pinned(transaction, user_id)
    return view, first, recently_used(transaction, user_id)


def check_reached(transaction: Transaction, user_id: str, tunnel_id: str) -> None:
    """Look whether a user may pin a tunnel.  In a write, logins would wait for it.

    :raise NotFound: there is no such user, or the tunnel isn't one of theirs.
    """
    if tunnel_id not in user_views.load_view(transaction, user_id).by_tunnel:
        raise NotFound("tunnel", tunnel_id)


def set_pinned(transaction: Transaction, user_id: str, tunnel_id: str, wanted: bool) -> None:
    """Pin a tunnel, or let it go; doing it again changes nothing.

    A pin of a tunnel that isn't the user's any more shows nothing.

    :raise InvalidReference: there is no such user or tunnel.
    """
    one = (pins.c.user_id == user_id, pins.c.tunnel_id == tunnel_id)
    transaction.connection.execute(delete(pins).where(*one))
    if wanted:
        transaction.connection.execute(insert(pins), {"user_id": user_id, "tunnel_id": tunnel_id})


def recently_used(transaction: Transaction, user_id: str) -> list[str]:
    """Give the ids of the tunnels of a user's last channels, the last one first."""
    query = (
        select(channels.c.tunnel_id)
        .where(channels.c.user_id == user_id)
        .order_by(channels.c.id.desc())
        .limit(_LOOKED_AT)
    )
    return list(dict.fromkeys(transaction.connection.execute(query).scalars()))
