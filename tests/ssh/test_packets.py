"""Packets: every cipher, cut into any pieces, changed at any byte."""

import os
import struct
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import ALL_CIPHERS, Keys
from tunnelcloud.ssh.ciphers import make_opener, make_sealer
from tunnelcloud.ssh.packet_sealing import (
    LARGEST_OVERHEAD,
    Opener,
    PlainOpener,
    PlainSealer,
    Sealer,
)
from tunnelcloud.ssh.packets import LARGEST_PACKET, PacketReader, WireError

Pair = tuple[Sealer, Opener]


def pair(keys: Keys, sequence: int = 0) -> Pair:
    """Give both ends of one direction."""
    secrets = {name: os.urandom(64) for name in ("key", "iv", "mac_key")}
    return (
        make_sealer(keys.cipher, keys.mac, sequence=sequence, **secrets),
        make_opener(keys.cipher, keys.mac, sequence=sequence, **secrets),
    )


def plain_pair() -> Pair:
    return PlainSealer(0), PlainOpener(0)


PAIRS: list[Callable[[], Pair]] = [plain_pair]
PAIRS += [lambda keys=keys: pair(keys) for keys in ALL_CIPHERS]


def read_all(reader: PacketReader) -> list[bytes]:
    payloads = []
    while (payload := reader.next()) is not None:
        payloads.append(bytes(payload))
    return payloads


class PacketTests(SynchronousTestCase):
    """What is sealed is what is read."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from(PAIRS),
        st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=6),
        st.lists(st.integers(1, 200), max_size=20),
    )
    def test_any_pieces(self, make: Callable[[], Pair], payloads: list, sizes: list) -> None:
        """However the bytes are cut, the same payloads come out, in order."""
        sealer, opener = make()
        wire = b"".join(
            b"".join(sealer.seal(payload[:5], memoryview(payload)[5:])) for payload in payloads
        )
        reader = PacketReader()
        reader.opener = opener
        received = []
        for size in (*sizes, len(wire)):
            reader.feed(wire[:size])
            received += read_all(reader)
            wire = wire[size:]
        self.assertEqual(received, payloads)
        self.assertEqual(sealer.sequence, len(payloads))
        self.assertEqual(opener.sequence, len(payloads))

    def test_sealed_in_place(self) -> None:
        """A packet made where it is to lie is the packet made elsewhere."""
        for make in PAIRS:
            sealer, opener = make()
            reader = PacketReader()
            reader.opener = opener
            out = memoryview(bytearray(5000))
            payloads = [b"first", b"x" * 1000, b"y", b"z" * 2000]
            end = 7
            for payload in payloads:
                start = end
                end = sealer.seal_into(out, start, payload[:3], memoryview(payload)[3:])
                self.assertLessEqual(end - start, len(payload) + LARGEST_OVERHEAD)
            reader.feed(bytes(out[7:end]))
            self.assertEqual(read_all(reader), payloads)

    def test_every_payload_size(self) -> None:
        """Padding is right for every size, and what it should be aligned to is."""
        for make in PAIRS:
            sealer, opener = make()
            reader = PacketReader()
            reader.opener = opener
            for size in range(1, 70):
                reader.feed(b"".join(sealer.seal(b"x" * size, b"")))
                self.assertEqual(read_all(reader), [b"x" * size])

    def test_large_packet_in_small_pieces(self) -> None:
        """A large packet that comes byte by byte is put together once."""
        sealer, opener = pair(Keys())
        reader = PacketReader()
        reader.opener = opener
        reader.largest = LARGEST_PACKET
        payload = os.urandom(200_000)
        wire = b"".join(sealer.seal(b"", payload))
        for start in range(len(wire) - 1):
            reader.feed(wire[start : start + 1])
            self.assertIsNone(reader.next())
        reader.feed(wire[-1:])
        self.assertEqual(read_all(reader), [payload])

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(PAIRS[1:]), st.integers(0, 10_000), st.integers(1, 255))
    def test_any_change(self, make: Callable[[], Pair], position: int, change: int) -> None:
        """A packet of which one byte changed is never given out."""
        sealer, opener = make()
        wire = bytearray(b"".join(sealer.seal(b"payload" * 9, b"")))
        wire[position % len(wire)] ^= change
        reader = PacketReader()
        reader.opener = opener
        reader.feed(bytes(wire))
        try:
            payload = reader.next()
        except WireError:
            return
        self.assertIsNone(payload)

    def test_sequence_numbers_wrap(self) -> None:
        """The 2^32nd packet is one like the others (Conch fails there)."""
        for keys in ALL_CIPHERS:
            sealer, opener = pair(keys, sequence=2**32 - 2)
            reader = PacketReader()
            reader.opener = opener
            for number in range(4):
                reader.feed(b"".join(sealer.seal(bytes((number,)), b"")))
                self.assertEqual(read_all(reader), [bytes((number,))])
            self.assertEqual((sealer.sequence, opener.sequence), (2, 2))

    def test_replay_and_loss(self) -> None:
        """A packet is good for one place in the stream only."""
        for keys in ALL_CIPHERS:
            for places in ((0, 0), (1,), (0, 2)):
                sealer, opener = pair(keys)
                packets = [b"".join(sealer.seal(b"%d" % number, b"")) for number in range(3)]
                reader = PacketReader()
                reader.opener = opener
                reader.feed(b"".join(packets[place] for place in places))
                self.assertRaises(WireError, read_all, reader)


class BadPacketTests(SynchronousTestCase):
    """What no sealer makes."""

    def refused(self, wire: bytes, text: str) -> None:
        reader = PacketReader()
        reader.feed(wire)
        self.assertIn(text, str(self.assertRaises(WireError, reader.next)))

    def test_empty_payload(self) -> None:
        """A packet of padding only (it stops Conch's loop) is refused."""
        self.refused(struct.pack(">IB", 12, 11) + bytes(11), "without payload")

    def test_padding(self) -> None:
        """Padding that is too short, or longer than the packet, is refused."""
        for padding in (0, 1, 2, 3, 12, 200, 255):
            self.refused(struct.pack(">IB", 12, padding) + bytes(11), "padding")

    def test_lengths(self) -> None:
        """Too long, too short, or no multiple of the block: refused at the first four bytes."""
        self.refused(struct.pack(">I", 35_004), "35004 bytes")
        self.refused(struct.pack(">I", 2**32 - 4), "4294967292 bytes")
        for length in (0, 1, 3, 5, 13):
            self.refused(struct.pack(">I", length), "multiple of a block")
