"""Notices get to a mail server, with TLS and a password, or what is in the way is told."""

import json
from email import message_from_string
from email.policy import default
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import LoopingCall
from twisted.internet.tcp import Connection
from twisted.mail.smtp import ESMTP
from twisted.trial.unittest import TestCase

from tests.pod.certificates import write_certificate
from tests.sinks.mail_servers import PASSWORD, USER, MailServer
from tunnelcloud.settings import AuditSettings
from tunnelcloud.settings.notify import NotifySettings
from tunnelcloud.sinks.interfaces import DeliveryFailed
from tunnelcloud.sinks.sinks import make_sinks, notifying


def line(text, **more):
    notice = {"at": "2030-01-01T00:00:00Z", "kind": "site.down", "text": text, **more}
    return json.dumps(notice).encode()


class MailTests(TestCase):
    timeout = 60

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.ca, key = self.directory / "certificate.pem", self.directory / "key.pem"
        write_certificate(self.ca, key, "localhost")
        self.password = self.directory / "password"
        self.password.touch(0o600)
        self.password.write_text(PASSWORD + "\n")
        whole = self.ca.read_bytes() + key.read_bytes()
        self.options = PrivateCertificate.loadPEM(whole).options()

        self.addCleanup(self.all_is_closed)

    def all_is_closed(self):
        """Wait until both ends of each connection are gone."""
        waiting = LoopingCall(
            lambda: (
                any(isinstance(one, Connection) for one in reactor.getReaders()) or waiting.stop()
            )
        )
        return waiting.start(0.02)

    def listen(self, server, listen=reactor.listenTCP, *more):
        port = listen(0, server, *more, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port.getHost().port

    def settings(self, port, **more):
        smtp = {
            "server": f"localhost:{port}",
            "sender": "pod@example.com",
            "to": ["ops@example.com", "boss@example.com"],
            **more,
        }
        return NotifySettings.model_validate({"smtp": smtp})

    def outlet(self, port, **more):
        outlet = notifying(self.settings(port, **more))["notify-smtp"](reactor)
        self.addCleanup(outlet.reopen)
        return outlet

    def signed_in(self):
        return {"user": USER, "password_file": str(self.password), "ca": str(self.ca)}

    async def fails(self, outlet):
        failure = await self.assertFailure(outlet.send([line("x")]), DeliveryFailed)
        return str(failure)

    def coroutine(self, coroutine):
        return Deferred.fromCoroutine(coroutine)

    def test_a_batch_is_one_message_by_starttls(self):
        return self.coroutine(self._a_batch())

    async def _a_batch(self):
        server = MailServer(self.options)
        outlet = self.outlet(self.listen(server), **self.signed_in())
        link = "https://portal.example.com/admin/sites/1"
        await outlet.send([line("site paris is down\r\nBcc: x@y", link=link), line("2. <é>")])
        text, _ = server.messages  # for each recipient
        message = message_from_string(text, policy=default)
        self.assertEqual(
            message["Subject"], "TunnelCloud: site paris is down\\r\\nBcc: x@y (and 1 more)"
        )
        self.assertEqual(
            (message["From"], message["To"]),
            ("pod@example.com", "ops@example.com, boss@example.com"),
        )
        self.assertIsNone(message["Bcc"])
        body = message.get_content()
        for part in (link, "2. <é>", "2030-01-01T00:00:00Z"):
            self.assertIn(part, body)

    def test_tls_from_the_first_byte(self):
        return self.coroutine(self._tls_first())

    async def _tls_first(self):
        server = MailServer()
        port = self.listen(server, reactor.listenSSL, self.options)
        await self.outlet(port, security="tls", ca=str(self.ca)).send([line("x")])
        self.assertEqual(len(server.messages), 2)

    def test_what_is_in_the_way(self):
        return self.coroutine(self._in_the_way())

    async def _in_the_way(self):
        server = MailServer(self.options)
        port, plain = self.listen(server), self.listen(MailServer())
        self.password.write_text("wrong")
        self.assertIn("localhost:", await self.fails(self.outlet(port, **self.signed_in())))
        self.password.write_text(PASSWORD)
        nobody = self.outlet(port, **{**self.signed_in(), "to": ["nobody@example.com"]})
        self.assertIn(f"localhost:{port}: ", await self.fails(nobody))
        for text in (
            await self.fails(self.outlet(plain)),  # no STARTTLS
            await self.fails(self.outlet(port)),  # another authority
            await self.fails(self.outlet(1, security="none")),
        ):
            self.assertTrue(text.isprintable(), text)
        self.assertEqual(server.messages, [])

    def test_a_server_that_hangs_up_and_one_that_says_nothing(self):
        return self.coroutine(self._silent())

    async def _silent(self):
        silent = Factory.forProtocol(Protocol)
        outlet = self.outlet(self.listen(silent), security="none")
        sending = outlet.send([line("x")])
        reactor.callLater(0.1, sending.cancel)
        await self.assertFailure(sending, DeliveryFailed)

        class HangsUp(Protocol):
            def connectionMade(self):
                self.transport.loseConnection()

        outlet = self.outlet(self.listen(Factory.forProtocol(HangsUp)), security="none")
        self.assertIn("localhost:", await self.fails(outlet))

    def test_answers_that_come_before_tls(self):
        """Who is on the way needs no certificate to put them there."""
        return self.coroutine(self._early_answers())

    async def _early_answers(self):
        early = b"250-x\r\n250 y\r\n" + b"250 ok\r\n" * 3 + b"354 go on\r\n250 taken\r\n"

        class Between(Protocol):
            def connectionMade(self):
                self.transport.write(b"220 x\r\n")

            def dataReceived(self, data):
                if data.startswith(b"EHLO"):
                    self.transport.write(b"250-x\r\n250 STARTTLS\r\n")
                elif data.startswith(b"STARTTLS"):
                    self.transport.write(b"220 go on\r\n" + early)

        outlet = self.outlet(self.listen(Factory.forProtocol(Between)), ca=str(self.ca))
        self.assertIn("TLS", await self.fails(outlet))

    def test_an_empty_line_among_what_a_server_can_do(self):
        return self.coroutine(self._empty_line())

    async def _empty_line(self):
        server = MailServer()
        self.patch(ESMTP, "listExtensions", lambda _: b"\n \n8BITMIME")
        await self.outlet(self.listen(server), security="none").send([line("x")])
        self.assertEqual(len(server.messages), 2)

    def test_notices_wait_until_the_server_is_there(self):
        return self.coroutine(self._waits())

    async def _waits(self):
        server, arrived = MailServer(), Deferred()
        port = self.listen(server)
        settings = self.settings(port, security="none")
        sinks = make_sinks(AuditSettings(), settings, self.directory)
        self.assertTrue(sinks.takes_notices)
        sinks.tell({"at": "now", "kind": "site.down", "text": "before the start"})
        sinks.start(reactor)
        self.addCleanup(sinks.stop)
        sinks.tell({"at": "now", "kind": "site.down", "text": "after it"})

        def look():
            if sum(one.delivered for one in sinks.reports()) == 2:
                arrived.callback(None)
            else:
                reactor.callLater(0.02, look)

        look()
        await arrived
        self.assertEqual([one.name for one in sinks.reports()], ["notify-smtp"])
        self.assertIn("before the start", server.messages[0])
