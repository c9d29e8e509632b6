"""The login as a client sees it."""

import struct

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import Client
from tests.ssh.fakes import TOKEN, USER_KEY, Avatar, Pod
from tunnelcloud.channels.messages import pack_string
from tunnelcloud.net.source_limits import FloodLimits
from tunnelcloud.ssh.interfaces import BrowserOffer, LoginAttempt
from tunnelcloud.ssh.signatures import signed_data

METHODS = pack_string(b"publickey,keyboard-interactive,password") + b"\0"
STRANGER = Key(ed25519.Ed25519PrivateKey.generate())


class MethodTests(SynchronousTestCase):
    """Each way in, and each way not in."""

    def setUp(self) -> None:
        self.client = Client().secure()
        self.access = self.client.pod.access

    def failed(self) -> None:
        self.assertEqual(self.client.expect(51), METHODS)

    def test_none(self) -> None:
        """Asking for "none" tells the methods."""
        self.client.send(self.client.auth_payload(b"none", b""))
        self.failed()

    def test_password(self) -> None:
        """A token as password opens one session."""
        self.client.send_token()
        self.assertEqual(self.client.expect(52), b"")
        attempt = LoginAttempt(b"alice", "192.0.2.7", 4000, "test")
        self.assertEqual(self.access.sessions, {"session-1": attempt})
        again = Client(self.client.pod).secure().send_token()
        self.assertIn(b"this token was used at 12:00\r\n", again.expect(53))
        self.assertEqual(again.expect(51), METHODS)
        self.assertEqual(self.client.pod.flood.counters()["offences"], 0)

    def test_a_notice_comes_before_the_login_is_over(self) -> None:
        """A client shows it to its user."""
        self.patch(Avatar, "notice", "db: a connection waits")
        self.client.send_token()
        shown = pack_string(b"db: a connection waits\r\n") + pack_string(b"")
        self.assertEqual(self.client.expect(53), shown)
        self.assertEqual(self.client.expect(52), b"")

    def test_keyboard_interactive(self) -> None:
        """The prompt is as product.md has it, without echo; spaces around the token don't count."""
        self.client.send(self.client.auth_payload(b"keyboard-interactive", bytes(8)))
        expected = bytes(12) + b"\0\0\0\1" + pack_string(b"One-time token: ") + b"\0"
        self.assertEqual(self.client.expect(60), expected)
        self.client.send(b"\x3d\0\0\0\1" + pack_string(f" {TOKEN} ".encode()))
        self.client.expect(52)

    def ask_by_browser(self, client: Client, user: bytes = b"alice") -> bytes:
        client.send(client.auth_payload(b"keyboard-interactive", bytes(8), user))
        prompt = client.expect(60)
        # The prompt itself stays as it is: programs answer it.
        self.assertTrue(prompt.endswith(b"\0\0\0\1" + pack_string(b"One-time token: ") + b"\0"))
        return prompt

    def test_a_browser_confirms_it(self) -> None:
        """The link is the same text for whoever is named, and Return asks whether it was used."""
        self.access.link = BrowserOffer("https://portal.example.com/l/WDJB-MJHT", b"x")
        text = b"Open https://portal.example.com/l/WDJB-MJHT and confirm, then press Return."
        prompts = {self.ask_by_browser(Client(self.client.pod).secure(), user)
                   for user in (b"alice", b"nobody", b"\xff")}  # fmt: skip
        self.assertEqual(len(prompts), 1)
        self.assertIn(text, self.ask_by_browser(self.client))
        self.client.send(b"\x3d\0\0\0\1" + pack_string(b""))
        self.assertIn(b"not confirmed yet", self.client.expect(53))
        self.failed()
        self.access.confirmed = True
        self.assertIn(text, self.ask_by_browser(self.client))
        self.assertEqual(self.access.offered[-1].login_name, b"alice")
        self.assertEqual(len(self.access.offered), 4, "one for each connection")
        self.client.send(b"\x3d\0\0\0\1" + pack_string(b""))
        self.client.expect(52)
        self.assertEqual(self.access.withdrawn, [self.access.link])
        self.assertEqual(self.client.pod.flood.counters()["offences"], 0)

    def test_another_name_gets_another_link(self) -> None:
        """What the page showed is what logs in: whoever confirmed one name confirmed no other."""
        first, second = (BrowserOffer(f"https://x/l/{code}", code.encode()) for code in "AB")
        self.access.link = first
        self.assertIn(b"/l/A ", self.ask_by_browser(self.client, b"tcptunnel@db"))
        self.access.link = second
        self.assertIn(b"/l/B ", self.ask_by_browser(self.client, b"tcptunnel"))
        self.assertEqual(self.access.withdrawn, [first])
        self.access.confirmed = True
        self.client.send(b"\x3d\0\0\0\1" + pack_string(b""))
        self.client.expect(52)
        self.assertEqual(self.access.used, [second])

    def test_another_name_without_room_gets_none(self) -> None:
        self.access.link = BrowserOffer("https://x/l/A", b"A")
        self.ask_by_browser(self.client, b"tcptunnel@db")
        self.access.link, self.access.confirmed = None, True
        self.assertNotIn(b"/l/", self.ask_by_browser(self.client, b"tcptunnel"))
        self.client.send(b"\x3d\0\0\0\1" + pack_string(b""))
        self.failed()
        self.assertEqual(self.access.used, [])

    def test_a_token_goes_at_the_same_prompt(self) -> None:
        self.access.link = BrowserOffer("https://portal.example.com/l/WDJB-MJHT", b"x")
        self.ask_by_browser(self.client)
        self.client.send(b"\x3d\0\0\0\1" + pack_string(TOKEN.encode()))
        self.client.expect(52)

    def test_whoever_leaves_waits_no_more(self) -> None:
        self.access.link = BrowserOffer("https://portal.example.com/l/WDJB-MJHT", b"x")
        self.ask_by_browser(self.client)
        self.client.lose()
        self.assertEqual(self.access.withdrawn, [self.access.link])

    def test_there_is_time_to_sign_in(self) -> None:
        """Three minutes from the start, where a link was offered; a minute where none was."""
        for link, seconds in ((BrowserOffer("https://x/l/A", b"x"), 180), (None, 60)):
            client = Client().secure()
            client.pod.access.link = link
            client.send(client.auth_payload(b"keyboard-interactive", bytes(8)))
            client.expect(60)
            client.clock.advance(seconds - 1)
            self.assertFalse(client.socket.disconnecting)
            client.clock.advance(1)
            self.assertEqual(client.disconnected(), "this took too long")

    def test_keys_refused_before_the_prompt(self) -> None:
        """The prompt says that the keys opened nothing, in words that are the same for all."""
        known = Client(self.client.pod).secure()
        for client, key, user in (
            (self.client, STRANGER, b"alice"),
            (Client(self.client.pod).secure(), STRANGER, b"nobody"),
            (known, USER_KEY, b"bob"),
        ):
            client.send_key(key, user=user)
            self.assertEqual(client.expect(51), METHODS)
            client.send(client.auth_payload(b"keyboard-interactive", bytes(8), user))
            text = (
                b"The keys that were offered open nothing for this login. "
                b"Paste a one-time token from the Applications Portal."
            )
            expected = bytes(4) + pack_string(text) + bytes(4)
            expected += b"\0\0\0\1" + pack_string(b"One-time token: ") + b"\0"
            self.assertEqual(client.expect(60), expected)

    def test_no_password_after_the_prompt(self) -> None:
        """Who typed a token isn't asked for a password; one that is sent is judged all the same."""
        self.client.send(self.client.auth_payload(b"keyboard-interactive", bytes(8)))
        self.client.expect(60)
        self.client.send(b"\x3d\0\0\0\1" + pack_string(b"wrong"))
        narrowed = pack_string(b"publickey,keyboard-interactive") + b"\0"
        self.assertEqual(self.client.expect(51), narrowed)
        self.client.send_token()
        self.client.expect(52)

    def test_wrong_token(self) -> None:
        """A wrong token fails plainly, and is an offence."""
        self.client.send_token("wrong")
        self.failed()
        self.assertEqual(self.client.pod.flood.counters()["offences"], 1)

    def test_unknown_user(self) -> None:
        """Unknown user and wrong token look the same."""
        self.client.send_token("wrong")
        self.client.send_token(TOKEN, b"nobody\0\r\n\x1b[2J")
        self.client.send_token(TOKEN, b"x" * 20_000)
        for _ in range(3):
            self.failed()
        self.assertEqual(self.client.read(), [])
        self.assertEqual(self.access.spent, set())

    def test_key(self) -> None:
        """A question about a key is answered, and the signed request gets in."""
        self.client.offer_key()
        expected = pack_string(b"ssh-ed25519") + pack_string(USER_KEY.blob())
        self.assertEqual(self.client.expect(60), expected)
        self.assertEqual(self.access.sessions, {})
        self.client.send_key()
        self.client.expect(52)

    def test_a_question_tells_nothing_of_the_login(self) -> None:
        """A registered key is answered alike for every login name: the pod doesn't know whose."""
        answers = []
        for user in (b"alice", b"bob", b"nobody", b"tcptunnel@db", b"tcptunnel@x", b"\xff\0", b""):
            client = Client(self.client.pod).secure().offer_key(user=user)
            answers.append(client.read())
        expected = b"\x3c" + pack_string(b"ssh-ed25519") + pack_string(USER_KEY.blob())
        self.assertEqual(answers, [[expected]] * 7)

    def test_a_key_that_is_signed_with_and_opens_nothing(self) -> None:
        """It is no offence and no failure: an agent may have many, and a token still gets in."""
        for _ in range(8):
            self.client.offer_key(user=b"bob").send_key(user=b"bob")
            self.client.expect(60)
            self.failed()
        self.client.send_token()
        self.client.expect(52)
        self.assertEqual(self.client.pod.flood.counters()["offences"], 0)

    def test_eight_keys_and_a_token(self) -> None:
        """Keys that open nothing, asked about or signed with, leave room for a token."""
        for _ in range(8):
            self.client.offer_key(STRANGER)
            self.client.send_key(STRANGER)
        self.client.send_token()
        received = self.client.read()
        self.assertEqual(received[:-1], [b"\x33" + METHODS] * 16)
        self.assertEqual(received[-1], b"\x34")
        self.assertEqual(self.client.pod.flood.counters()["offences"], 0)

    def test_bad_signature(self) -> None:
        """A key without its signature gets nobody in, and is an offence that is recorded."""
        self.client = Client(Pod(Clock(), exempt=["192.0.2.0/24"]))
        self.access = self.client.pod.access
        good = USER_KEY.sign(b"something else")
        for signature in (good, b"", b"x" * 40, good[:-1], pack_string(b"ssh-ed25519")):
            client = Client(self.client.pod).secure().send_key(signature=signature)
            self.assertEqual(client.expect(51), METHODS)
            client.lose()
        self.assertEqual(self.access.sessions, {})
        self.assertEqual([reason for *_, reason in self.access.failures], ["bad signature"] * 5)

    def test_signature_for_another_session(self) -> None:
        """A signature is good for the connection it was made on."""

        data = signed_data(bytes(32), b"alice", b"ssh-ed25519", USER_KEY.blob())
        self.client.send_key(signature=USER_KEY.sign(data))
        self.failed()

    def test_key_of_another(self) -> None:
        """The user name must fit the key's user."""
        self.client.send_key(user=b"bob")
        self.failed()
        self.client.send_key(user=b"tcptunnel")
        self.client.expect(52)

    def test_algorithms(self) -> None:
        """RSA is good with SHA-2 only, whatever the signature says of itself."""
        key = Key(rsa.generate_private_key(public_exponent=65537, key_size=2048))
        self.access.keys[key.blob()] = "alice"
        for algorithm in (b"ssh-rsa", b"rsa-sha2-512"):
            data = signed_data(self.client.session_id, b"alice", algorithm, key.blob())
            signature = key.sign(data, signatureType=b"ssh-rsa")
            self.client.send_key(key, algorithm, signature=signature)
            self.failed()
        self.client.send_key(key, b"rsa-sha2-256")
        self.client.expect(52)

    def test_ecdsa(self) -> None:
        """ECDSA works, with its own curve only."""
        key = Key(ec.generate_private_key(ec.SECP384R1()))
        self.access.keys[key.blob()] = "alice"
        self.client.offer_key(key, b"ecdsa-sha2-nistp256")
        self.failed()
        self.client.send_key(key, b"ecdsa-sha2-nistp384")
        self.client.expect(52)

    def test_certificate(self) -> None:
        """A certificate is refused like an unknown key."""
        algorithm = b"ssh-ed25519-cert-v01@openssh.com"
        blob = pack_string(algorithm) + USER_KEY.blob()
        rest = b"\0" + pack_string(algorithm) + pack_string(blob)
        self.client.send(self.client.auth_payload(b"publickey", rest))
        self.failed()
        self.assertEqual(self.access.offers, [])

    def test_malformed(self) -> None:
        """What isn't a request ends the connection."""
        self.client.send(b"\x32\0\0\0\x05ali")
        self.assertEqual(self.client.disconnected(), "a message ends inside a field")

    def test_too_many(self) -> None:
        """The sixth wrong token is the last."""
        for _ in range(6):
            self.client.send_token("wrong")
        self.assertEqual(self.client.disconnected(), "too many failed logins")

    def test_service_asked_for_again(self) -> None:
        """Asking for the login service before every attempt, as paramiko does, resets nothing."""
        request = b"\x05" + pack_string(b"ssh-userauth")
        for _ in range(5):
            self.client.send_token("wrong")
            self.failed()
            self.client.send(request)
            self.assertEqual(self.client.expect(6), pack_string(b"ssh-userauth"))
        self.client.send_token("wrong")
        self.assertEqual(self.client.disconnected(), "too many failed logins")

    def test_service_asked_for_without_end(self) -> None:
        """Twenty-six times are enough."""
        request = b"\x05" + pack_string(b"ssh-userauth")
        for _ in range(25):
            self.client.send(request)
        self.assertFalse(self.client.socket.disconnecting)
        self.client.send(request)
        self.assertEqual(self.client.disconnected(), "too many service requests")


class DelayedVerdictTests(SynchronousTestCase):
    """Verdicts that take their time."""

    def setUp(self) -> None:
        self.pod = Pod(Clock(), flood_limits=FloodLimits(threshold=10**6))
        self.held: list[tuple[Deferred, Deferred]] = []
        self.pod.access.answer = self.hold
        self.client = Client(self.pod).secure()

    def hold(self, verdict: Deferred) -> Deferred:
        waiting: Deferred = Deferred()
        self.held.append((verdict, waiting))
        return waiting

    def answer(self) -> None:
        for verdict, waiting in self.held:
            verdict.chainDeferred(waiting)
        self.held = []

    def test_late(self) -> None:
        """A verdict that comes in time counts."""
        self.client.send_token()
        self.assertEqual(self.client.read(), [])
        self.answer()
        self.client.expect(52)

    def test_pipelined(self) -> None:
        """Two requests at once end the connection; the one session that was made is logged out."""
        self.client.send_token()
        self.client.send_key()
        self.assertIn("before the last one was answered", self.client.disconnected())
        self.answer()
        self.assertIsNone(self.pod.avatar.connection)
        self.assertEqual(self.pod.avatar.ended, ["the client left before the login ended"])
        self.assertEqual(self.pod.avatar.logouts, 1)

    def test_after_the_end(self) -> None:
        """A session that is made for a client that left is logged out, and starts nothing."""
        for leave in (
            lambda client: client.lose(),
            lambda client: client.send(b"\x01" + struct.pack(">I", 11) + bytes(8)),
            lambda client: client.server.clock.advance(61),
        ):
            self.setUp()
            self.client.send_token()
            leave(self.client)
            self.answer()
            self.assertEqual(len(self.pod.realm.avatars), 1)
            self.assertIsNone(self.pod.avatar.connection)
            self.assertEqual((len(self.pod.avatar.ended), self.pod.avatar.logouts), (1, 1))

    def test_failing_store(self) -> None:
        """A store that fails lets nobody in, says so, and blames nobody."""
        self.client.send_token()
        _, waiting = self.held.pop()
        waiting.errback(OSError("disk full"))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertIn(b"try again later", self.client.expect(53))
        self.assertEqual(self.client.expect(51), METHODS)
        self.assertEqual(self.pod.flood.counters()["offences"], 0)
        self.client.offer_key()
        _, waiting = self.held.pop()
        waiting.errback(OSError("disk full"))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(self.client.expect(51), METHODS)
