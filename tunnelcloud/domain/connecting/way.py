"""One way to open one tunnel: everything that commands, files and settings are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from tunnelcloud.domain.addresses import is_address
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.names import RESERVED_USER_NAME
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import User
from tunnelcloud.domain.ssh_command import (
    LOCAL_ADDRESS,
    PublicAddress,
    bracketed,
    destination_host,
    forwarded_ports,
    local_port,
    ssh_arguments,
)

KEEP_ALIVE_SECONDS = 30
# OpenSSH itself refuses a user name with most of what shells take for special.
_PLAIN_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=~@-]*")


@frozen
class Forward:
    """A port on the user's machine and the target port that it stands for."""

    local: int
    port: int


@frozen
class Way:
    """How one user opens one tunnel from one machine, by one method.

    :ivar login: the user's name, e-mail, or ``tcptunnel@X``.
    :ivar others: the user's other tunnels, to see whether the target address is ambiguous.
    :ivar local_ports: the local port for each target port; others take the tunnel's own.
    :ivar key_file: where the private key is; empty for where ssh looks by itself.
    :ivar known_hosts: lines with the pod's host keys, of every name it has.
    :ivar fingerprints: of the host keys, as ``SHA256:…``.
    :ivar target: the destination of forwards, without brackets; what ``others`` leave by default.
    """

    tunnel: Tunnel
    login: str
    method: Method
    pod: PublicAddress
    others: Sequence[Tunnel] = ()
    local_address: str = LOCAL_ADDRESS
    local_ports: Mapping[int, int] = field(factory=dict)
    key_file: str = ""
    known_hosts: Sequence[str] = ()
    fingerprints: Sequence[str] = ()
    target: str = field()

    @target.default
    def _chosen_target(self) -> str:
        # Once: it takes a look at all of the user's tunnels.
        return destination_host(self.tunnel, self.others)

    @property
    def host(self) -> str:
        """Name the host that the SSH client connects to, without brackets."""
        return self.tunnel.external_address or self.pod.host

    @property
    def port(self) -> int:
        """Give the port that the SSH client connects to."""
        return self.pod.port

    @property
    def target_in_forward(self) -> str:
        """Name the destination as ``-L`` has it."""
        return bracketed(self.target) if is_address(self.target) else self.target

    @property
    def local_in_forward(self) -> str:
        """Give the local address as ``-L`` has it."""
        return bracketed(self.local_address)

    @property
    def forwards(self) -> list[Forward]:
        """List what is forwarded."""
        return [
            Forward(self.local_ports.get(port, local_port(self.tunnel, port)), port)
            for port in forwarded_ports(self.tunnel)
        ]

    @property
    def forward_specs(self) -> list[str]:
        """List what is forwarded as ``-L`` has it."""
        return [
            f"{self.local_in_forward}:{one.local}:{self.target_in_forward}:{one.port}"
            for one in self.forwards
        ]

    @property
    def tool_login(self) -> str:
        """Give the login for graphical tools: the credential names the user, X the tunnel."""
        return f"{RESERVED_USER_NAME}@{self.tunnel.name}"

    @property
    def own_known_hosts(self) -> list[str]:
        """Give the lines for the one name that this way connects to."""
        return known_hosts_of(self.known_hosts, self.host, self.port)

    def arguments(self) -> list[str]:
        """Give the words of the ssh command."""
        return ssh_arguments(
            self.tunnel,
            self.login,
            self.method,
            self.pod,
            target=self.target,
            local_address=self.local_address,
            local_ports=self.local_ports,
            key_file=self.key_file,
        )


def known_hosts_of(lines: Iterable[str], host: str, port: int) -> list[str]:
    """Choose the lines for one name that ssh connects to."""
    name = f"[{host}]:{port}" if port != 22 else host
    # A line break would begin a line for another name.
    ours = (line for line in lines if line.isprintable())
    return [line for line in ours if line.split(" ", 1)[0] == name]


def logins_of(user: User, tunnel: Tunnel) -> list[str]:
    """List the logins that open a tunnel for a user, the name first.

    An e-mail that some client, shell or file can't carry is left out: the name stands for it.
    """
    logins = [user.name, f"{RESERVED_USER_NAME}@{tunnel.name}"]
    if user.email is not None and _PLAIN_LOGIN.fullmatch(user.email):
        logins.insert(1, user.email)
    return logins
