"""What a TLS client offers is read from real hellos, in any pieces, at a cost that is bounded."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pod.client_hello import (
    MAX_HELLO,
    MOST_EXTENSIONS,
    MOST_PROTOCOLS,
    NoHello,
    offered_protocols,
)


def hello(*protocols, name=b"portal.example.com"):
    """Let OpenSSL make a ClientHello."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if protocols:
        context.set_alpn_protos(list(protocols))
    connection = SSL.Connection(context, None)
    connection.set_tlsext_host_name(name)
    connection.set_connect_state()
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return connection.bio_read(MAX_HELLO)
    raise AssertionError("a handshake without a server")


def in_records(message, size):
    """Cut a one-record message into records of so many bytes."""
    body = message[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def with_extensions(count):
    """Make a ClientHello with so many empty extensions."""
    extensions = b"".join((5000 + number).to_bytes(2, "big") + b"\0\0" for number in range(count))
    fields = bytes(2 + 32) + b"\0" + b"\0\2\x13\x01" + b"\1\0"
    body = fields + len(extensions).to_bytes(2, "big") + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


class ClientHelloTests(SynchronousTestCase):
    def test_protocols_in_order(self):
        offered = offered_protocols(hello(b"h2", b"http/1.1"))
        self.assertEqual(offered, (b"h2", b"http/1.1"))

    def test_no_protocols(self):
        self.assertEqual(offered_protocols(hello()), ())

    def test_incomplete_at_every_byte(self):
        whole = hello(b"tunnelcloud-link/1")
        for size in range(1, len(whole)):
            self.assertIsNone(offered_protocols(whole[:size]))
        self.assertEqual(offered_protocols(whole + b"more"), (b"tunnelcloud-link/1",))

    def test_a_few_records(self):
        whole = hello(b"h2")
        self.assertEqual(offered_protocols(in_records(whole, len(whole) // 3)), (b"h2",))

    def test_too_many_records(self):
        self.assertRaises(NoHello, offered_protocols, in_records(hello(b"h2"), 10))

    def test_too_long(self):
        longest = b"\x16\x03\x01\x3f\xff\x01\x00\x3f\xff" + bytes(MAX_HELLO)
        self.assertIsNone(offered_protocols(longest[: MAX_HELLO - 1]))
        endless = b"\x16\x03\x01\xff\xff\x01\x00\xff\xff" + bytes(MAX_HELLO)
        self.assertRaises(NoHello, offered_protocols, endless)

    def test_more_than_clients_send(self):
        """A hello of 16 KiB may list thousands, and hundreds of hellos may come in one turn."""
        offered = tuple(b"%d" % number for number in range(MOST_PROTOCOLS))
        self.assertEqual(offered_protocols(hello(*offered)), offered)
        self.assertRaises(NoHello, offered_protocols, hello(*offered, b"one more"))
        few = with_extensions(MOST_EXTENSIONS - 1)
        self.assertEqual(offered_protocols(few), ())
        self.assertRaises(NoHello, offered_protocols, with_extensions(MOST_EXTENSIONS + 1))

    def test_another_message(self):
        self.assertRaises(NoHello, offered_protocols, b"\x16\x03\x01\x00\x04\x02\x00\x00\x00")
        self.assertRaises(NoHello, offered_protocols, b"\x16SSH")

    def test_fields_longer_than_the_message(self):
        whole = bytearray(hello(b"h2"))
        whole[5 + 4 + 34] = 255  # the length of the session id
        self.assertRaises(NoHello, offered_protocols, bytes(whole))

    @given(st.binary(max_size=300))
    def test_any_bytes(self, data):
        with contextlib.suppress(NoHello):
            offered_protocols(b"\x16\x03" + data)
