"""The sinks that settings name; a file and a syslog server with TLS at once, over loopback."""

import json
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import LoopingCall
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.domain.values import NOW
from tests.integration.processes import free_port
from tests.pod.certificates import write_certificate
from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.private_files import write_atomically
from tunnelcloud.settings import AuditSettings
from tunnelcloud.settings.notify import NotifySettings
from tunnelcloud.settings_files import BadSettings
from tunnelcloud.sinks.sinks import make_sinks

RECORDS = [
    AuditRecord(f"evt_{number}", NOW, AuditEvent("token.revoked", data={"token_id": f"{number}"}))
    for number in range(300)
]


def audit(**tables):
    return AuditSettings.model_validate(tables)


class MakingTests(SynchronousTestCase):
    def test_none_without_settings(self):
        directory = Path(self.mktemp())
        sinks = make_sinks(audit(), NotifySettings(), directory)
        sinks.add(RECORDS)
        sinks.start(None)
        self.assertEqual(list(sinks.reports()), [])
        sinks.stop()
        self.assertFalse(directory.exists())

    def test_what_can_not_be_read_is_told(self):
        for tables, why in [
            ({"syslog": {"address": "logs", "ca": "/nowhere/ca.pem"}}, "audit.syslog.ca"),
            (
                {"webhook": {"url": "https://siem/", "secret_file": "/nowhere/secret"}},
                "audit.webhook.secret_file",
            ),
        ]:
            error = self.assertRaises(
                BadSettings, make_sinks, audit(**tables), NotifySettings(), Path(self.mktemp())
            )
            self.assertIn(why, str(error))
            self.assertIn("can't be read", str(error))


class SyslogServer(Protocol):
    def connectionMade(self):
        self.factory.open += 1

    def dataReceived(self, data):
        self.factory.data += data

    def connectionLost(self, reason=None):
        self.factory.open -= 1


class LoopbackTests(TestCase):
    timeout = 60

    def test_every_event_gets_to_each_in_order(self):
        directory = Path(self.mktemp())
        directory.mkdir()
        certificate, key = directory / "certificate.pem", directory / "key.pem"
        write_certificate(certificate, key, "localhost")
        options = PrivateCertificate.loadPEM(certificate.read_bytes() + key.read_bytes()).options()
        server = Factory.forProtocol(SyslogServer)
        server.data, server.open = b"", 0
        syslog_port = reactor.listenSSL(0, server, options, interface="127.0.0.1")
        sinks = make_sinks(
            audit(
                file={"path": str(directory / "audit.log"), "format": "ecs"},
                syslog={
                    "address": f"localhost:{syslog_port.getHost().port}",
                    "ca": str(certificate),
                },
            ),
            NotifySettings(),
            directory,
        )
        sinks.add(RECORDS[:100])  # before it starts
        sinks.start(reactor)
        sinks.add(RECORDS[100:])
        looking = LoopingCall(
            lambda: all(one.delivered == 300 for one in sinks.reports()) and looking.stop()
        )

        def compare(_):
            ids = [record.id for record in RECORDS]
            written = (directory / "audit.log").read_text().splitlines()
            self.assertEqual([json.loads(line)["event"]["id"] for line in written], ids)
            self.assertEqual([json.loads(text)["id"] for text in unframed(server.data)], ids)
            self.assertEqual([one.waiting_bytes for one in sinks.reports()], [0, 0])

        def close(result):
            sinks.stop()
            syslog_port.stopListening()
            waiting = LoopingCall(lambda: server.open or waiting.stop())
            return waiting.start(0.02).addCallback(lambda _: result)

        return looking.start(0.02).addCallback(compare).addBoth(close)

    def test_a_webhook_that_is_down_says_so_once(self):
        """Twisted's agent would log two lines for each try."""
        logged = []
        globalLogPublisher.addObserver(logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)
        directory = Path(self.mktemp())
        secret = directory / "secret"
        directory.mkdir()
        write_atomically(secret, b"a secret")
        webhook = {"url": f"http://127.0.0.1:{free_port()}/", "secret_file": str(secret)}
        sinks = make_sinks(audit(webhook=webhook), NotifySettings(), directory)
        sinks.add(RECORDS[:1])
        sinks.start(reactor)
        self.addCleanup(sinks.stop)
        looking = LoopingCall(
            lambda: all(one.failures > 1 for one in sinks.reports()) and looking.stop()
        )

        def compare(_):
            lines = [formatEvent(one) for one in logged]
            self.assertEqual(len([one for one in lines if "doesn't take the audit" in one]), 1)
            self.assertEqual([one for one in lines if "factory" in one], [])

        return looking.start(0.02).addCallback(compare)


def unframed(data):
    """Take frames apart, and give what is behind each header."""
    found = []
    while data:
        size, _, rest = data.partition(b" ")
        message, data = rest[: int(size)], rest[int(size) :]
        found.append(message.split(b" - ", 2)[2])
    return found
