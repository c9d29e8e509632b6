"""Odd answers of a mail server: nothing secret is told, and nothing fails but the sending."""

import base64
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineReceiver
from twisted.trial.unittest import TestCase

from tests.sinks.mail_servers import PASSWORD, USER
from tests.sinks.test_mail import line
from tunnelcloud.settings.notify import NotifySettings
from tunnelcloud.sinks.interfaces import DeliveryFailed
from tunnelcloud.sinks.sinks import notifying

REPEATED = b"535 what is '%s'?\r\n"


class Scripted(LineReceiver):
    """Answers each line with the next of its answers."""

    answers = ()

    def connectionMade(self):
        self.left = list(self.answers)
        self.transport.write(self.left.pop(0))

    def lineReceived(self, line):
        self.factory.read.append(line)
        if self.left:
            self.transport.write(self.left.pop(0).replace(b"%s", line))


class AnswerTests(TestCase):
    timeout = 60

    def setUp(self):
        self.password = Path(self.mktemp())
        self.password.touch(0o600)
        self.password.write_text(PASSWORD + "\n")

    async def _fails(self, *answers):
        """Send, and give why it failed."""
        server = Factory.forProtocol(type("Server", (Scripted,), {"answers": answers}))
        self.read = server.read = []
        port = reactor.listenTCP(0, server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        smtp = {
            "server": f"localhost:{port.getHost().port}",
            "security": "none",
            "sender": "pod@example.com",
            "to": ["ops@example.com"],
            "user": USER,
            "password_file": str(self.password),
        }
        settings = NotifySettings.model_validate({"smtp": smtp})
        outlet = notifying(settings)["notify-smtp"](reactor)
        self.addCleanup(outlet.reopen)
        failed = await self.assertFailure(outlet.send([line("x")]), DeliveryFailed)
        await deferLater(reactor, 0.1)
        return str(failed)

    async def _refused(self, told, *refusals):
        for kind in (b"PLAIN", b"LOGIN"):
            able = b"250-x\r\n250 AUTH " + kind + b"\r\n"
            asks = [] if kind == b"PLAIN" else [b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"]
            said = await self._fails(b"220 x\r\n", able, *asks, *refusals)
            self.assertIn(told, said)
            words = [sent.decode().rpartition(" ")[2] for sent in self.read]
            secrets = [word for word in words if PASSWORD in self.decoded(word)]
            self.assertTrue(secrets, words)
            for secret in (PASSWORD, *secrets):
                self.assertNotIn(secret, said)

    def decoded(self, word):
        try:
            return base64.b64decode(word, validate=True).decode("utf-8", "replace")
        except ValueError:
            return ""

    def test_a_refusal_without_a_word_tells_no_password(self):
        return Deferred.fromCoroutine(self._refused("535", b"535\r\n", b"535\r\n"))

    def test_a_refusal_that_repeats_what_was_sent_tells_no_password(self):
        return Deferred.fromCoroutine(self._refused("what is '", REPEATED, REPEATED))

    async def _goes_on(self):
        said = await self._fails(b"220 x\r\n", b"250 x\r\nabc\r\ndef\r\nghi\r\n" * 3)
        self.assertTrue(said.isprintable())
        said = await self._fails(b"abc\r\ndef\r\n")
        self.assertIn("Invalid response", said)

    def test_a_server_that_talks_on_behind_the_end(self):
        return Deferred.fromCoroutine(self._goes_on())
