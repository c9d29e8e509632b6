"""One connection from accept to open: keys, deadlines, rekeying, flow, the end."""

import io
import os
import struct

from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import ALL_CIPHERS, IDENTIFICATION, Client, Keys
from tests.ssh.fakes import HOST_KEY, Pod
from tunnelcloud.channels.messages import DirectTcpip, Reader, pack_string
from tunnelcloud.ssh.algorithms import AES_GCM, USER_KEY_TYPES
from tunnelcloud.ssh.gate import Phase
from tunnelcloud.ssh.limits import Limits


def open_echo(client: Client, window: int = 1 << 20) -> None:
    """Open a forward to the echo."""
    head = pack_string(b"direct-tcpip") + struct.pack(">III", 0, window, 32768)
    client.send(b"\x5a" + head + DirectTcpip(b"echo", 7, b"127.0.0.1", 5).encode())
    client.expect(91)


def data(payload: bytes) -> bytes:
    return b"\x5e\0\0\0\0" + pack_string(payload)


class LogCase(SynchronousTestCase):
    """Keeps what is logged at info or above."""

    def setUp(self) -> None:
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: dict) -> None:
        namespace = event.get("log_namespace") or ""
        if event["log_level"].name != "debug" and namespace.startswith("tunnelcloud"):
            self.lines.append(event["log_format"].format(**event))


class KeyExchangeTests(LogCase):
    """From the identification to a login."""

    def test_every_cipher(self) -> None:
        """With each cipher, strict or not, a client logs in and moves data."""
        for keys in ALL_CIPHERS:
            for strict in (True, False):
                client = Client(keys=evolve(keys, strict=strict)).login()
                self.assertEqual(client.host_key, HOST_KEY.blob())
                self.assertEqual(client.server.agreement.cipher_in, keys.cipher)
                open_echo(client)
                client.send(data(b"x" * 5000))
                self.assertIn(data(b"x" * 5000), client.read())

    def test_signals(self) -> None:
        """Strict kex and extensions are advertised."""
        proposal = Client().identify().send_kexinit().take_kexinit()
        self.assertIn(b"kex-strict-s-v00@openssh.com", proposal.key_exchanges)
        self.assertIn(b"ext-info-s", proposal.key_exchanges)

    def test_server_sig_algs(self) -> None:
        """The first message after NEWKEYS lists the users' algorithms, not the host's."""
        client = Client().identify().exchange_keys()
        reader = Reader(client.expect(7))
        self.assertEqual(reader.uint32(), 1)
        self.assertEqual(reader.string(), b"server-sig-algs")
        self.assertEqual(tuple(reader.string().split(b",")), tuple(USER_KEY_TYPES))

    def test_no_extensions(self) -> None:
        """Who doesn't ask for extensions gets none."""
        client = Client(keys=Keys(extensions=False)).login()
        self.assertEqual(client.read(), [])

    def test_all_in_one_read(self) -> None:
        """NEWKEYS and what follows it may come in one read: keys switch between two packets."""
        client = Client().identify().send_kexinit()
        client.take_kexinit()
        client.send_kex()
        client.expect(21)
        login = b"\x05" + pack_string(b"ssh-userauth")
        client.write(client.newkeys() + client.seal(login))
        client.expect(7)
        self.assertEqual(client.expect(6), pack_string(b"ssh-userauth"))

    def test_identification_in_pieces(self) -> None:
        """The line may come byte by byte, and the KEXINIT with its end."""
        client = Client()
        for byte in IDENTIFICATION:
            client.write(bytes((byte,)))
        kexinit = b"\x14" + client.keys.proposal().encode(bytes(16))
        client.write(b"\r\n" + client.seal(kexinit))
        client.take_kexinit()
        self.assertEqual(client.server.client_version, "test")

    def test_bad_identification(self) -> None:
        """What isn't SSH 2 is told so in plain text, once, and let go."""
        for line in (b"GET / HTTP/1.1\r\n", b"SSH-1.5-old\r\n", b"SSH-2.0-\r\n", b"x" * 300):
            client = Client()
            client.write(line)
            self.assertIn(b"Invalid SSH identification string.\r\n", client.socket.value())
            self.assertTrue(client.socket.disconnecting)

    def test_steering(self) -> None:
        """A client's KEXINIT that comes at once is answered with AES-GCM alone."""
        client = Client(keys=Keys(b"aes128-gcm@openssh.com")).identify()
        proposal = evolve(
            client.keys.proposal(),
            ciphers_in=(b"chacha20-poly1305@openssh.com", *AES_GCM),
            ciphers_out=(b"chacha20-poly1305@openssh.com", *AES_GCM),
        )
        client.send_kexinit(proposal)
        self.assertEqual(client.take_kexinit().ciphers_in, AES_GCM)

    def test_waiting_client(self) -> None:
        """A client that waits for our KEXINIT gets all of it after a quarter of a second."""
        client = Client().identify()
        client.clock.advance(0.24)
        self.assertEqual(client.read(), [])
        client.clock.advance(0.02)
        self.assertEqual(len(client.take_kexinit().ciphers_in), 6)
        client.send_kexinit().send_kex()
        client.expect(21)

    def test_a_slow_login_is_not_taken_for_waiting(self) -> None:
        """Once keys are agreed on, the quarter of a second has nothing left to start."""
        client = Client().identify()
        client.send_kexinit()
        client.take_kexinit()
        client.send_kex()
        client.expect(21)
        client.clock.advance(0.3)
        self.assertNotIn(20, [message[0] for message in client.read()])

    def test_bad_public_values(self) -> None:
        """A public value that is too short, or of small order, ends the key exchange."""
        for value in (b"", bytes(31), bytes(32), bytes(33)):
            client = Client().identify().send_kexinit()
            client.take_kexinit()
            client.send(b"\x1e" + pack_string(value))
            self.assertEqual(client.disconnected(), "a bad public value")
        client = Client().identify().send_kexinit()
        client.take_kexinit()
        client.send(b"\x1e\xff\xff\xff\xff")
        self.assertEqual(client.disconnected(), "a bad public value")

    def test_nothing_in_common(self) -> None:
        """What is missing is named."""
        for change, text in (
            ({"key_exchanges": (b"diffie-hellman-group14-sha1",)}, "no common key exchange"),
            ({"host_keys": (b"ssh-rsa",)}, "no common host key algorithm"),
            ({"ciphers_in": (b"aes128-cbc",)}, "no common cipher"),
            ({"compressions_out": (b"zlib",)}, "no common compression"),
        ):
            client = Client().identify()
            client.send_kexinit(evolve(client.keys.proposal(), **change))
            self.assertEqual(client.disconnected(), text)

    def test_ext_info(self) -> None:
        """The client's EXT_INFO is skipped, however large, but only in its place."""
        client = Client().identify().exchange_keys()
        client.send(b"\x07\xff\xff\xff\xff" + bytes(30_000))
        client.request_login()
        client = Client().identify().exchange_keys()
        client.send(b"\x02\0\0\0\0" + bytes(600))
        client.send(b"\x07\0\0\0\0")
        self.assertEqual(client.disconnected(), "EXT_INFO out of place")

    def test_other_services(self) -> None:
        """There is no service but the login."""
        for name in (b"ssh-connection", b"ssh-userauth2", b"\x1b[2J"):
            client = Client().identify().exchange_keys()
            client.send(b"\x05" + pack_string(name))
            self.assertTrue(client.disconnected().startswith("no service "))
        self.assertIn("'\\\\x1b[2J'", self.lines[-1])


class DeadlineTests(LogCase):
    """Ten, twenty and sixty seconds from the accepted socket, whatever the client does."""

    def test_identification(self) -> None:
        """Ten seconds for the identification line, even if it drips."""
        client = Client()
        for byte in b"SSH-2.0-x"[:9]:
            client.write(bytes((byte,)))
            client.clock.advance(1)
        self.assertFalse(client.socket.disconnecting)
        client.clock.advance(1)
        self.assertTrue(client.socket.disconnecting)

    def test_key_exchange(self) -> None:
        """Twenty seconds for the keys."""
        client = Client()
        client.clock.advance(9)
        client.identify().send_kexinit()
        client.clock.advance(10.9)
        self.assertFalse(client.socket.disconnecting)
        client.clock.advance(0.2)
        self.assertEqual(client.disconnected(), "this took too long")

    def test_login(self) -> None:
        """Sixty seconds for the login, whatever is tried meanwhile."""
        client = Client().secure()
        for _ in range(5):
            client.clock.advance(11.9)
            client.send_token("wrong")
        client.clock.advance(0.6)
        self.assertEqual(client.disconnected(), "this took too long")

    def test_no_deadline_afterwards(self) -> None:
        """A session has no deadline, and rekeys after an hour."""
        client = Client(limits=Limits(keepalive_count=10**9)).login()
        client.clock.pump([60] * 59)
        self.assertFalse(client.socket.disconnecting)

    def test_a_balancers_check(self) -> None:
        """A connection that sends nothing and goes leaves no line, no offence and no count."""
        client = Client()
        client.lose()
        slow = Client()
        slow.clock.advance(10)
        self.assertTrue(slow.socket.disconnecting)
        slow.lose()
        self.assertEqual(self.lines, [])
        for pod in (client.pod, slow.pod):
            self.assertEqual(pod.flood.counters()["offences"], 0)
            self.assertEqual(pod.flood.counters()["starting"], 0)
            self.assertEqual(pod.factory.connections, set())


class RekeyTests(SynchronousTestCase):
    """New keys, from either side, while data flows."""

    def roundtrip(self, client: Client) -> None:
        payload = os.urandom(100)
        client.send(data(payload))
        self.assertIn(data(payload), client.read())

    def test_by_client(self) -> None:
        """The client may ask for new keys any time; data flows before and after."""
        for keys in ALL_CIPHERS:
            client = Client(keys=keys).login()
            open_echo(client)
            for _ in range(3):
                self.roundtrip(client)
                client.exchange_keys()
            self.roundtrip(client)

    def test_by_server(self) -> None:
        """After enough bytes the server asks; what was in flight is still taken, and answered
        once the new keys are there."""
        for keys in ALL_CIPHERS:
            client = Client(keys=keys, limits=Limits(rekey_bytes=50_000)).login()
            open_echo(client)
            client.send(data(b"a" * 30_000))
            client.send(data(b"b" * 30_000))
            received = client.read()
            self.assertEqual(received[-1][0], 20)
            client._their_kexinit = received[-1]
            client.send(data(b"in flight"))
            self.assertEqual(client.read(), [])
            client.send_kexinit().send_kex()
            client.expect(21)
            self.assertIn(data(b"in flight"), client.read())
            client.write(client.newkeys())
            self.roundtrip(client)

    def test_one_gibibyte_is_the_default(self) -> None:
        """The limits are those of security.md."""
        limits = Limits()
        self.assertEqual(limits.rekey_bytes, 2**30)
        self.assertEqual(limits.rekey_seconds, 3600)
        self.assertEqual(limits.rekey_finish_seconds, 30)

    def test_after_an_hour(self) -> None:
        """An idle session gets new keys too, and then has another hour."""
        client = Client(limits=Limits(keepalive_seconds=10**6)).login()
        for _ in range(2):
            client.clock.advance(3599)
            self.assertEqual(client.read(), [])
            client.clock.advance(2)
            client.take_kexinit()
            client.send_kexinit().send_kex()
            client.expect(21)
            client.write(client.newkeys())

    def test_not_finished(self) -> None:
        """A client that lets the exchange stall is cut off after 30 s."""
        client = Client().login()
        client.server.start_rekey()
        client.take_kexinit()
        client.clock.advance(29)
        self.assertFalse(client.socket.disconnecting)
        client.clock.advance(1)
        self.assertEqual(client.disconnected(), "the new keys took too long")

    def test_bounded_while_it_stalls(self) -> None:
        """What a client provokes meanwhile is bounded: it ends before 2 MiB are held."""
        client = Client().login()
        client.server.start_rekey()
        request = client.seal(b"\x50" + pack_string(b"x") + b"\1")
        for _ in range(100_000):
            if client.socket.disconnecting:
                break
            client.write(request)
            request = client.seal(b"\x50" + pack_string(b"x") + b"\1")
        self.assertIn("asks more than it reads", client.disconnected())


class FlowTests(SynchronousTestCase):
    """The socket's backlog reaches the channels."""

    def test_backlog(self) -> None:
        """While too much is unsent channels wait; then they go on."""
        client = Client().login()
        self.assertIs(client.socket.producer, client.server)
        open_echo(client)
        client.server.pauseProducing()
        client.send(data(b"waits"))
        self.assertEqual(client.read(), [])
        client.server.resumeProducing()
        client.clock.advance(0)
        self.assertIn(data(b"waits"), client.read())

    def test_backlog_and_rekey(self) -> None:
        """Channels go on only when neither holds them back."""
        client = Client().login()
        open_echo(client)
        client.server.pauseProducing()
        client.server.start_rekey()
        client.send(data(b"waits"))
        client.server.resumeProducing()
        client.take_kexinit()
        client.send_kexinit().send_kex()
        client.expect(21)
        self.assertIn(data(b"waits"), client.read())

    def test_one_write_a_read(self) -> None:
        """What many packets of one read provoke is written at once."""
        client = Client().login()
        open_echo(client)
        writes: list[int] = []
        write = client.socket.write
        client.socket.write = lambda data: (writes.append(1), write(data))
        client.write(b"".join(client.seal(data(b"x" * 100)) for _ in range(50)))
        self.assertEqual(writes, [1])


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
        self.assertEqual(self.lines, ["ssh 192.0.2.7 port 4000: ended by a fault of this program"])
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
        """A stranger gets a hundred of them, whenever; a user as many as they like."""
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
        """Also while rekeying."""
        client = Client().login()
        for _ in range(2):
            for _ in range(200):
                client.write(b"".join(map(client.seal, self.noise)))
            self.assertFalse(client.socket.disconnecting)
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
