"""The codec: whatever is encoded is decoded, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.channels import messages
from tunnelcloud.channels.messages import DirectTcpip, Message, ProtocolError, decode

numbers = st.integers(0, 2**32 - 1)
strings = st.binary(max_size=40)

any_message = st.one_of(
    st.builds(messages.GlobalRequest, strings, st.booleans(), strings),
    st.builds(messages.RequestSuccess, strings),
    st.builds(messages.RequestFailure),
    st.builds(messages.ChannelOpen, strings, numbers, numbers, numbers, strings),
    st.builds(messages.ChannelOpenConfirmation, numbers, numbers, numbers, numbers, strings),
    st.builds(messages.ChannelOpenFailure, numbers, numbers, strings, strings),
    st.builds(messages.ChannelWindowAdjust, numbers, numbers),
    st.builds(messages.ChannelData, numbers, strings),
    st.builds(messages.ChannelExtendedData, numbers, numbers, strings),
    st.builds(messages.ChannelEof, numbers),
    st.builds(messages.ChannelClose, numbers),
    st.builds(messages.ChannelSuccess, numbers),
    st.builds(messages.ChannelFailure, numbers),
    st.builds(messages.ChannelRequest, numbers, strings, st.booleans(), strings),
)

OPEN_ENDED = (
    messages.GlobalRequest,
    messages.RequestSuccess,
    messages.RequestFailure,
    messages.ChannelOpen,
    messages.ChannelOpenConfirmation,
    messages.ChannelRequest,
)


class CodecTests(SynchronousTestCase):
    @given(any_message)
    def test_round_trip(self, message: Message) -> None:
        self.assertEqual(decode(message.encode()), message)
        self.assertEqual(decode(memoryview(message.encode())), message)

    @given(any_message, st.data())
    def test_truncated_or_extended(self, message: Message, data: st.DataObject) -> None:
        payload = message.encode()
        cut = payload[: data.draw(st.integers(0, len(payload) - 1))]
        try:
            self.assertNotEqual(decode(cut), message)
        except ProtocolError:
            pass
        else:
            self.assertIsInstance(message, OPEN_ENDED, "only these may end anywhere")
        if not isinstance(message, OPEN_ENDED):
            self.assertRaises(ProtocolError, decode, payload + b"\0")

    @given(st.binary(max_size=60))
    def test_any_bytes(self, payload: bytes) -> None:
        try:
            message = decode(payload)
        except ProtocolError:
            return
        if isinstance(message, (messages.GlobalRequest, messages.ChannelRequest)):
            self.assertEqual(decode(message.encode()), message)  # any true boolean is 1 again
        else:
            self.assertEqual(message.encode(), payload)

    def test_known_bytes(self) -> None:
        self.assertEqual(messages.ChannelEof(258).encode(), bytes.fromhex("60 00000102"))
        self.assertEqual(
            messages.ChannelOpen(b"x", 1, 2, 3).encode(),
            bytes.fromhex("5a 00000001 78 00000001 00000002 00000003"),
        )

    @given(st.builds(DirectTcpip, strings, numbers, strings, numbers))
    def test_direct_tcpip(self, request: DirectTcpip) -> None:
        payload = request.encode()
        self.assertEqual(DirectTcpip.decode(payload), request)
        self.assertRaises(ProtocolError, DirectTcpip.decode, payload + b"\0")
        self.assertRaises(ProtocolError, DirectTcpip.decode, payload[:-1])
