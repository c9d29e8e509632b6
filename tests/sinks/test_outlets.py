"""What each outlet does with a batch: all of it gets there, or it fails and says why."""

import hashlib
import hmac
import os
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent as HttpAgent
from twisted.web.client import ResponseFailed
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IResponse
from zope.interface import implementer

from tunnelcloud.net.bounded_connections import OneConnection
from tunnelcloud.sinks.files import FileOutlet
from tunnelcloud.sinks.interfaces import DeliveryFailed
from tunnelcloud.sinks.syslog import LOOK_SECONDS, SyslogOutlet, frame
from tunnelcloud.sinks.webhook import SIGNATURE, WebhookOutlet


class FileTests(SynchronousTestCase):
    def setUp(self):
        self.path = Path(self.mktemp())
        self.outlet = FileOutlet(self.path)
        self.addCleanup(self.outlet.reopen)

    def test_whole_lines_for_the_group_to_read(self):
        self.addCleanup(os.umask, os.umask(0o022))
        self.successResultOf(self.outlet.send([b"1", b"2"]))
        self.successResultOf(self.outlet.send([b"3"]))
        self.assertEqual(self.path.read_bytes(), b"1\n2\n3\n")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)

    def test_moved_away_it_is_made_again_when_told(self):
        self.successResultOf(self.outlet.send([b"1"]))
        moved = self.path.with_suffix(".1")
        self.path.rename(moved)
        self.successResultOf(self.outlet.send([b"2"]))
        self.outlet.reopen()
        self.successResultOf(self.outlet.send([b"3"]))
        self.assertEqual((moved.read_bytes(), self.path.read_bytes()), (b"1\n2\n", b"3\n"))

    def test_a_directory_that_is_not_there(self):
        outlet = FileOutlet(Path("/nowhere/audit.log"))
        failure = self.failureResultOf(outlet.send([b"1"]), DeliveryFailed)
        self.assertIn("/nowhere/audit.log: No such file", failure.getErrorMessage())

    def test_a_full_disk_leaves_no_half_of_a_batch(self):
        self.successResultOf(self.outlet.send([b"1"]))
        write = os.write

        def little(descriptor, data):
            if len(data) < 5:
                raise OSError(28, "No space left on device")
            return write(descriptor, data[:5])

        patch = self.patch(os, "write", little)
        self.failureResultOf(self.outlet.send([b"234567"]), DeliveryFailed)
        patch.restore()
        self.assertEqual(self.path.read_bytes(), b"1\n")

    def test_a_pipe_is_refused_and_nobody_waits_for_its_reader(self):
        os.mkfifo(self.path)
        self.failureResultOf(self.outlet.send([b"1"]), DeliveryFailed)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        failure = self.failureResultOf(self.outlet.send([b"1"]), DeliveryFailed)
        self.assertIn("is no regular file", str(failure.value))

    def test_a_link_that_somebody_put_there_is_not_followed(self):
        self.path.symlink_to("/nowhere")
        self.failureResultOf(self.outlet.send([b"1"]), DeliveryFailed)


@implementer(IResponse)
class Response:
    def __init__(self, code):
        self.code = code
        self.reader = None

    def deliverBody(self, protocol):
        self.reader = protocol


@implementer(IAgent)
class Agent:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def request(self, method, uri, headers=None, bodyProducer=None):
        self.asked.append((method, uri, headers, bodyProducer._inputFile.getvalue()))
        answer = self.answers.pop(0)
        return fail(answer) if isinstance(answer, Exception) else succeed(Response(answer))


class WebhookTests(SynchronousTestCase):
    def send(self, answer, url="https://siem.example.com/in"):
        self.agent = Agent(answer)
        self.hung_up = []
        hang_up = partial(self.hung_up.append, True)
        outlet = WebhookOutlet(url, b"secret", self.agent, lambda: 1_700_000_000.9, hang_up)
        return outlet.send([b"1", b"2"])

    def test_signed_with_its_time(self):
        self.successResultOf(self.send(204))
        ((method, uri, headers, body),) = self.agent.asked
        self.assertEqual((method, uri, body), (b"POST", b"https://siem.example.com/in", b"1\n2\n"))
        expected = hmac.new(b"secret", b"1700000000.1\n2\n", hashlib.sha256).hexdigest()
        self.assertEqual(headers.getRawHeaders(SIGNATURE), [f"t=1700000000,v1={expected}"])
        self.assertEqual(headers.getRawHeaders("content-type"), ["application/x-ndjson"])

    def test_an_endless_answer_is_cut_off(self):
        response = Response(200)
        self.patch(Agent, "request", lambda *_: succeed(response))
        self.successResultOf(self.send(200))
        response.reader.dataReceived(b"x" * 60_000)
        self.assertEqual(self.hung_up, [])
        response.reader.dataReceived(b"x" * 60_000)
        self.assertEqual(self.hung_up, [True])

    def test_a_token_in_the_address_is_not_told(self):
        for answer in (500, ConnectError(string="refused")):
            sending = self.send(answer, "https://siem.example.com:8443/hidden?token=hidden")
            text = self.failureResultOf(sending, DeliveryFailed).getErrorMessage()
            self.assertIn("https://siem.example.com:8443", text)
            self.assertNotIn("hidden", text)

    def test_any_other_answer_is_a_failure(self):
        for code in (302, 400, 404, 413, 500, 503):
            failure = self.failureResultOf(self.send(code), DeliveryFailed)
            self.assertIn(f"answered {code}", failure.getErrorMessage())

    def test_no_answer_says_why(self):
        for error, why in [
            (ConnectError(string="refused"), "refused"),
            (ResponseFailed([Failure(ConnectionLost())]), "lost"),
        ]:
            failure = self.failureResultOf(self.send(error), DeliveryFailed)
            self.assertIn(why, failure.getErrorMessage())


class Stubborn(StringTransport):
    """A wire whose other end doesn't agree that it is over."""

    aborted = False

    def loseConnection(self):
        self.disconnecting = True

    def abortConnection(self):
        self.aborted = True


@implementer(IAgentEndpointFactory)
class Wires:
    def __init__(self):
        self.wires = []

    def endpointForURI(self, uri):
        return self

    def connect(self, factory):
        protocol = factory.buildProtocol(None)
        self.wires.append(Stubborn())
        self.wires[-1].protocol = protocol
        protocol.makeConnection(self.wires[-1])
        return succeed(protocol)


class OneConnectionTests(SynchronousTestCase):
    def setUp(self):
        self.endpoint = Wires()
        self.pool = OneConnection(Clock())

    def test_an_answer_without_an_end_holds_no_descriptor_beyond_the_next_batch(self):
        agent = HttpAgent.usingEndpointFactory(Clock(), self.endpoint, self.pool)
        wires = self.endpoint.wires
        for number in range(3):
            asking = agent.request(b"POST", b"https://siem.example.com/")
            wires[-1].protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
            self.assertEqual(self.successResultOf(asking).code, 200)
            self.assertEqual([one.aborted for one in wires], [*[True] * number, False])
        self.pool.hang_up()
        self.assertTrue(wires[-1].aborted)

    def test_one_that_is_over_is_left_alone(self):
        protocol = self.successResultOf(self.pool.getConnection("key", self.endpoint))
        protocol.connectionLost(Failure(ConnectionLost()))
        self.pool.hang_up()
        self.pool.hang_up()
        self.assertFalse(self.endpoint.wires[0].aborted)


class Transport(StringTransport):
    """A wire whose other end acknowledges when the test says so."""

    def __init__(self):
        super().__init__()
        self.unacknowledged = 0

    def write(self, data):
        super().write(data)
        self.unacknowledged += len(data)


class Endpoint:
    def __init__(self):
        self.connections = []
        self.refuse = False
        self.make_transport = Transport

    def connect(self, factory):
        if self.refuse:
            return fail(ConnectError(string="refused"))
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(self.make_transport())
        self.connections.append(protocol)
        return succeed(protocol)


class SyslogTests(SynchronousTestCase):
    def setUp(self):
        self.endpoint, self.clock = Endpoint(), Clock()
        self.outlet = SyslogOutlet(
            "logs:6514", self.endpoint, self.clock, lambda transport: transport.unacknowledged
        )

    def written(self, at=-1):
        return self.endpoint.connections[at].transport.value()

    def acknowledge(self):
        self.endpoint.connections[-1].transport.unacknowledged = 0
        self.clock.advance(LOOK_SECONDS)

    def test_frames(self):
        self.assertEqual(frame(b"<110>1 - -"), b"10 <110>1 - -")

    def test_taken_when_the_other_system_has_it_all(self):
        sending = self.outlet.send([b"one", b"three"])
        self.assertEqual(self.written(), b"")
        self.endpoint.connections[0].handshakeCompleted()
        self.assertEqual(self.written(), b"3 one5 three")
        self.clock.advance(1)
        self.assertNoResult(sending)
        self.acknowledge()
        self.successResultOf(sending)
        again = self.outlet.send([b"2"])
        self.assertEqual(self.written(), b"3 one5 three1 2")
        self.acknowledge()
        self.successResultOf(again)
        self.assertEqual((len(self.endpoint.connections), self.clock.getDelayedCalls()), (1, []))

    def test_what_tls_gathers_is_not_taken_yet(self):
        """Twisted's TLS writes at the reactor's next turn; until then nothing waits for anybody."""
        later = self.clock.callLater

        class Gathering(Transport):
            def write(self, data):
                later(0, Transport.write, self, data)

        self.endpoint.make_transport = Gathering
        sending = self.outlet.send([b"one"])
        self.endpoint.connections[0].handshakeCompleted()
        self.assertNoResult(sending)
        self.clock.advance(0)
        self.assertEqual(self.written(), b"3 one")
        self.clock.advance(LOOK_SECONDS)
        self.assertNoResult(sending)
        self.endpoint.connections[0].connectionLost(Failure(ConnectionLost("reset")))
        self.failureResultOf(sending, DeliveryFailed)

    def test_lost_before_that_it_failed(self):
        for shake in (True, False):
            sending = self.outlet.send([b"one"])
            connection = self.endpoint.connections[-1]
            if shake:
                connection.handshakeCompleted()
            connection.connectionLost(Failure(ConnectionLost("reset")))
            failure = self.failureResultOf(sending, DeliveryFailed)
            self.assertIn("the connection was lost", failure.getErrorMessage())
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.outlet.send([b"one"])
        self.assertEqual(len(self.endpoint.connections), 3)

    def test_lost_while_nothing_is_sent(self):
        sending = self.outlet.send([b"one"])
        self.endpoint.connections[0].handshakeCompleted()
        self.acknowledge()
        self.successResultOf(sending)
        self.endpoint.connections[0].connectionLost(Failure(ConnectionLost()))
        self.outlet.send([b"two"])
        self.endpoint.connections[1].handshakeCompleted()
        self.assertEqual(self.written(), b"3 two")

    def test_given_up_it_ends_the_connection(self):
        sending = self.outlet.send([b"one"])
        sending.cancel()
        self.failureResultOf(sending)
        self.assertTrue(self.endpoint.connections[0].transport.disconnected)

    def test_nobody_there(self):
        self.endpoint.refuse = True
        failure = self.failureResultOf(self.outlet.send([b"one"]), DeliveryFailed)
        self.assertIn("logs:6514 can't be reached", failure.getErrorMessage())

    def test_given_up_while_it_connects(self):
        connecting = Deferred()
        self.endpoint.connect = lambda factory: connecting
        sending = self.outlet.send([b"one"])
        sending.cancel()
        self.failureResultOf(sending, DeliveryFailed)
