"""The channel machine of RFC 4254: one for each connection, the same on SSH and on a link.

What holds, in words:

- Bytes accepted are never more than the window granted; more ends the connection.
- Credit is granted again only for bytes that the next hop's socket has taken.
- At most the granted window is held per direction of a channel.
- While the transport is paused no channel's bytes are sent: channels queue and take turns, one
  quantum each.  Control messages are sent at once; a peer that provokes more of them than it reads
  loses the connection.
- A channel's number counts up and is not used again before the counter wraps, and then only when
  no channel has it; a channel keeps its number until both sides have sent CLOSE, or the open was
  answered by a refusal, so no late message can name another channel.
- An open that was given up counts against the limit until it is answered.
- Messages without effect that nobody asked for count against a limit: requests (except a few for
  each channel), data messages without bytes, and credit for bytes that were never sent.  A peer
  that sends more of them than ``affords`` allows loses the connection.
- After the connection is lost its channels end, as the owner's ``spread`` has it; meanwhile they
  send nothing.  Then no channel is left, and the only credit in use is for bytes that came before
  their channel's CLOSE and haven't been passed on.

A multiplexer knows neither a socket nor a clock; whoever wants an open to expire closes it.
"""

import struct
from collections import deque
from collections.abc import Callable

from tunnelcloud.channels.channel import SMALLEST_PACKET, Channel
from tunnelcloud.channels.interfaces import IChannelUser, IConnectionUser, IMessageTransport
from tunnelcloud.channels.messages import (
    DISCONNECT_PROTOCOL_ERROR,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_WINDOW_ADJUST,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
    UINT32_MAX,
    ChannelClose,
    ChannelEof,
    ChannelExtendedData,
    ChannelFailure,
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    ChannelRequest,
    ChannelSuccess,
    GlobalRequest,
    Message,
    ProtocolError,
    RequestFailure,
    RequestSuccess,
    decode,
)
from tunnelcloud.channels.sending import Connection, Sender
from tunnelcloud.channels.states import Sending
from tunnelcloud.channels.windows import KIB, MIB, CreditAccount, Path, ReceiveWindow

CONTROL_BACKLOG = 1 * MIB
"""How many bytes of control messages may be unsent before the connection is given up."""

MAX_REPLIES_DUE = 4096
"""How many global requests may be unanswered before the connection is given up."""

_ENVELOPE = 32
"""About how many bytes a message adds to its data, on any transport."""

_unpack_data = struct.Struct(">II").unpack_from
_DATA_HEAD = 9
_ADJUST_SIZE = 9


def _discard(head: bytes, data: "bytes | memoryview" = b"") -> None:
    """Drop a message: the connection is lost."""


def at_once(step: Callable[[], bool]) -> None:
    """Do all steps of some work now."""
    while step():
        pass


def unpriced(_: float) -> bool:
    """Set no limit: the peer is trusted."""
    return True


OnReply = Callable[[bytes | None], None]


class Multiplexer(Connection):
    """Channels over one connection.

    :ivar peer_max_packet_size: what the peer takes in one message of any channel, in bytes of data.
    :ivar on_idle: called when the last channel is over, while the connection lasts.

    :param transport: takes the messages.
    :param user: hears of the peer's opens and global requests.
    :param account: gives credit to channels that bring no account of their own.
    :param max_channels: how many channels there may be, whoever asked for them.
    :param max_packet_size: the most the peer may send in one message, in bytes of data.
    :param path: the round-trip time to the peer, as the transport measures it.
    :param affords: called with the cost of a message that nobody asked for; returns whether the
        peer may send it.
    :param spread: does work in steps: calls what it is given until that returns False, perhaps with
        others' work in between.
    """

    def __init__(
        self,
        transport: IMessageTransport,
        user: IConnectionUser,
        *,
        account: CreditAccount,
        max_channels: int = 256,
        max_packet_size: int = 32 * KIB,
        path: Path | None = None,
        affords: Callable[[float], bool] = unpriced,
        spread: Callable[[Callable[[], bool]], None] = at_once,
    ) -> None:
        self._transport = transport
        self._user = user
        self._affords = affords
        self._spread = spread
        self._account = account
        self.max_channels = max_channels
        self.max_packet_size = max_packet_size
        self.peer_max_packet_size = UINT32_MAX
        self.path = path or Path()
        self.paused = False
        self.lost = False
        self.on_idle: Callable[[], None] | None = None
        self.send_data = transport.send_message
        self._channels: dict[int, Channel] = {}
        self._next_number = 0
        self._waiting: deque[Sender] = deque()
        self._withholding: list[Sender] = []
        self._taking_turns = False
        self._control_unsent = 0
        self._replies: list[OnReply] = []  # few; an empty deque takes 700 bytes

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All channels that hold a number, however they stand."""
        return tuple(self._channels.values())

    @property
    def channel_count(self) -> int:
        """The number of channels that count against the limit."""
        return len(self._channels)

    # What the owner calls.

    def open_channel(
        self,
        channel_type: bytes,
        data: bytes,
        user: IChannelUser,
        account: CreditAccount | None = None,
    ) -> Channel:
        """Ask the peer for a channel; the user hears how it ends.

        Beyond the limit, or when the connection is lost, the user hears it before this returns.
        """
        channel = Channel(self, self._free_number(), channel_type, account or self._account)
        channel.user = user
        channel.sending = Sending.ASKED
        if self.lost or len(self._channels) >= self.max_channels:
            reason = "the connection is lost" if self.lost else "too many channels"
            channel.failed(OPEN_RESOURCE_SHORTAGE, reason)
            return channel
        self._channels[channel.number] = channel
        channel.window = ReceiveWindow(channel.account, self.path)
        message = ChannelOpen(
            channel_type, channel.number, channel.window.size, self.max_packet_size, data
        )
        self.send(message.encode())
        return channel

    def send_global_request(
        self, name: bytes, data: bytes = b"", on_reply: OnReply | None = None
    ) -> None:
        """Send a global request.

        :param on_reply: hears the reply's data, or None when it is refused or the connection is
            lost; without it no reply is asked for.
        """
        if self.lost:
            if on_reply is not None:
                on_reply(None)
            return
        if on_reply is not None:
            self._replies.append(on_reply)
            if len(self._replies) > MAX_REPLIES_DUE:
                self._end("the peer answers no requests")
                return
        self.send(GlobalRequest(name, on_reply is not None, data).encode())

    # What the transport calls.

    def message_received(self, payload: "bytes | memoryview") -> None:
        """Take one message, beginning with its number; a broken rule ends the connection."""
        if self.lost:
            return
        try:
            number = payload[0] if payload else 0
            if number == MSG_CHANNEL_DATA and len(payload) >= _DATA_HEAD:
                recipient, size = _unpack_data(payload, 1)
                if len(payload) != _DATA_HEAD + size:
                    raise ProtocolError("a message is not as long as its fields")
                if size > self.max_packet_size:
                    raise ProtocolError(f"{size} bytes in one message")
                channel = self._channels.get(recipient) or self._channel(recipient)
                if not size:
                    self._charge()
                view = payload if type(payload) is memoryview else memoryview(payload)
                channel.data_received(view[_DATA_HEAD:])
            elif number == MSG_CHANNEL_WINDOW_ADJUST and len(payload) == _ADJUST_SIZE:
                recipient, size = _unpack_data(payload, 1)
                if not self._channel(recipient).window_adjusted(size):
                    self._charge()
            else:
                self._dispatch(decode(payload))
        except ProtocolError as error:
            self._end(str(error))

    def pause_sending(self) -> None:
        """Too much is unsent: channels queue from now on."""
        self.paused = True

    def resume_sending(self) -> None:
        """The socket has taken all that was sent: let channels send in turn."""
        self.paused = False
        self._control_unsent = 0
        withholding, self._withholding = self._withholding, []
        for channel in withholding:
            channel.release_withheld()
        self._take_turns()

    def connection_lost(
        self,
        reason: str,
        in_order: bool = False,
        then: Callable[[], object] | None = None,
    ) -> None:
        """End all channels; ``reason`` reaches their users.

        :param in_order: the peer took its leave, which is the CLOSE of each of its channels.
        :param then: called once all have ended, unless the connection was lost before.
        """
        if self.lost:
            return
        self.lost = True
        self.send_data = _discard
        self._waiting.clear()
        self._withholding.clear()
        called = [] if then is None else [then]

        def end_one() -> bool:
            if self._channels:
                _, channel = self._channels.popitem()
                channel.connection_lost(reason, in_order)
            elif self._replies:
                self._replies.pop(0)(None)
            elif called:
                called.pop()()
            return bool(self._channels or self._replies or called)

        self._spread(end_one)

    # What channels call.

    def send(self, message: bytes) -> None:
        """Send one control message, unless the connection is lost."""
        if self.lost:
            return
        if self.paused:
            self._control_unsent += len(message) + _ENVELOPE
            if self._control_unsent > CONTROL_BACKLOG:
                self._end("the peer asks more than it reads answers")
                return
        self._transport.send_message(message)

    def withhold(self, channel: Sender) -> None:
        """Call ``release_withheld`` once the socket has taken all that was sent."""
        self._withholding.append(channel)

    def wait_turn(self, channel: Sender) -> None:
        """Call ``send_queued`` when the channel's turn comes."""
        if not channel.waiting:
            channel.waiting = True
            self._waiting.append(channel)
        if not self.paused:
            self._take_turns()

    def forget(self, channel: Sender) -> None:
        """Free the number of a channel that is over."""
        gone = self._channels.pop(channel.number, None)
        if gone and not self._channels and not self.lost and self.on_idle is not None:
            self.on_idle()

    # Inner workings.

    def _take_turns(self) -> None:
        if self._taking_turns:
            return
        self._taking_turns = True
        try:
            while self._waiting and not self.paused:
                channel = self._waiting.popleft()
                channel.waiting = False
                channel.send_queued()
        finally:
            self._taking_turns = False

    def _free_number(self) -> int:
        number = self._next_number
        while number in self._channels:
            number = (number + 1) & UINT32_MAX
        self._next_number = (number + 1) & UINT32_MAX
        return number

    def _channel(self, number: int) -> Channel:
        channel = self._channels.get(number)
        if channel is None:
            raise ProtocolError(f"channel {number} does not exist")
        return channel

    def _end(self, description: str) -> None:
        self._transport.end_connection(DISCONNECT_PROTOCOL_ERROR, description)
        self.connection_lost(f"protocol error: {description}")

    def _dispatch(self, message: Message) -> None:  # noqa: C901 - a table in all but name
        match message:
            case GlobalRequest():
                self._answer(message)
            case RequestSuccess() | RequestFailure():
                if not self._replies:
                    raise ProtocolError("a reply that nobody waits for")
                on_reply = self._replies.pop(0)
                on_reply(message.data if isinstance(message, RequestSuccess) else None)
            case ChannelOpen():
                self._open_requested(message)
            case ChannelOpenConfirmation():
                channel = self._channel(message.recipient_channel)
                if channel.sending not in (Sending.ASKED, Sending.GIVEN_UP):
                    raise ProtocolError("a confirmation that nobody waits for")
                self._set_remote(channel, message)
                channel.confirmed()
            case ChannelOpenFailure():
                description = message.description.decode("utf-8", "replace")
                self._channel(message.recipient_channel).failed(message.reason_code, description)
            case ChannelExtendedData():
                channel = self._channel(message.recipient_channel)
                channel.extended_data_received(message.data_type, message.data)
            case ChannelEof():
                self._channel(message.recipient_channel).eof_received()
            case ChannelClose():
                self._channel(message.recipient_channel).close_received()
            case ChannelRequest():
                self._channel_request(message)
            case ChannelSuccess() | ChannelFailure():
                raise ProtocolError("a reply that nobody waits for")
            case _:
                raise ProtocolError("a message is not as long as its fields")

    def _charge(self) -> None:
        """Count a message without effect against the peer's limit."""
        if not self._affords(1):
            raise ProtocolError("too many requests, or messages that move nothing")

    def _answer(self, request: GlobalRequest) -> None:
        self._charge()
        reply = self._user.global_request_received(request.name, request.data)
        if request.want_reply:
            answer = RequestFailure() if reply is None else RequestSuccess(reply)
            self.send(answer.encode())

    def _set_remote(self, channel: Channel, message: ChannelOpen | ChannelOpenConfirmation) -> None:
        channel.set_remote(message.sender_channel, message.window_size, message.max_packet_size)
        if message.max_packet_size < self.peer_max_packet_size:
            self.peer_max_packet_size = message.max_packet_size

    def _open_requested(self, message: ChannelOpen) -> None:
        channel = Channel(self, self._free_number(), message.channel_type, self._account)
        self._set_remote(channel, message)
        if message.max_packet_size < SMALLEST_PACKET:
            channel.refuse(
                OPEN_ADMINISTRATIVELY_PROHIBITED,
                f"a maximum packet size of {message.max_packet_size} is too small",
            )
            return
        if len(self._channels) >= self.max_channels:
            channel.refuse(
                OPEN_RESOURCE_SHORTAGE, f"more than {self.max_channels} channels at once"
            )
            return
        self._channels[channel.number] = channel
        self._user.channel_open_requested(channel, message.channel_type, message.data)

    def _channel_request(self, message: ChannelRequest) -> None:
        channel = self._channel(message.recipient_channel)
        if channel.free_requests:
            channel.free_requests -= 1
        else:
            self._charge()
        granted = channel.request_received(message.request_type, message.data)
        if message.want_reply and granted is not None:
            answer = ChannelSuccess if granted else ChannelFailure
            self.send(answer(channel.remote_number).encode())
