"""The ssh command that opens a tunnel, for people to copy."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import frozen

from tunnelcloud.domain.entities import Method, UserView, hosts_of
from tunnelcloud.domain.names import LOCAL_NAMES
from tunnelcloud.domain.objects.sites import Tunnel

MAX_FORWARDS_OF_A_RANGE = 16
LOCAL_ADDRESS = "127.0.0.1"
FIRST_UNPRIVILEGED_PORT = 1024
MAX_PORT = 65535
_NONE_CHOSEN: Mapping[int, int] = {}

OWN_CONNECTION = ("-o", "ControlPath=none")
"""Without these a ``ControlMaster`` of the user's would run the command on another connection."""

ASKED_FOR_TOKEN = ("-o", "PubkeyAuthentication=no", "-o", "BatchMode=no")
"""Without these ssh would log in with a key, or not ask for the token."""


@frozen
class PublicAddress:
    """Where clients reach a pod: a host (no brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


def bracketed(host: str) -> str:
    """Put an IPv6 address into brackets; leave any other host alone."""
    return f"[{host}]" if ":" in host else host


def destination_host(tunnel: Tunnel, others: Sequence[Tunnel]) -> str:
    """Give TARGET: the target address, or the tunnel's name where that would be ambiguous.

    :param others: the other tunnels of the same user.
    """
    return _clear_host(tunnel, lambda host: (one for one in others if host in hosts_of(one)))


def own_host(view: UserView, tunnel: Tunnel) -> str:
    """Give TARGET of one of a user's tunnels, as ``destination_host`` does."""
    return _clear_host(tunnel, lambda host: (grant.tunnel for grant in view.by_host.get(host, ())))


def _clear_host(tunnel: Tunnel, named: Callable[[str], Iterable[Tunnel]]) -> str:
    """Choose the host that means one tunnel and no other.

    :param named: gives the user's tunnels that a host names.
    """
    address = tunnel.target_address
    shared = any(other.id != tunnel.id for other in named(address))
    if not shared and address not in LOCAL_NAMES:
        return address
    # A name is stronger than target addresses, and an external address is stronger than a name.
    taken = any(
        other.id != tunnel.id and other.external_address == tunnel.name
        for other in named(tunnel.name)
    )
    return (tunnel.external_address or tunnel.name) if taken else tunnel.name


def forwarded_ports(tunnel: Tunnel) -> list[int]:
    """List the target ports that a command forwards: up to 16 of each range."""
    return [
        port
        for ports in tunnel.target_ports
        for port in range(ports.first, ports.last + 1)[:MAX_FORWARDS_OF_A_RANGE]
    ]


def local_port(tunnel: Tunnel, port: int) -> int:
    """Return the local port for a target port; without the offset if it leads out of range."""
    shifted = port + tunnel.local_port_offset
    return shifted if 1 <= shifted <= MAX_PORT else port


def suggested_ports(tunnel: Tunnel, others: Sequence[Tunnel]) -> dict[int, int]:
    """Choose the local port for each target port, so that a user's tunnels can be open at once.

    The tunnel that was made first keeps its own ports; a later one that wants the same takes the
    next that is free.  What is suggested stays the same until an earlier tunnel comes or goes.

    :param others: the other tunnels of the same user.
    """
    next_after: dict[int, int] = {}
    chosen: dict[int, int] = {}
    everything = {one.id: one for one in [*others, tunnel]}
    for one in sorted(everything.values(), key=lambda each: each.id):
        chosen = {}
        for port in forwarded_ports(one):
            free = local_port(one, port)
            passed = []
            while free in next_after:
                passed.append(free)
                free = next_after[free]
            chosen[port] = free
            beyond = free + 1 if free < MAX_PORT else FIRST_UNPRIVILEGED_PORT
            next_after.update(dict.fromkeys([*passed, free], beyond))
        if one.id == tunnel.id:
            break
    return chosen


def credential_options(method: Method, key_file: str) -> list[str]:
    """Give the options by which ssh logs in with a token, or with a key.

    :param key_file: where the private key is, if not where ssh looks by itself.
    """
    if method is Method.TOKEN:
        return [*ASKED_FOR_TOKEN]
    return ["-i", key_file, "-o", "IdentitiesOnly=yes"] if key_file else []


def ssh_arguments(
    tunnel: Tunnel,
    login: str,
    method: Method,
    public_address: PublicAddress,
    *,
    target: str = "",
    local_address: str = LOCAL_ADDRESS,
    local_ports: Mapping[int, int] = _NONE_CHOSEN,
    key_file: str = "",
) -> list[str]:
    """Give the words of the ssh command that opens ``tunnel``.

    :param login: the user's name, e-mail, or ``tcptunnel@X``.
    :param target: TARGET; empty for a user who has no other tunnels.
    :param local_ports: the local port that was chosen for a target port; what is not there takes
        ``local_port``.
    :param key_file: where the private key is, if not where ssh looks by itself.
    """
    words = ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=30"]
    words += [*OWN_CONNECTION, *credential_options(method, key_file)]
    target = bracketed(target or destination_host(tunnel, ()))
    for port in forwarded_ports(tunnel):
        local = f"{bracketed(local_address)}:{local_ports.get(port, local_port(tunnel, port))}"
        words += ["-L", f"{local}:{target}:{port}"]
    host = tunnel.external_address or public_address.host
    return [*words, "-p", str(public_address.port), f"{login}@{host}"]


def ssh_command(
    tunnel: Tunnel,
    login: str,
    method: Method,
    public_address: PublicAddress,
    *,
    target: str = "",
) -> str:
    """Give the ssh command that opens ``tunnel``, quoted for a POSIX shell."""
    return shlex.join(ssh_arguments(tunnel, login, method, public_address, target=target))
