"""How a connection ends, and what a peer that wants no good can make it hold or do."""

import io
import struct

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import Client
from tests.ssh.fakes import Pod
from tests.ssh.transport_case import LogCase, open_echo
from tunnelcloud.channels.messages import DirectTcpip, pack_string
from tunnelcloud.net.spreading import STEPS_A_TURN
from tunnelcloud.ssh.message_gate import Phase


class EndTests(LogCase):
    """How connections end."""

    def test_stuck_peer(self) -> None:
        """A peer that doesn't take the DISCONNECT is aborted after 5 s."""
        client = Client().login()
        client.server.sendDisconnect(11, "enough")
        client.clock.advance(4.9)
        self.assertFalse(client.socket.aborted)
        client.clock.advance(0.2)
        self.assertTrue(client.socket.aborted)

    def test_prompt_peer(self) -> None:
        """One that goes is not aborted, and no timer is left."""
        client = Client().login()
        client.server.loseConnection()
        client.lose()
        self.assertEqual(client.clock.getDelayedCalls(), [])
        self.assertFalse(client.socket.aborted)

    def test_the_ends_of_many_channels_are_spread(self) -> None:
        """A session's channels end a few in each turn of the reactor, and then the session."""
        client = Client().login()
        for number in range(4 * STEPS_A_TURN):
            open_echo(client, number=number)
        avatar = client.pod.avatar
        client.server.connectionLost(Failure(ConnectionDone()))
        ended = [echo.ended for echo in avatar.echoes if echo.ended is not None]
        self.assertLessEqual(len(ended), STEPS_A_TURN)
        self.assertEqual((avatar.ended, avatar.logouts), ([], 0))
        avatar.connection.limit(10, 10)  # too late
        client.clock.advance(0)
        reason = "the client closed the connection"
        self.assertEqual({echo.ended for echo in avatar.echoes}, {reason})
        self.assertEqual((avatar.ended, avatar.logouts), ([reason], 1))
        self.assertEqual(client.pod.budget.used, 0)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_no_timers_left(self) -> None:
        """Whenever a client goes, no timer of its connection is left."""
        for go in (
            lambda client: client,
            lambda client: client.identify(),
            lambda client: client.identify().send_kexinit(),
            lambda client: client.secure(),
            lambda client: client.login(),
            lambda client: client.login().send_kexinit(),
        ):
            client = Client()
            go(client)
            client.lose()
            self.assertEqual(client.clock.getDelayedCalls(), [])
            self.assertEqual(client.pod.factory.connections, set())
            self.assertEqual(client.pod.flood.counters()["starting"], 0)

    def test_goodbye(self) -> None:
        """The client's reason is kept, escaped."""
        client = Client().login()
        text = pack_string(b"by \x1b[1muser")
        client.send(b"\x01\0\0\0\x0b" + text + pack_string(b""))
        self.assertEqual(client.pod.avatar.ended, ["the client disconnected: by \\x1b[1muser"])
        self.assertEqual(client.pod.avatar.logouts, 1)

    def test_lost(self) -> None:
        """A connection that is lost ends its session once."""
        client = Client().login()
        open_echo(client)
        client.lose()
        self.assertEqual(client.pod.avatar.ended, ["the client closed the connection"])
        self.assertEqual(client.pod.avatar.echoes[0].ended, "the client closed the connection")

    def test_exception(self) -> None:
        """An exception ends its own connection, with one line that names it, and no other."""
        clock = Clock()
        pod = Pod(clock)
        pod.access.tokens["other"] = "alice"
        victim, bystander = Client(pod, clock=clock).login(), Client(pod, clock=clock)
        bystander.secure().send_token("other")
        (avatar, _) = pod.realm.avatars.values()
        avatar.direct_tcpip_requested = lambda *arguments: 1 // 0
        head = pack_string(b"direct-tcpip") + struct.pack(">III", 0, 1 << 20, 32768)
        victim.send(b"\x5a" + head + DirectTcpip(b"echo", 7, b"127.0.0.1", 5).encode())
        self.assertEqual(victim.disconnected(), "internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        name = "ssh 192.0.2.7 port 4000 session session-1"
        self.assertEqual(self.lines, [f"{name}: ended by a fault of this program"])
        self.assertFalse(bystander.socket.disconnecting)
        self.assertEqual(avatar.ended, ["internal error"])

    def test_many_ends(self) -> None:
        """A factory ends all, or those that haven't logged in."""
        clock = Clock()
        pod = Pod(clock)
        session, stranger = Client(pod, clock=clock).login(), Client(pod, clock=clock).secure()
        pod.factory.end_unauthenticated("the pod is draining")
        self.assertEqual(stranger.disconnected(), "the pod is draining")
        self.assertIs(session.server.phase, Phase.OPEN)
        pod.factory.end_all("the pod stops")
        self.assertEqual(session.disconnected(), "the pod stops")


class NoiseTests(SynchronousTestCase):
    """What may come at any time, to no effect, still takes the reactor's time."""

    noise = (
        b"\x02" + pack_string(b""),
        b"\x03" + bytes(4),
        b"\x04\0" + pack_string(b"") + pack_string(b""),
    )

    def test_before_login(self) -> None:
        """A stranger gets a hundred of them, whenever; a user has an allowance."""
        client = Client().identify().exchange_keys()
        for _ in range(16):
            client.write(b"".join(map(client.seal, self.noise)))
        client.request_login()
        for _ in range(17):
            client.write(b"".join(map(client.seal, self.noise)))
        self.assertFalse(client.socket.disconnecting)
        client.write(b"".join(map(client.seal, self.noise)))
        self.assertEqual(client.disconnected(), "too many messages without a meaning")
        self.assertEqual(client.pod.flood.counters()["offences"], 2)

    def test_after_login(self) -> None:
        """Hundreds at once, time and again, and also while rekeying."""
        client = Client().login()
        for _ in range(2):
            for _ in range(200):
                client.write(b"".join(map(client.seal, self.noise)))
            self.assertFalse(client.socket.disconnecting)
            client.clock.advance(14)
            client.send_kexinit()


class MemoryTests(SynchronousTestCase):
    """Promise 1: what a stranger can make the pod hold."""

    def test_before_login(self) -> None:
        """A packet of the largest size allowed, one byte short: that is all that is held."""
        client = Client().secure()
        held = io.BytesIO()
        packet = client.seal(b"\x32" + bytes(34_900))[:-1]
        client.write(packet)
        held.write(bytes(client.server.reader._buffer))
        self.assertLess(held.tell(), 40_000)
        client.write(client.seal(b"\x02" + bytes(40_000)))
        self.assertTrue(client.socket.disconnecting)
