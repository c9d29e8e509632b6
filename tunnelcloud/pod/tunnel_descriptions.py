"""How a tunnel is shown to its user: in `ssh pod`, in `ls`, and as the API has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunnelcloud.domain.entities import Method, Session, UserView
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import Decision
from tunnelcloud.domain.ssh_command import PublicAddress, own_host, ssh_command
from tunnelcloud.domain.tunnel_standing import Standing, standing
from tunnelcloud.ssh.interfaces import TunnelRow


def describe(
    view: UserView,
    session: Session,
    tunnel: Tunnel,
    ssh_address: PublicAddress,
    attached: bool,
    decision: Decision,
    seen: Mapping[int, str],
) -> TunnelRow:
    """Make the row of one tunnel.

    :param attached: whether a connector of its site is attached to this pod.
    :param decision: whether it opens for the session now, or why not.
    :param seen: what its last checks found, as ``standing`` takes it.
    """
    command = ssh_command(
        tunnel, session.login_name, session.method.opens, ssh_address, target=own_host(view, tunnel)
    )
    offline = "" if attached else f"site {tunnel.site_name} is offline"
    awaited = decision.awaited is not None
    stands = standing(tunnel, refusal=decision.reason, awaited=awaited, offline=offline, seen=seen)
    return TunnelRow(
        name=tunnel.name,
        title=tunnel.title,
        state=stands.text,
        command=command,
        api=lambda: _as_api(tunnel, command, stands),
        by_key=session.method.opens is Method.KEY,
    )


def _as_api(tunnel: Tunnel, command: str, stands: Standing) -> dict[str, Any]:
    return {
        "id": tunnel.id,
        "name": tunnel.name,
        "title": tunnel.title,
        "created_at": tunnel.created_at.isoformat().replace("+00:00", "Z"),
        "site_id": tunnel.site_id,
        "target_address": tunnel.target_address,
        "target_ports": [str(ports) for ports in tunnel.target_ports],
        "local_port_offset": tunnel.local_port_offset,
        "external_address": tunnel.external_address,
        "enabled": tunnel.enabled,
        "icon": tunnel.icon,
        "description": tunnel.description,
        "target_check": tunnel.target_check.value,
        "command": command,
        "standing": stands.kind.value,
        "state": stands.text,
    }
