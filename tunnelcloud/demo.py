"""The demo: a pod, a connector and a small web page, all real, in one process.

State is in a temporary folder that is gone when the demo ends.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from tunnelcloud import __version__, daemon
from tunnelcloud.connector.addresses import parse_access_list
from tunnelcloud.connector.service import ConnectorService
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.daemon import CannotServe
from tunnelcloud.domain.commands import local_port, ssh_command
from tunnelcloud.domain.entities import Method, PortRange, Tunnel
from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.domain.join_tokens import SECRET_LENGTH, JoinToken
from tunnelcloud.domain.tokens import hash_secret, new_token
from tunnelcloud.pod.service import PodService, make_pod
from tunnelcloud.settings import PodSettings
from tunnelcloud.store import assignments, connectors, sites, tokens, tunnels, users
from tunnelcloud.store.transaction import Actor, Committed, Transaction

LOCAL_PORT = 8001
"""Where the demo's page appears on the user's side."""

TOKEN_SECONDS = 24 * 60 * 60


PAGE = (
    b"<!doctype html><meta charset=utf-8><title>TunnelCloud demo</title>"
    b"<h1>It works</h1><p>This page came from a server in a private site, "
    b"through a connector, a pod and your SSH client."
)
"""The target's page, which can only be seen through the tunnel."""


def _page() -> Resource:
    root = Resource()
    root.putChild(b"", Data(PAGE, "text/html; charset=utf-8"))
    return root


class DemoService(Service):
    """Builds everything, says what to paste, and clears it away in the end."""

    def __init__(self, reactor: Any, say: Callable[[str], None] = daemon.say) -> None:
        self._reactor = reactor
        self._say = say
        self._directory = Path(tempfile.mkdtemp(prefix="tunnelcloud-demo-"))
        self._target: IListeningPort = reactor.listenTCP(0, Site(_page()), interface="127.0.0.1")
        try:
            self.pod = self._make_pod()
        except CannotServe:
            self._clear()
            raise
        store = self.pod.foundation.store
        join_token = self.pod.live.join_token(os.urandom(SECRET_LENGTH))
        self._token = new_token(os.urandom)
        self._tunnel = store.acting(Actor("demo")).write(
            _furnish, join_token, self._token, daemon.port_number(self._target)
        )
        self._connector = ConnectorService(
            reactor,
            ConnectorState(self._directory / "connector"),
            join_token,
            parse_access_list(["127.0.0.0/8"], []),
            version=__version__,
            now=partial(datetime.now, UTC),
            random=random.random,
            give_up=partial(daemon.give_up, reactor),
            drain_timeout=1.0,
        )
        store.backend.listen(self._committed)

    def _make_pod(self) -> PodService:
        """Take the usual ports if they are free, any others if not."""
        choices: list[tuple[int, ...]] = [(2222, 8443, 8080), (0, 0, 0)]
        for ports in choices:
            listen = [f"tcp:{port}:interface=127.0.0.1" for port in ports]
            settings = PodSettings.model_validate(
                {
                    "name": "demo",
                    "state_directory": self._directory / "pod",
                    "drain": "1s",
                    "ssh": {"listen": listen[:1], "exempt_networks": ["127.0.0.0/8"]},
                    "connectors": {"listen": listen[1:2]},
                    "web": {"listen": listen[2:]},
                }
            )
            try:
                return make_pod(self._reactor, settings, own_host="127.0.0.1")
            except CannotServe:
                if ports[0] == 0:
                    raise
        raise AssertionError("some port is free")

    def privilegedStartService(self) -> None:
        """Begin to accept connections."""
        self.pod.privilegedStartService()

    def startService(self) -> None:
        """Start pod and connector, and say what to do."""
        super().startService()  # type: ignore[no-untyped-call]
        self.pod.startService()
        self._connector.startService()
        command = ssh_command(self._tunnel, "demo", Method.TOKEN, self.pod.foundation.ssh_address)
        lines = [
            "",
            "TunnelCloud demo: a pod, a connector and a web page in a private site.",
            "",
            f"  Portal and API   {self.pod.web_url}/ (sign in by the link above)",
            f"  API token        {self._directory}/pod/admin.token",
            f"  One-time token   {self._token}",
            "",
            "In a second terminal, paste this line, and the one-time token when it asks for it:",
            "",
            f"  {command}",
            "",
            f"then look at http://127.0.0.1:{_local_port(self._tunnel)}/",
            "Ctrl-C here ends the demo and leaves nothing behind.",
            "",
        ]
        self._say("\n".join(lines))

    def stopService(self) -> Deferred[None]:
        """End everything and clear it away."""
        super().stopService()  # type: ignore[no-untyped-call]
        stopping: Deferred[Any] = maybeDeferred(self._connector.stopService)
        stopping.addCallback(lambda _: maybeDeferred(self._target.stopListening))
        stopping.addCallback(lambda _: self.pod.stopService())
        stopping.addBoth(lambda _: self._clear())
        return stopping

    def _clear(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _committed(self, committed: Committed) -> None:
        """Say in a line what happens to the tunnel; called in a thread of the store."""
        for record in committed.records:
            line = _line(record)
            if line:
                self._reactor.callFromThread(self._say, line)


def _line(record: AuditRecord) -> str:
    event, data = record.event, record.event.data
    if event.event == "channel.opened":
        return f"tunnel {event.tunnel_name} opened for {event.user_name}"
    if event.event == "channel.closed":
        return (
            f"tunnel {event.tunnel_name} closed: {data['bytes_to_target']} bytes to the target, "
            f"{data['bytes_from_target']} bytes from it"
        )
    return ""


def _furnish(
    transaction: Transaction, join_token: JoinToken, token: str, target_port: int
) -> Tunnel:
    """Make what an administrator would: a site, a connector, a tunnel, a user, a token."""
    site = sites.create(transaction, name="demo-site")
    connector = connectors.create(transaction, name="demo-connector", site_id=site.id)
    connectors.add_join_token(
        transaction,
        connector.id,
        secret_hash=join_token.secret_hash,
        lifetime_seconds=TOKEN_SECONDS,
    )
    tunnel = tunnels.create(
        transaction,
        name="demo",
        site_id=site.id,
        target_address="127.0.0.1",
        target_ports=(PortRange(target_port, target_port),),
        local_port_offset=LOCAL_PORT - target_port,
    )
    user = users.create(transaction, name="demo")
    assignments.create(transaction, tunnel_id=tunnel.id, user_id=user.id, methods=frozenset(Method))
    tokens.create(
        transaction,
        user_id=user.id,
        secret_hash=hash_secret(token),
        lifetime_seconds=TOKEN_SECONDS,
        tunnel_id=tunnel.id,
    )
    return tunnel


def _local_port(tunnel: Tunnel) -> int:
    return local_port(tunnel, tunnel.target_ports[0].first)
