"""Notices get to a web address, signed; they wait until it takes them."""

import hashlib
import hmac
import json
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tunnelcloud.settings import AuditSettings
from tunnelcloud.settings.notify import NotifySettings
from tunnelcloud.sinks.sinks import make_sinks
from tunnelcloud.sinks.webhook import SIGNATURE


class Receiver(Resource):
    """Takes notices; the first try finds it busy."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.asked, self.taken = 0, []

    def render_POST(self, request):
        self.asked += 1
        if self.asked == 1:
            request.setResponseCode(503)
        else:
            self.taken.append((request.getHeader(SIGNATURE), request.content.read()))
        return b""


class NotifyWebhookTests(TestCase):
    timeout = 60

    def test_a_notice_is_signed_and_tried_again(self):
        return Deferred.fromCoroutine(self._signed())

    async def _signed(self):
        directory, receiver = Path(self.mktemp()), Receiver()
        directory.mkdir()
        secret = directory / "secret"
        secret.touch(0o600)
        secret.write_text("the secret\n")
        port = reactor.listenTCP(0, Site(receiver), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"http://127.0.0.1:{port.getHost().port}/hook"
        webhook = {"url": url, "secret_file": str(secret)}
        settings = NotifySettings.model_validate({"webhook": webhook})
        sinks = make_sinks(AuditSettings(), settings, directory)
        sinks.start(reactor)
        self.addCleanup(sinks.stop)
        notice = {"kind": "site.down", "text": "site paris is down"}
        sinks.tell(notice)
        waiting = LoopingCall(
            lambda: all(one.delivered for one in sinks.reports()) and waiting.stop()
        )
        await waiting.start(0.02)
        ((signed, body),) = receiver.taken
        self.assertEqual(json.loads(body), notice)
        seconds = signed.partition(",")[0].removeprefix("t=")
        mac = hmac.new(b"the secret", f"{seconds}.".encode() + body, hashlib.sha256)
        self.assertEqual(signed, f"t={seconds},v1={mac.hexdigest()}")
        self.assertEqual([one.failures for one in sinks.reports()], [1])
