"""The sinks of one pod, made of its settings: each has a format, a spool and an outlet.

Notices for administrators go the same way, each sink with a spool of its own.
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.settings import AuditSettings
from tunnelcloud.settings.notify import NotifySettings, NotifySmtpSettings
from tunnelcloud.settings_files import BadSettings, read_secret
from tunnelcloud.sinks.delivery import Delivery, SinkReport
from tunnelcloud.sinks.files import FileOutlet
from tunnelcloud.sinks.formats import FORMATS, syslog_message
from tunnelcloud.sinks.interfaces import Outlet
from tunnelcloud.sinks.spool import Spool

DIRECTORY = "spool"
"""Where spools are, in the state directory."""

_MOST_SAID = 256 * 1024
"""How many bytes a server may send on a connection."""

_NOTICES_BYTES = 4 << 20
"""How many bytes of notices may wait for each receiver; the oldest are dropped first."""


@frozen
class Sink:
    """One place that the audit goes to, or notices.

    :ivar write: gives an event as a line; None where notices go.
    :ivar make_outlet: makes the outlet that takes lines there, for a reactor.
    """

    name: str
    spool: Spool
    write: Callable[[AuditRecord], bytes] | None
    make_outlet: Callable[[Any], Outlet]


@define(eq=False)
class Sinks:
    """All sinks of a pod.  Before ``start`` and after ``stop`` events wait in the spools."""

    _sinks: Sequence[Sink]
    _deliveries: dict[str, Delivery] = field(factory=dict, init=False)

    def add(self, records: Sequence[AuditRecord]) -> None:
        """Take what a transaction recorded; from any thread."""
        for sink in self._sinks if records else ():
            if sink.write is not None:
                self._append(sink, [sink.write(record) for record in records])

    @property
    def takes_notices(self) -> bool:
        """Whether any sink takes notices."""
        return any(sink.write is None for sink in self._sinks)

    def tell(self, notice: Mapping[str, object]) -> None:
        """Take a notice for administrators; from any thread."""
        line = json.dumps(notice).encode("ascii")
        for sink in self._sinks:
            if sink.write is None:
                self._append(sink, [line])

    def _append(self, sink: Sink, lines: Sequence[bytes]) -> None:
        delivery = self._deliveries.get(sink.name)
        if delivery is None:
            sink.spool.append(lines)
        else:
            delivery.add(lines)

    def start(self, reactor: Any) -> None:
        """Begin to deliver."""
        chance = random.SystemRandom().random
        for sink in self._sinks:
            outlet = sink.make_outlet(reactor)
            carries = "notices" if sink.write is None else "the audit"
            delivery = Delivery(sink.name, sink.spool, outlet, reactor, chance, carries)
            self._deliveries[sink.name] = delivery
            delivery.start()

    def stop(self) -> None:
        """Stop delivering, and close files and connections."""
        for delivery in self._deliveries.values():
            delivery.stop()

    def reopen(self) -> None:
        """Open files again that another program may have moved away."""
        for delivery in self._deliveries.values():
            if delivery.name == "file":
                delivery.outlet.reopen()

    def reports(self) -> Iterator[SinkReport]:
        """Return the state of each sink."""
        for delivery in self._deliveries.values():
            yield delivery.report()


def make_sinks(audit: AuditSettings, notify: NotifySettings, state_directory: Path) -> Sinks:
    """Make the sinks that the settings name; nothing is sent yet.

    :raise OSError: a spool can't be used.
    :raise BadSettings: a secret or a certificate can't be read.
    """
    host, spools = socket.gethostname(), state_directory / DIRECTORY
    sinks = []
    for name, (make_outlet, kind) in _makers(audit).items():
        spool = Spool.open(spools / name, audit.spool)
        sinks.append(Sink(name, spool, _writer(name, kind, host), make_outlet))
    for name, make_outlet in notifying(notify).items():
        sinks.append(Sink(name, Spool.open(spools / name, _NOTICES_BYTES), None, make_outlet))
    return Sinks(sinks)


def check_sinks(audit: AuditSettings, notify: NotifySettings) -> None:
    """Read the files that the settings name, and make nothing.

    :raise BadSettings: a secret or a certificate can't be read.
    """
    _makers(audit)
    notifying(notify)


def _makers(settings: AuditSettings) -> dict[str, tuple[Callable[[Any], Outlet], str]]:
    makers: dict[str, tuple[Callable[[Any], Outlet], str]] = {}
    if settings.file.path is not None:
        makers["file"] = (_file(settings.file.path), settings.file.format)
    if settings.syslog.address is not None:
        makers["syslog"] = (_syslog(settings), settings.syslog.format)
    if settings.webhook.url is not None:
        path = settings.webhook.secret_file
        assert path is not None
        secret = _secret("audit.webhook.secret_file", path)
        makers["webhook"] = (_webhook(settings.webhook.url, secret), settings.webhook.format)
    return makers


def _writer(name: str, kind: str, host: str) -> Callable[[AuditRecord], bytes]:
    line = FORMATS[kind]
    if name == "syslog":
        return lambda record: syslog_message(record, line(record), host)
    return lambda record: line(record).encode("ascii")


def _file(path: Path) -> Callable[[Any], Outlet]:
    return lambda _: FileOutlet(path)


def _syslog(settings: AuditSettings) -> Callable[[Any], Outlet]:
    address = settings.syslog.address
    assert address is not None
    trust = _trusted("audit.syslog.ca", settings.syslog.ca)
    from tunnelcloud.net.bounded_connections import bounded_way
    from tunnelcloud.net.outgoing_tls import tls_to
    from tunnelcloud.sinks.syslog import SyslogOutlet

    def make(reactor: Any) -> Outlet:
        options = tls_to(address.host, trust)
        # The server says nothing but what TLS needs, however long the connection is open.
        there = bounded_way(reactor, address.host, address.port, _MOST_SAID, options)
        return SyslogOutlet(str(address), there, reactor)

    return make


def notifying(settings: NotifySettings) -> dict[str, Callable[[Any], Outlet]]:
    """Return the functions that make the outlets for notices, by the sinks' names.

    :raise BadSettings: a secret or a certificate can't be read.
    """
    makers: dict[str, Callable[[Any], Outlet]] = {}
    webhook = settings.webhook
    if webhook.url is not None and webhook.secret_file is not None:
        secret = _secret("notify.webhook.secret_file", webhook.secret_file)
        makers["notify-webhook"] = _webhook(webhook.url, secret)
    if settings.smtp.server is not None:
        makers["notify-smtp"] = _mail(settings.smtp)
    return makers


def _mail(settings: NotifySmtpSettings) -> Callable[[Any], Outlet]:
    server, sender, path = settings.server, settings.sender, settings.password_file
    assert server is not None
    assert sender is not None
    password = None if path is None else _secret("notify.smtp.password_file", path)
    trust = _trusted("notify.smtp.ca", settings.ca)
    # Twisted's mail and what it loads take 2 MiB, which only those need who send mail.
    from tunnelcloud.net.bounded_connections import bounded_way
    from tunnelcloud.net.outgoing_tls import tls_to
    from tunnelcloud.sinks.mail import MailOutlet

    def make(reactor: Any) -> Outlet:
        options = tls_to(server.host, trust)
        tls = options if settings.security == "tls" else None
        return MailOutlet(
            name=str(server),
            endpoint=bounded_way(reactor, server.host, server.port, _MOST_SAID, tls),
            start_tls=options if settings.security == "starttls" else None,
            user=settings.user,
            password=password,
            sender=sender,
            recipients=settings.to,
        )

    return make


def _secret(setting: str, path: Path) -> str:
    try:
        return read_secret(path)
    except ValueError as error:
        raise BadSettings(f"{setting}: {error}") from None


def _trusted(setting: str, ca: Path | None) -> Any:
    from tunnelcloud.net.trusted_authorities import trusted

    try:
        return trusted(ca)
    except (OSError, ValueError) as error:
        raise BadSettings(f"{setting}: {ca} can't be read: {error}") from None


def _webhook(url: str, secret: str) -> Callable[[Any], Outlet]:
    # Twisted's HTTP client takes half a megabyte.
    from tunnelcloud.net.bounded_connections import OneConnection, bounded_agent
    from tunnelcloud.net.outgoing_tls import HttpsPolicy
    from tunnelcloud.sinks.webhook import WebhookOutlet

    def make(reactor: Any) -> Outlet:
        pool = OneConnection(reactor)
        agent = bounded_agent(reactor, HttpsPolicy(), _MOST_SAID, pool)
        return WebhookOutlet(url, secret.encode("utf-8"), agent, time.time, pool.hang_up)

    return make
