"""PROXY headers: whom they are taken from, and what they may say."""

import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import IDENTIFICATION, Client
from tests.ssh.fakes import Pod
from tunnelcloud.domain.addresses import canonical_address
from tunnelcloud.net.proxy_protocol import SIGNATURE, Address, BadProxyHeader, ProxyHeader


def header(source: str, port: int, command: int = 0x21, extra: bytes = b"") -> bytes:
    """Make a header as a balancer does."""
    address = ipaddress.ip_address(source)
    family = 0x11 if address.version == 4 else 0x21
    addresses = address.packed * 2 + struct.pack(">HH", port, 22) + extra
    return SIGNATURE + struct.pack(">BBH", command, family, len(addresses)) + addresses


class HeaderTests(SynchronousTestCase):
    """The header alone."""

    @given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=40), st.integers(1, 60))
    def test_any_pieces(self, address: object, port: int, extra: bytes, size: int) -> None:
        """However it is cut, the header says its address, and what follows is left alone."""
        wire = header(str(address), port, extra=extra) + b"SSH-2.0-x"
        reader, rest = ProxyHeader(), None
        while rest is None:
            rest = reader.feed(wire[:size])
            wire = wire[size:]
        self.assertEqual(reader.address, Address(canonical_address(str(address)), port))
        self.assertEqual(rest + wire, b"SSH-2.0-x")

    def test_absent(self) -> None:
        """Without a header there is no address, and nothing is swallowed."""
        reader = ProxyHeader()
        self.assertEqual(reader.feed(b"SSH-2.0-x\r\n"), b"SSH-2.0-x\r\n")
        self.assertIsNone(reader.address)

    def test_local(self) -> None:
        """A balancer's own check names nobody, nor does a family that isn't TCP over IP."""
        for wire in (header("192.0.2.1", 1, command=0x20), SIGNATURE + b"\x21\x31\0\x02ab"):
            reader = ProxyHeader()
            self.assertEqual(reader.feed(wire), b"")
            self.assertIsNone(reader.address)

    def test_version_1(self) -> None:
        """One line of text says the same, however it is cut."""
        for line, expected in (
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 22\r\n", Address("192.0.2.1", 4000)),
            (b"PROXY TCP6 2001:DB8::1 ::1 65535 22\r\n", Address("2001:db8::1", 65535)),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN ffff:f::1 ffff::2 65535 65535\r\n", None),
        ):
            for size in (1, 7, 200):
                wire, reader, rest = line + b"SSH-2.0-x", ProxyHeader(), None
                while rest is None:
                    rest = reader.feed(wire[:size])
                    wire = wire[size:]
                self.assertEqual((reader.address, rest + wire), (expected, b"SSH-2.0-x"))

    def test_bad_version_1(self) -> None:
        """What isn't an address or a port, or never ends, is refused."""
        for line in (
            b"PROXY TCP4 x 198.51.100.1 4000 22\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 22\r\n",
            b"PROXY TCP4 192.0.2.1\r\n",
            b"PROXY \xff\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
            b"PROXY UNKNOWN " + b"x" * 100,
        ):
            self.assertRaises(BadProxyHeader, ProxyHeader().feed, line)

    def test_bad(self) -> None:
        """Another version, a header without room for its addresses, or an endless one."""
        for wire in (b"\x11\x11\0\x0c", b"\x21\x11\0\x0babcdefghijk", b"\x21\x11\xff\xff"):
            self.assertRaises(BadProxyHeader, ProxyHeader().feed, SIGNATURE + wire)

    def test_canonical(self) -> None:
        """An address has one form."""
        for text, expected in (
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("/run/socket", "/run/socket"),
        ):
            self.assertEqual(canonical_address(text), expected)


class BalancerTests(SynchronousTestCase):
    """Connections through a balancer, and past it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.pod = Pod(self.clock, balancers=["10.0.0.0/24"])

    def client(self, peer: str) -> Client:
        return Client(self.pod, clock=self.clock, peer=peer)

    def test_listed(self) -> None:
        """A listed balancer is believed: the session's address is the client's."""
        client = self.client("10.0.0.7")
        self.assertEqual(client.socket.value(), b"")
        client.write(header("2001:db8::5", 999))
        client.login()
        (attempt,) = self.pod.access.sessions.values()
        self.assertEqual((attempt.source, attempt.source_port), ("2001:db8::5", 999))

    def test_in_one_read(self) -> None:
        """Header and identification may come together."""
        client = self.client("10.0.0.7")
        client.write(header("192.0.2.9", 999) + IDENTIFICATION + b"\r\n")
        client.exchange_keys().request_login()
        self.assertEqual(client.server.source, "192.0.2.9")

    def test_without_header(self) -> None:
        """A listed balancer that sends none is a client like others."""
        client = self.client("10.0.0.7").login()
        self.assertEqual(client.server.source, "10.0.0.7")

    def test_not_listed(self) -> None:
        """Anyone else is not believed."""
        client = self.client("10.0.1.7")
        client.write(header("192.0.2.9", 999))
        self.assertIn(b"Invalid SSH identification", client.socket.value())
        self.assertEqual(client.server.source, "10.0.1.7")

    def test_flood_by_client(self) -> None:
        """What counts is the client's address."""
        for _ in range(100):
            self.client("10.0.0.7").write(header("192.0.2.9", 999))
        other = self.client("10.0.0.7")
        other.write(header("192.0.2.10", 999))
        other.login()
        self.assertEqual(self.pod.flood.counters()["dropped_source"], 76)

    def test_bad_header(self) -> None:
        """A bad header ends the connection."""
        client = self.client("10.0.0.7")
        client.write(SIGNATURE + b"\x21\x11\xff\xff")
        self.assertTrue(client.socket.disconnecting)

    def test_silent(self) -> None:
        """A balancer that only connects is let go after ten seconds."""
        client = self.client("10.0.0.7")
        self.clock.advance(10)
        self.assertTrue(client.socket.disconnecting)
