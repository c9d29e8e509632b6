"""The certificate of a target is seen whatever else is wrong with its TLS, and harms nobody."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.pod.certificates import DAY, MemoryServer, make_certificate
from tunnelcloud.pod.certificate_probe import MAX_RECEIVED, Handshake, HandshakeFailed, _context


def require_client_certificate(context):
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)


def only(version, ciphers=b"DEFAULT:@SECLEVEL=0"):
    def configure(context):
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        context.set_cipher_list(ciphers)

    return configure


def look(server, address="db.internal", pieces=1 << 20):
    """Let a handshake and a server talk until there is nothing more to say."""
    handshake = Handshake(address)
    to_server = handshake.begin()
    while to_server:
        answer = server.answer(to_server)
        to_server = b""
        for start in range(0, len(answer), pieces):
            if not handshake.over:
                to_server += handshake.feed(answer[start : start + pieces])
    return handshake


class SeenTests(SynchronousTestCase):
    def seen(self, configure=lambda context: None, address="db.internal", **options):
        handshake = look(MemoryServer(*make_certificate(**options), configure), address)
        self.assertTrue(handshake.over)
        return handshake.certificate

    def test_name_and_end(self):
        ends = datetime(2031, 3, 2, 9, 0, tzinfo=UTC)
        found = self.seen(ends=ends)
        self.assertEqual((found.subject, found.issuer), ("db.internal", "db.internal"))
        self.assertEqual(found.ends_at, ends)
        self.assertIn("self", found.fault)

    def test_byte_by_byte(self):
        handshake = look(MemoryServer(*make_certificate()), pieces=1)
        self.assertEqual(handshake.certificate.subject, "db.internal")

    def test_an_ended_one_is_seen(self):
        now = datetime.now(UTC)
        found = self.seen(ends=now - 2 * DAY)
        self.assertFalse(found.is_good(now))
        self.assertIn("ended", found.warning(now))

    def test_the_name_that_is_asked_for_is_the_targets(self):
        server = MemoryServer(*make_certificate())
        look(server)
        self.assertEqual(server.connection.get_servername(), b"db.internal")
        server = MemoryServer(*make_certificate())
        look(server, "fd00::5")
        self.assertIsNone(server.connection.get_servername())

    def test_old_versions_are_looked_at(self):
        for version in (SSL.TLS1_VERSION, SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            self.assertEqual(self.seen(only(version)).subject, "db.internal")

    def test_the_target_chooses_no_prime(self):
        """With DHE it could be one of 10,000 bits, which kept the pod for 1.2 s."""
        ciphers = SSL.Connection(_context(), None).get_cipher_list()
        chosen = [one for one in ciphers if one.startswith("DHE-") and "PSK" not in one]
        self.assertEqual(chosen, [])
        self.assertIn("AES128-SHA", ciphers)
        dhe = only(SSL.TLS1_2_VERSION, b"DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
        with self.assertRaises(HandshakeFailed):
            self.seen(dhe)

    def test_who_wants_a_certificate_of_ours_shows_its_own(self):
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):

            def configure(context, version=version):
                only(version)(context)
                require_client_certificate(context)

            self.assertEqual(self.seen(configure).subject, "db.internal")

    def test_nothing_in_a_name_moves_a_terminal(self):
        found = self.seen(name="a\x1b[2J\u202eb\r\nc")
        self.assertEqual(found.subject, r"a\x1b[2J\u202eb\r\nc")
        self.assertTrue(found.text(datetime.now(UTC)).isprintable())

    def test_without_a_name(self):
        found = self.seen(name="")
        self.assertIn("nobody", found.text(datetime.now(UTC)))


class FailureTests(SynchronousTestCase):
    def failure(self, *pieces):
        handshake = Handshake("db.internal")
        handshake.begin()
        with self.assertRaises(HandshakeFailed) as caught:
            for piece in pieces:
                handshake.feed(piece)
        self.assertIsNone(handshake.certificate)
        return str(caught.exception)

    def test_no_tls(self):
        self.assertTrue(self.failure(b"SSH-2.0-OpenSSH_9.2\r\n").isprintable())
        self.assertTrue(self.failure(b"HTTP/1.1 400 Bad Request\r\n\r\n").isprintable())

    def test_an_alert(self):
        self.assertIn("alert", self.failure(b"\x15\x03\x03\x00\x02\x02\x28"))

    def test_endless_bytes(self):
        record = b"\x16\x03\x03\x40\x00" + b"\x0b\x00\xff\xff" + bytes(0x4000 - 4)
        found = self.failure(*([record] * (MAX_RECEIVED // len(record) + 1)))
        self.assertTrue(found)
        # Records that OpenSSL would read for ever are counted, too.
        unknown = b"\x14\x03\x03\x00\x01\x01"
        self.assertTrue(self.failure(*([unknown * 1000] * 30)))

    def test_an_end_before_anything(self):
        handshake = Handshake("db.internal")
        handshake.begin()
        with self.assertRaises(HandshakeFailed) as caught:
            handshake.end("it closed")
        self.assertEqual(str(caught.exception), "it closed")

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), min_size=1, max_size=4))
    def test_a_spoiled_answer_is_a_failure_or_a_certificate(self, spoiled):
        handshake, server = Handshake("db.internal"), MemoryServer(*_MADE, only(SSL.TLS1_2_VERSION))
        answer = bytearray(server.answer(handshake.begin()))
        for place, value in spoiled:
            answer[place % len(answer)] = value
        try:
            handshake.feed(bytes(answer))
            handshake.end("nothing more")
        except HandshakeFailed as error:
            self.assertTrue(str(error).isprintable())
        else:
            self.assertTrue(handshake.certificate.text(datetime.now(UTC)).isprintable())


_MADE = make_certificate()
