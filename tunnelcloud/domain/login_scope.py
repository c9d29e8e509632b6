"""The tunnels that a login may open: all of its user's, or one; and why it opens none.

The reason depends only on the user's own assignments, so that a tunnel of others and one that
doesn't exist have the same reason.
"""

from __future__ import annotations

from attrs import frozen

from tunnelcloud.domain.entities import Method, UserView
from tunnelcloud.domain.names import Login, is_called, named_by
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import METHOD_TEXT, could_open_any, disabled_text


@frozen
class Scope:
    """The tunnels that a login may open.

    :ivar tunnel: the only tunnel; None for all of its user's.
    :ivar obstacle: why it opens nothing, for its user; empty if it opens something.
    """

    tunnel: Tunnel | None = None
    obstacle: str = ""


def scope_of(view: UserView, method: Method, login: Login | None, tunnel_id: str | None) -> Scope:
    """Find the scope of a login; this is decided once, and the session keeps the tunnel's id.

    :param tunnel_id: the only tunnel that the credential opens; None for all of the user's.
    """
    name = None if login is None else login.tunnel
    only = tunnel_id
    if name is not None:
        meant = named_by(view, method, name, tunnel_id)
        if len(meant) > 1:
            names = ", ".join(sorted(tunnel.name for tunnel in meant))
            return Scope(obstacle=f"{name} names more than one tunnel: {names}")
        only = meant[0].id if meant else ""
    if not could_open_any(view, method, only):
        return Scope(obstacle=_obstacle(view, method, name, tunnel_id))
    return Scope(None if only is None else view.by_tunnel[only][0].tunnel)


def _obstacle(view: UserView, method: Method, name: str | None, tunnel_id: str | None) -> str:
    """Say why a login opens nothing.

    :param name: the tunnel that the login names; it isn't repeated, as a secret may stand there.
    """
    who, grants = view.user.name, view.grants
    if view.user.blocked:
        return f"user {who} is blocked; an administrator can unblock the account"
    if tunnel_id is not None:
        grants = view.by_tunnel.get(tunnel_id, ())
        if not grants:
            assign = "an administrator can assign it"
            return f"the tunnel that it is for isn't assigned to {who}; {assign}"
    if name is not None and grants:
        called = tuple(one for one in grants if is_called(one.tunnel, name))
        if not called and tunnel_id is not None:
            return f"it is for {grants[0].tunnel.name} only, and the login name has another tunnel"
        if not called:
            return f"no tunnel that is assigned to {who} has the name after tcptunnel@"
        grants = called
    if not grants:
        return f"no tunnel is assigned to {who}; an administrator can assign one"
    grants = tuple(one for one in grants if method in one.methods)
    if not grants:
        return f"no tunnel that opens with a {METHOD_TEXT[method]} is assigned to {who}"
    return disabled_text(grants[0].tunnel)
