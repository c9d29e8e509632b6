"""Frames, cut anywhere."""

import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.channels.messages import ProtocolError
from tunnelcloud.link.framing import MAX_FRAME, FrameBuffer, FrameReader

unhurried = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def frame(message):
    return struct.pack(">I", len(message)) + message


class FrameReaderTests(SynchronousTestCase):
    @unhurried
    @given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.integers(0, 60)))
    def test_any_cut_gives_the_same_messages(self, messages, cuts):
        stream = b"".join(map(frame, messages))
        reader = FrameReader()
        seen = []
        for cut in cuts:
            seen += [bytes(message) for message in reader.feed(stream[:cut])]
            stream = stream[cut:]
        seen += [bytes(message) for message in reader.feed(memoryview(stream))]
        self.assertEqual(seen, messages)
        self.assertEqual(reader.kept, 0)

    def test_part_of_a_frame_is_kept_and_not_handed_on(self):
        reader = FrameReader()
        largest = frame(bytes(MAX_FRAME))
        for start in range(0, len(largest) - 1000, 1000):
            self.assertEqual(list(reader.feed(largest[start : start + 1000])), [])
        self.assertLess(reader.kept, len(largest))
        rest = largest[reader.kept :] + frame(b"next")[:5]
        self.assertEqual([len(message) for message in reader.feed(rest)], [MAX_FRAME])
        self.assertEqual(reader.kept, 5)

    def test_whole_frames_are_not_copied(self):
        data = bytearray(frame(b"abc"))
        (message,) = FrameReader().feed(data)
        data[4:] = b"xyz"
        self.assertEqual(bytes(message), b"xyz")

    def test_too_long_and_empty_frames(self):
        for length in (0, MAX_FRAME + 1, 2**32 - 1):
            head = struct.pack(">I", length)
            self.assertRaises(ProtocolError, list, FrameReader().feed(head))
            reader = FrameReader()
            for byte in head[:3]:
                self.assertEqual(list(reader.feed(bytes([byte]))), [])
            self.assertRaises(ProtocolError, list, reader.feed(head[3:]))


class FrameBufferTests(SynchronousTestCase):
    @unhurried
    @given(st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=20))))
    def test_what_is_gathered_is_read(self, parts):
        buffer = FrameBuffer()
        for head, data in parts:
            buffer.append(head, memoryview(data))
        taken = bytearray()
        buffer.write_to(taken.extend)
        self.assertEqual(taken, b"".join(frame(head + data) for head, data in parts))
        self.assertEqual(buffer.size, 0)

    def test_full(self):
        buffer = FrameBuffer()
        self.assertTrue(buffer.append(b"x", bytes(MAX_FRAME - 10)))
        self.assertFalse(buffer.append(b"x", bytes(100)))
        self.assertEqual(buffer.size, MAX_FRAME - 5)
        buffer.write_to(len)
        self.assertTrue(buffer.append(b"x", bytes(100)))
        self.assertEqual(buffer.size, 105)
        buffer.write_to(len)
        self.assertRaises(ValueError, buffer.append, b"x", bytes(MAX_FRAME))
