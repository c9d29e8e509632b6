"""What connectors of earlier versions say, said again to this version's pod.

``tests.link.transcribe`` writes such a file for each release.
"""

import json
from pathlib import Path

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from tests.channels.wires import End as StreamEnd
from tests.link.links import AUTHORITY, Owner
from tests.link.tls_wires import link_tls, now, only
from tests.link.transcribe import SIZES, transcribe
from tunnelcloud.channels.messages import Reader
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.link.framing import FrameReader
from tunnelcloud.link.protocol import End, LinkProtocol
from tunnelcloud.link.requests import PING, RENEW, Hello
from tunnelcloud.link.tls import PodTLS
from tunnelcloud.link.transport import LinkTransportFactory

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.json"))
_GLOBAL_REQUEST, _SUCCESS, _FAILURE = 80, b"\x51", b"\x52"


class Said(Protocol):
    """Says what was written down, and replies as any version does to requests it doesn't know."""

    def connectionMade(self):
        self.frames = FrameReader()
        self.is_lost = False

    def say(self, message):
        self.transport.write(len(message).to_bytes(4) + message)

    def dataReceived(self, data):
        for message in self.frames.feed(data):
            if message[0] != _GLOBAL_REQUEST:
                continue
            reader = Reader(bytes(message[1:]))
            name, wants_reply = reader.string(), reader.boolean()
            if wants_reply:
                self.say(_SUCCESS if name == PING else _FAILURE)

    def connectionLost(self, reason):
        self.is_lost = True


class Replay:
    """This version's pod, and a connector of a transcript."""

    def __init__(self, path):
        self.steps = json.loads(path.read_text())
        self.clock, self.owner, self.renewals = Clock(), Owner(), []
        self.budget = CreditBudget()
        self.pod = LinkProtocol(
            End.POD,
            Hello("pod-1", "now"),
            self.owner,
            self.clock,
            account=self.budget.account(),
            handlers={RENEW: self.renew},
        )
        self.said = Said()
        server = LinkTransportFactory(
            PodTLS(only(AUTHORITY), now), False, Factory.forProtocol(lambda: self.pod), self.clock
        ).buildProtocol(None)
        client = TLSMemoryBIOFactory(
            link_tls(AUTHORITY), True, Factory.forProtocol(lambda: self.said), self.clock
        ).buildProtocol(None)
        self._pump = iosim.connect(
            server,
            iosim.FakeTransport(server, True),
            client,
            iosim.FakeTransport(client, False),
            greet=False,
        )
        self.run()

    def renew(self, link, document):
        self.renewals.append(document)
        return {}

    def run(self):
        for _ in range(50):
            self._pump.pump()
            self.clock.advance(0)

    def play(self, step):
        for message in self.steps[step]:
            self.said.say(bytes.fromhex(message))
        self.run()

    def open(self):
        near = StreamEnd()
        near.channel = self.pod.open_channel(b"direct-tcpip", b"", near, self.budget.account())
        self.run()
        return near


class TranscriptTests(SynchronousTestCase):
    def test_connectors_of_each_version_are_served(self):
        self.assertGreater(len(TRANSCRIPTS), 3)
        for path in TRANSCRIPTS:
            self.serve(Replay(path), path.stem)

    def serve(self, replay, version):
        replay.play("hello")
        self.assertTrue(replay.pod.ready, version)
        self.assertEqual((replay.pod.peer.name, replay.pod.peer.software), ("paris-1", "0.2"))
        near = replay.open()
        replay.play("opened")
        self.assertTrue(near.is_open, version)
        near.write(SIZES[0])
        replay.run()
        replay.play("carried")
        self.assertEqual(near.received, SIZES[1], version)
        replay.play("ended")
        self.assertTrue(near.eof_seen, version)
        refused = replay.open()
        replay.play("refused")
        self.assertEqual(refused.failure, (2, "connection refused"), version)
        replay.play("renewal")
        self.assertEqual([one["certificate_request"] for one in replay.renewals], ["CSR"], version)
        replay.play("drained")
        self.assertTrue(replay.pod.peer_drains, version)
        self.assertFalse(replay.said.is_lost, version)

    def test_a_transcript_of_this_version_has_the_same_steps(self):
        """Whoever adds a step adds it to what is served here, too."""
        steps = transcribe()
        for path in TRANSCRIPTS:
            self.assertEqual(list(json.loads(path.read_text())), list(steps), path.stem)
