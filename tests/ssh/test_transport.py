"""One connection from accept to open: keys, and deadlines."""

from attrs import evolve

from tests.ssh.client import ALL_CIPHERS, IDENTIFICATION, Client, Keys
from tests.ssh.fakes import HOST_KEY
from tests.ssh.transport_case import LogCase, data, open_echo
from tunnelcloud.channels.messages import Reader, pack_string
from tunnelcloud.pki.public_keys import USER_KEY_TYPES
from tunnelcloud.ssh.algorithms import AES_GCM, CIPHERS
from tunnelcloud.ssh.limits import Limits


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
        """A client that waits for our KEXINIT gets all of it after two seconds."""
        client = Client().identify()
        client.clock.advance(1.99)
        self.assertEqual(client.read(), [])
        client.clock.advance(0.02)
        self.assertEqual(len(client.take_kexinit().ciphers_in), 6)
        client.send_kexinit().send_kex()
        client.expect(21)

    def test_a_slow_login_is_not_taken_for_waiting(self) -> None:
        """Once keys are agreed on, the two seconds have nothing left to start."""
        client = Client().identify()
        client.send_kexinit()
        client.take_kexinit()
        client.send_kex()
        client.expect(21)
        client.clock.advance(2.1)
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
            ({"ciphers_in": (b"aes128-ctr",), "macs_in": (b"hmac-sha1",)}, "no common MAC"),
            ({"ciphers_in": (b"aes128-cbc",)}, "no common cipher"),
            ({"compressions_out": (b"zlib",)}, "no common compression"),
        ):
            client = Client().identify()
            client.send_kexinit(evolve(client.keys.proposal(), **change))
            self.assertIn(f"{text}: test has ", client.disconnected())

    def test_nothing_in_common_is_told_with_both_sides(self) -> None:
        """The log and the client have the client's version and offers, and what would do."""
        client = Client().identify()
        client.send_kexinit(evolve(client.keys.proposal(), ciphers_in=(b"des-cbc", b"\x1b[2J")))
        self.assertEqual(
            client.disconnected(),
            "no common cipher: test has des-cbc,\\x1b[2J; "
            f"this pod has {b','.join(CIPHERS).decode()}",
        )

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
