"""The demo: a pod, a connector and a small web page, all real, in one process.

State is in a temporary folder that is gone when the demo ends.  So is the log, unless twistd was
told where it belongs: what is said is for a person who has not seen any of this before.
"""

from __future__ import annotations

import os
import random
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    LogPublisher,
    textFileLogObserver,
)
from twisted.python.components import Componentized
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data
from zope.interface import implementer

from tunnelcloud import __version__, daemon
from tunnelcloud.connector.allowed_targets import parse_access_list
from tunnelcloud.connector.service import ConnectorService
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.daemon import CannotServe
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.domain.join_tokens import SECRET_LENGTH, JoinToken
from tunnelcloud.domain.objects.sites import Connector, PortRange, Tunnel
from tunnelcloud.domain.ssh_command import local_port, ssh_arguments
from tunnelcloud.domain.tokens import hash_secret, new_token
from tunnelcloud.pki.host_keys import known_hosts_line
from tunnelcloud.pod.links import ILinksListener
from tunnelcloud.pod.service import PodService
from tunnelcloud.pod.starting import make_pod
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


@implementer(ILinksListener)
class DemoService(Service):
    """Builds everything, says what to paste, and clears it away in the end."""

    def __init__(
        self,
        reactor: Any,
        say: Callable[[str], None] = daemon.say,
        keeps_log: bool = True,
    ) -> None:
        self._reactor = reactor
        self._keeps_log = keeps_log
        self._told = False
        self._say = say
        self._directory = Path(tempfile.mkdtemp(prefix="tunnelcloud-demo-"))
        self._target: IListeningPort = reactor.listenTCP(0, Site(_page()), interface="127.0.0.1")
        try:
            self.pod = self._make_pod()
        except CannotServe:
            self._clear()
            raise
        store = self.pod.foundation.store
        join_token = self.pod.web.live.join_token(os.urandom(SECRET_LENGTH))
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
        self.pod.links.listen(self)

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
                return make_pod(self._reactor, settings, own_host="127.0.0.1", say=_nothing)
            except CannotServe:
                if ports[0] == 0:
                    raise
        raise AssertionError("some port is free")

    def setServiceParent(self, parent: Any) -> None:
        """Have twistd log into a file of the demo's; what is wrong is still seen at once."""
        if self._keeps_log and isinstance(parent, Componentized) and sys.__stderr__ is not None:
            file = self._log_path.open("a", encoding="utf-8", buffering=1)
            wrong = FilteringLogObserver(
                textFileLogObserver(sys.__stderr__), [LogLevelFilterPredicate(LogLevel.warn)]
            )
            parent.setComponent(ILogObserver, LogPublisher(textFileLogObserver(file), wrong))
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def privilegedStartService(self) -> None:
        """Begin to accept connections."""
        self.pod.privilegedStartService()

    def startService(self) -> None:
        """Start pod and connector."""
        super().startService()  # type: ignore[no-untyped-call]
        self.pod.startService()
        self._connector.startService()

    def connector_attached(self, connector: Connector, version: str) -> None:
        """Say what to do, now that all of it works."""
        if not self._told:
            self._told = True
            self._say("\n".join(self._instructions()))

    def connector_detached(self, connector: Connector, reason: str) -> None:
        """Nothing depends on it."""

    def connector_cloned(self, connector: Connector, reason: str) -> None:
        """Not asked for."""

    @property
    def _log_path(self) -> Path:
        return self._directory / "log"

    def _instructions(self) -> list[str]:
        admin_token = self._directory / "pod" / "admin.token"
        url = self.pod.web_url
        tunnelcloud = shlex.quote(str(Path(sys.argv[0]).parent / "tunnelcloud"))
        again = f"{tunnelcloud} token create demo --tunnel demo"
        exports = f"export TUNNELCLOUD_URL={url} TUNNELCLOUD_API_TOKEN=$(cat {admin_token})"
        lines = [
            "",
            "TunnelCloud demo: a pod, a connector and a web page in a private site are running.",
            "",
            "1. In a second terminal, paste this line:",
            "",
            f"  {self._command()}",
            "",
            "2. When it asks for a one-time token, paste this one:",
            "",
            f"  {self._token}",
            "",
            "   ssh shows nothing more then: that is right, and the tunnel is open.",
            "",
            f"3. While that runs, look at http://127.0.0.1:{_local_port(self._tunnel)}/",
            "",
            "The token is spent by that. For another try, in a third terminal:",
            "",
            f"  {exports}",
            f"  {again}",
            "",
            f"  Portal, as administrator   {self.pod.first_administrator_link}",
        ]
        if self._keeps_log:
            lines.append(f"  Log                        {self._log_path}")
        return [*lines, "", "Ctrl-C here ends the demo and leaves nothing behind.", ""]

    def _command(self) -> str:
        """Give the line to paste; each demo has host keys of its own, which ssh needn't keep."""
        address = self.pod.foundation.ssh_address
        known_hosts = self._directory / "known_hosts"
        keys = [
            known_hosts_line(address.host, address.port, key.public_key)
            for key in self.pod.foundation.host_keys
        ]
        known_hosts.write_text("".join(f"{line}\n" for line in keys))
        ssh, *words = ssh_arguments(self._tunnel, "demo", Method.TOKEN, address)
        return shlex.join([ssh, "-o", f"UserKnownHostsFile={known_hosts}", *words])

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


def _nothing(_: str) -> None:
    """Leave it unsaid: it is among the instructions."""


def _line(record: AuditRecord) -> str:
    event, data = record.event, record.event.data
    if event.event == "channel.opened":
        return f"tunnel {event.tunnel_name} opened for {event.user_name}"
    if event.event == "channel.closed":
        return (
            f"tunnel {event.tunnel_name} closed for {event.user_name}: {data['bytes_to_target']} "
            f"bytes to the target, {data['bytes_from_target']} bytes from it"
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
