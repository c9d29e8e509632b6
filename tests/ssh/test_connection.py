"""A session's channels, signs of life and limits."""

import struct

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import Client
from tests.ssh.fakes import Pod
from tests.ssh.transport_case import data, open_echo
from tunnelcloud.channels.messages import DirectTcpip, Reader, pack_string
from tunnelcloud.ssh.limits import Limits

FORWARD = DirectTcpip(b"echo", 7, b"127.0.0.1\x1b", 5).encode()


class SessionCase(SynchronousTestCase):
    """An open session."""

    limits = Limits()

    def setUp(self) -> None:
        self.clock = Clock()
        self.pod = Pod(self.clock, self.limits)
        self.client = Client(self.pod, clock=self.clock).login()
        self.avatar = self.pod.avatar

    def open(self, channel_type: bytes, rest: bytes = b"", number: int = 0) -> None:
        head = pack_string(channel_type) + struct.pack(">III", number, 1 << 20, 32768)
        self.client.send(b"\x5a" + head + rest)

    def refusal(self) -> tuple[int, str]:
        reader = Reader(self.client.expect(92))
        reader.uint32()
        return reader.uint32(), reader.string().decode()


class NameTests(SynchronousTestCase):
    """What log lines call a connection."""

    def test_a_session_is_named_once_it_is_open(self) -> None:
        """So that its lines and its events in the audit are found together."""
        clock = Clock()
        pod = Pod(clock, Limits())
        client = Client(pod, clock=clock)
        before = client.server.name
        self.assertNotIn("session", before)
        client.login()
        expected = f"{client.server.name.partition(' session')[0]} session {pod.avatar.session_id}"
        self.assertEqual(client.server.name, expected)


class PathTests(SynchronousTestCase):
    """How far away the client is, by what it answered at once."""

    def test_shortest_round_trip(self) -> None:
        """The key exchange and the login's first message tell it; later ones can shorten it."""
        clock = Clock()
        client = Client(Pod(clock, Limits()), clock=clock).identify().send_kexinit()
        client.take_kexinit()
        client.send_kex().expect(21)
        clock.advance(0.3)
        client.write(client.newkeys())
        self.assertAlmostEqual(client.server.path.round_trip or 0, 0.3)
        client.request_login()
        clock.advance(0.1)
        client.send_token().expect(52)
        self.assertAlmostEqual(client.server.path.round_trip or 0, 0.1)


class ChannelTests(SessionCase):
    """What may be opened."""

    limits = Limits(forwards=3, session_channels=2)

    def test_forward(self) -> None:
        """A forward is the avatar's to confirm; data, EOF and close pass."""
        open_echo(self.client)
        self.client.send(data(b"hello"))
        self.client.send(b"\x60\0\0\0\0")
        self.assertEqual(self.client.read(), [data(b"hello"), b"\x60\0\0\0\0", b"\x61\0\0\0\0"])
        self.client.send(b"\x61\0\0\0\0")
        self.assertEqual(self.avatar.echoes[0].ended, "")

    def test_arguments(self) -> None:
        """The avatar hears the host as it was sent, and what the client says of itself escaped."""
        asked = []
        self.avatar.direct_tcpip_requested = lambda *arguments: asked.append(arguments[1:])
        self.open(b"direct-tcpip", DirectTcpip(b"\xffhost", 2**32 - 1, b"a\x1b", 5).encode())
        self.assertEqual(asked, [(b"\xffhost", 2**32 - 1, ("a\\x1b", 5))])

    def test_refused_forward(self) -> None:
        """The avatar's reason reaches the client."""
        self.open(b"direct-tcpip", DirectTcpip(b"db", 1, b"", 0).encode())
        self.assertEqual(self.refusal(), (1, "echo: port 7 is published"))

    def test_malformed_forward(self) -> None:
        """A forward that can't be read ends the connection."""
        self.open(b"direct-tcpip", b"\0\0\0\xff")
        self.assertEqual(self.client.disconnected(), "a message ends inside a field")

    def test_others(self) -> None:
        """Nothing else is served."""
        for name in (b"x11", b"direct-streamlocal@openssh.com", b"auth-agent@openssh.com"):
            self.open(name)
            self.assertEqual(self.refusal(), (1, "only TCP forwards are served"))
        self.open(b"\x1b[2J")
        self.assertEqual(self.refusal(), (3, "unknown channel type"))

    def test_forwards_are_limited(self) -> None:
        """Beyond the limit a forward is refused; sessions are counted apart."""
        for number in range(2):
            self.open(b"session", number=number)
            self.client.expect(91)
        for number in range(3):
            self.open(b"direct-tcpip", FORWARD, number)
            self.client.expect(91)
        self.open(b"direct-tcpip", FORWARD)
        self.assertEqual(self.refusal()[0], 4)

    def test_sessions_are_limited(self) -> None:
        """Beyond the limit a session channel is refused, until one has ended."""
        for number in range(2):
            self.open(b"session", number=number)
            self.client.expect(91)
        self.open(b"session", number=2)
        self.assertEqual(self.refusal(), (4, "more than 2 sessions"))
        self.client.send(b"\x61\0\0\0\0")
        self.client.expect(97)
        self.open(b"session", number=3)
        self.client.expect(91)

    def test_no_more_sessions(self) -> None:
        """A client may give up session channels (OpenSSH does, with -N)."""
        self.client.send(b"\x50" + pack_string(b"no-more-sessions@openssh.com") + b"\0")
        self.open(b"session")
        self.assertEqual(self.refusal()[0], 1)

    def test_global_requests(self) -> None:
        """A keepalive is answered; remote forwards and all else are refused."""
        self.client.send(b"\x50" + pack_string(b"keepalive@openssh.com") + b"\1")
        self.assertEqual(self.client.expect(81), b"")
        for name in (b"tcpip-forward", b"streamlocal-forward@openssh.com", b"x"):
            self.client.send(b"\x50" + pack_string(name) + b"\1" + b"\0\0\0\0\0\0\0\0")
            self.assertEqual(self.client.expect(82), b"")


class LifeTests(SessionCase):
    """Keepalives, both ways."""

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(self.limits.keepalive_seconds)

    def test_silent_client(self) -> None:
        """A silent client is asked; one that doesn't answer three times is dead."""
        self.tick()
        self.assertEqual(self.client.read(), [])
        expected = pack_string(b"keepalive@openssh.com") + b"\1"
        for _ in range(3):
            self.tick()
            self.assertEqual(self.client.expect(80), expected)
        self.assertFalse(self.client.socket.disconnecting)
        self.tick()
        self.assertTrue(self.client.socket.disconnecting)
        self.assertEqual(self.avatar.ended, ["the client does not answer"])

    def test_client_whose_system_lives(self) -> None:
        """One that never answers isn't cut while its system acknowledges, and only so long."""
        self.client.server.seconds_since_acknowledgement = lambda: 1.0
        self.tick(100)
        self.assertFalse(self.client.socket.disconnecting)
        self.client.server.seconds_since_acknowledgement = lambda: 30.0
        self.tick()
        self.assertTrue(self.client.socket.disconnecting)

    def test_living_client(self) -> None:
        """Any byte is a sign of life."""
        for _ in range(20):
            self.tick(2)
            self.client.expect(80)
            self.client.send(b"\x52")
        self.assertFalse(self.client.socket.disconnecting)

    def test_busy_client(self) -> None:
        """A client that sends isn't asked."""
        for _ in range(20):
            self.client.send(b"\x02\0\0\0\0")
            self.tick()
        self.assertEqual(self.client.read(), [])


class LimitTests(SessionCase):
    """Idle and session limits, with their reasons."""

    limits = Limits(keepalive_seconds=10**6)

    def test_idle(self) -> None:
        """A session without traffic ends; keepalives are no traffic, data either way is."""
        self.avatar.connection.limit(80, None)
        open_echo(self.client)
        for _ in range(10):
            self.clock.pump([10] * 6)
            self.client.send(data(b"x"))
            self.client.read()
        self.clock.pump([10] * 6)
        self.client.send(b"\x50" + pack_string(b"keepalive@openssh.com") + b"\1")
        self.assertFalse(self.client.socket.disconnecting)
        self.clock.pump([10] * 3)
        self.assertEqual(self.client.disconnected(), "no traffic for 80 s")
        self.assertEqual(self.avatar.ended, ["no traffic for 80 s"])

    def test_session(self) -> None:
        """The session limit counts from the login, whenever it is set, and may be lifted."""
        connection = self.avatar.connection
        self.clock.advance(50)
        connection.limit(None, 60)
        self.clock.advance(9)
        connection.limit(None, None)
        self.clock.advance(100)
        self.assertFalse(self.client.socket.disconnecting)
        connection.limit(None, 200)
        self.clock.advance(41)
        self.assertEqual(self.client.disconnected(), "the longest time for a session has passed")

    def test_over_already(self) -> None:
        """A limit that has passed ends the session at once."""
        self.clock.advance(50)
        self.avatar.connection.limit(None, 20)
        self.clock.advance(0)
        self.assertTrue(self.client.socket.disconnecting)

    def test_ended_by_the_pod(self) -> None:
        """The pod ends a session with its reason, once."""
        connection = self.avatar.connection
        self.assertEqual(connection.source, "192.0.2.7")
        connection.end("alice was blocked")
        connection.end("again")
        self.assertEqual(self.client.disconnected(), "alice was blocked")
        self.assertEqual(self.avatar.ended, ["alice was blocked"])
        self.assertEqual(self.avatar.logouts, 1)
        self.assertEqual(self.pod.budget.used, 0)
