"""The sinks of one pod, made of its settings: what each event becomes, its spool, where it goes."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from OpenSSL import SSL
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS

from tunnelcloud.config import BadSettings, read_secret
from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.settings import AuditSettings
from tunnelcloud.sinks.delivery import Delivery, SinkReport
from tunnelcloud.sinks.files import FileOutlet
from tunnelcloud.sinks.formats import FORMATS, syslog_message
from tunnelcloud.sinks.interfaces import Outlet
from tunnelcloud.sinks.spool import Spool
from tunnelcloud.sinks.syslog import SyslogOutlet
from tunnelcloud.sinks.webhook import OneConnection, WebhookOutlet

DIRECTORY = "spool"
"""Where spools are, in the state directory."""

_CONNECT_SECONDS = 10


@frozen
class Sink:
    """One place that the audit goes to.

    :ivar write: gives an event as a line.
    :ivar make_outlet: makes, of the reactor, what takes lines there.
    """

    name: str
    spool: Spool
    write: Callable[[AuditRecord], bytes]
    make_outlet: Callable[[Any], Outlet]


@define(eq=False)
class Sinks:
    """All sinks of a pod.  Before ``start`` and after ``stop`` events wait in the spools."""

    _sinks: Sequence[Sink]
    _deliveries: dict[str, Delivery] = field(factory=dict, init=False)

    def add(self, records: Sequence[AuditRecord]) -> None:
        """Take what a transaction recorded; from any thread."""
        for sink in self._sinks if records else ():
            lines = [sink.write(record) for record in records]
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
            delivery = Delivery(sink.name, sink.spool, outlet, reactor, chance)
            self._deliveries[sink.name] = delivery
            delivery.start()

    def stop(self) -> None:
        """Deliver no more, and let go of files and connections."""
        for delivery in self._deliveries.values():
            delivery.stop()

    def reopen(self) -> None:
        """Open files again, which something may have moved away."""
        for delivery in self._deliveries.values():
            if delivery.name == "file":
                delivery.outlet.reopen()

    def reports(self) -> Iterator[SinkReport]:
        """Tell how each sink fares."""
        for delivery in self._deliveries.values():
            yield delivery.report()


def make_sinks(settings: AuditSettings, state_directory: Path) -> Sinks:
    """Make the sinks that the settings name; nothing is sent yet.

    :raise OSError: a spool can't be used.
    :raise BadSettings: a secret or a certificate can't be read.
    """
    host = socket.gethostname()
    sinks = []
    for name, (make_outlet, kind) in _makers(settings).items():
        spool = Spool.open(state_directory / DIRECTORY / name, settings.spool)
        sinks.append(Sink(name, spool, _writer(name, kind, host), make_outlet))
    return Sinks(sinks)


def check_sinks(settings: AuditSettings) -> None:
    """Read the files that the settings name, and make nothing.

    :raise BadSettings: a secret or a certificate can't be read.
    """
    _makers(settings)


def _makers(settings: AuditSettings) -> dict[str, tuple[Callable[[Any], Outlet], str]]:
    makers: dict[str, tuple[Callable[[Any], Outlet], str]] = {}
    if settings.file.path is not None:
        makers["file"] = (_file(settings.file.path), settings.file.format)
    if settings.syslog.address is not None:
        makers["syslog"] = (_syslog(settings), settings.syslog.format)
    if settings.webhook.url is not None:
        makers["webhook"] = (_webhook(settings), settings.webhook.format)
    return makers


def _writer(name: str, kind: str, host: str) -> Callable[[AuditRecord], bytes]:
    line = FORMATS[kind]
    if name == "syslog":
        return lambda record: syslog_message(record, line(record), host)
    return lambda record: line(record).encode("ascii")


def _file(path: Path) -> Callable[[Any], Outlet]:
    return lambda _: FileOutlet(path)


def _syslog(settings: AuditSettings) -> Callable[[Any], Outlet]:
    address, ca = settings.syslog.address, settings.syslog.ca
    assert address is not None
    trusted: Any = platformTrust()
    if ca is not None:
        try:
            trusted = trustRootFromCertificates([Certificate.loadPEM(ca.read_bytes())])
        except (OSError, SSL.Error) as error:
            raise BadSettings(f"audit.syslog.ca: {ca} can't be read: {error}") from None

    def make(reactor: Any) -> Outlet:
        options = optionsForClientTLS(address.host, trustRoot=trusted)
        there = HostnameEndpoint(reactor, address.host, address.port, timeout=_CONNECT_SECONDS)
        return SyslogOutlet(str(address), wrapClientTLS(options, there), reactor)

    return make


def _webhook(settings: AuditSettings) -> Callable[[Any], Outlet]:
    url, path = settings.webhook.url, settings.webhook.secret_file
    assert url is not None
    assert path is not None
    try:
        secret = read_secret(path).encode("utf-8")
    except ValueError as error:
        raise BadSettings(f"audit.webhook.secret_file: {error}") from None

    def make(reactor: Any) -> Outlet:
        pool = OneConnection(reactor)
        policy = BrowserLikePolicyForHTTPS()
        agent = Agent(reactor, policy, connectTimeout=_CONNECT_SECONDS, pool=pool)
        return WebhookOutlet(url, secret, agent, time.time, pool.hang_up)

    return make
