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


LIMIT = 40


def data_message(channel, data):
    return b"\x5e" + struct.pack(">II", channel, len(data)) + data


class FrameBufferTests(SynchronousTestCase):
    @unhurried
    @given(
        st.lists(
            st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=LIMIT))
            | st.tuples(st.none(), st.binary(min_size=1, max_size=20))
        )
    )
    def test_what_is_gathered_is_read(self, parts):
        buffer = FrameBuffer()
        for channel, data in parts:
            if channel is None:
                buffer.append(data, b"", LIMIT)
            else:
                head = b"\x5e" + struct.pack(">II", channel, len(data))
                buffer.append(head, memoryview(data), LIMIT)
        taken = bytearray()
        buffer.write_to(taken.extend)
        expected = []
        for channel, data in parts:
            last = expected[-1] if expected else (None, b"")
            if channel is not None and channel == last[0] and len(last[1] + data) <= LIMIT:
                expected[-1] = (channel, last[1] + data)
            else:
                expected.append((channel, data))
        messages = [data if one is None else data_message(one, data) for one, data in expected]
        self.assertEqual([bytes(one) for one in FrameReader().feed(taken)], messages)
        self.assertEqual(buffer.size, 0)

    def test_what_was_written_is_not_joined_to(self):
        buffer = FrameBuffer()
        for _ in range(2):
            buffer.append(data_message(1, b"ab")[:9], b"ab", LIMIT)
            taken = bytearray()
            buffer.write_to(taken.extend)
            self.assertEqual(taken, frame(data_message(1, b"ab")))

    def test_full(self):
        buffer = FrameBuffer()
        head = data_message(1, b"")
        most = MAX_FRAME - len(head)
        self.assertTrue(buffer.append(head, bytes(most - 10), MAX_FRAME))
        self.assertFalse(buffer.append(head, bytes(100), MAX_FRAME))
        self.assertFalse(buffer.append(b"x" * 20, b"", MAX_FRAME))
        self.assertEqual(buffer.size, 4 + MAX_FRAME - 10)
        buffer.write_to(len)
        self.assertTrue(buffer.append(head, bytes(100), MAX_FRAME))
        self.assertEqual(buffer.size, 113)
        buffer.write_to(len)
        self.assertRaises(ValueError, buffer.append, head, bytes(MAX_FRAME), MAX_FRAME)
