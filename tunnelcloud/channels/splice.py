"""Joins a channel of one connection to a channel of another: the pod's whole job, per stream.

What holds, in words:

- The near channel is confirmed only once the far one is.
- Every byte, EOF and close of one side goes to the other, in order, and nothing else does.
- A side is granted credit again only for bytes that the other side's socket has taken.
- The near side's CLOSE says that it has sent all and wants no more, whether EOF came before it or
  not: its bytes go on to the far side, then EOF. The splice drops whatever the far side still
  sends, and grants credit for it, so that the target isn't held up.  The splice lasts until the far
  side is over.
- A far side is closed cleanly only when both directions ended; any other end of it is CLOSE without
  EOF on the near side, at once.  So is the loss of the near side's connection on the far side.
- Channel requests are answered with FAILURE: a forwarded channel has none.

The near side is the one whose peer asked (a client), the far side the one this process asks for
(a target, through a connector).  A splice knows no policy, no store and no clock: whoever wants
the pending open to expire calls ``Splice.give_up``.
"""

import re
import struct

from zope.interface import Interface, implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.multiplexer import Multiplexer

END_REASON_REQUEST = b"end-reason@tunnelcloud"
"""A channel request the far side sends before an abnormal CLOSE; its data is a code."""

NOT_READING = b"not-reading"
"""The code for a target that read nothing until its time was up."""

NO_MORE_REQUEST = b"no-more@tunnelcloud"
"""A channel request to the far side: the client wants no more of the target's bytes.  Its data is
a uint32: the seconds without progress after which a target that doesn't read is given up.  A far
side that doesn't know it goes on sending, and is not listened to."""

TAKEN_REQUEST = b"taken@tunnelcloud"
"""A channel request of the far side, before its CLOSE and now and then when the near side has left.
Its data is a uint64: how many bytes the target's system has acknowledged."""

PATIENCE = 60
"""Seconds without progress after which a target that doesn't read is given up."""

_END_WORDS = {NOT_READING: "not reading, given up"}

_pack_patience = struct.Struct(">I").pack
_taken = struct.Struct(">Q")
_END_REASON = re.compile(rb"[a-z][a-z-]{0,31}")


def want_no_more(far: IChannel, patience: int) -> None:
    """End the stream to a target in order: EOF after all that was written, and no more is wanted.

    The far side closes the channel when the target has taken all.  CLOSE from here would be a cut:
    a target that is about to speak would get a reset.

    :param patience: see ``PATIENCE``.
    """
    far.send_eof()
    far.send_request(NO_MORE_REQUEST, _pack_patience(patience))


class ISpliceOwner(Interface):
    """Whoever decided that two channels may be joined, and keeps the record of it."""

    def splice_connected(splice: "Splice") -> None:
        """The far side confirmed; the near side is confirmed when this returns."""

    def splice_refused(splice: "Splice", reason_code: int, description: str) -> None:
        """The far side refused, or was lost.

        Call ``Splice.connect`` again with another connection, or ``Splice.refuse``.
        """

    def splice_left(splice: "Splice") -> None:
        """The near side is over in order; the far side goes on until it has taken all."""

    def splice_ended(splice: "Splice", clean: bool, reason: str) -> None:
        """Both channels are over, or the near one while the far one was pending.

        ``reason`` is ``""`` for a clean end.  Not called after ``Splice.refuse``.
        """


class Splice:
    """Two channels joined.

    :ivar near: the channel that was asked for.
    :ivar connected: whether both channels are, or were, open.
    :ivar bytes_to_far: how many bytes the near side sent so far.
    :ivar bytes_to_near: how many bytes the far side sent so far.
    :ivar progress: how many bytes the target's system had acknowledged at the last report; None
        before.
    :ivar bytes_taken: how many it had acknowledged when the far side ended; None while that is
        unknown.
    :ivar left: whether the near side has closed in order.

    :param patience: see ``PATIENCE``.
    """

    __slots__ = (
        "_ended",
        "_far",
        "_owner",
        "_patience",
        "bytes_taken",
        "bytes_to_far",
        "bytes_to_near",
        "connected",
        "left",
        "near",
        "progress",
    )

    def __init__(self, near: IChannel, owner: ISpliceOwner, patience: int = PATIENCE) -> None:
        self.near = near
        self.bytes_to_far = 0
        self.bytes_to_near = 0
        self.progress: int | None = None
        self.bytes_taken: int | None = None
        self.connected = False
        self.left = False
        self._patience = patience
        self._owner = owner
        self._far: _FarSide | None = None
        self._ended = False
        near.user = _PendingSide(self)

    def connect(self, connection: Multiplexer, channel_type: bytes, data: bytes) -> None:
        """Ask for the far channel; the owner hears the answer, perhaps before this returns.

        Its credit is the near side's account's: a session pays for both its hops.
        """
        assert not self._ended
        assert self._far is None
        side = self._far = _FarSide(self)
        side.channel = connection.open_channel(channel_type, data, side, self.near.account)

    def give_up(self, reason_code: int, description: str) -> None:
        """The far side takes too long: drop it and tell the owner that it refused."""
        if not self.connected and not self._ended and self._far is not None:
            self._drop_far(description)
            self._owner.splice_refused(self, reason_code, description)

    def refuse(self, reason_code: int, description: str) -> None:
        """Refuse the near channel: no far side is available."""
        if not self._ended:
            assert not self.connected
            self._ended = True
            self._drop_far(description)
            self.near.refuse(reason_code, description)

    def end(self, reason: str) -> None:
        """Cut both sides off, for instance because the permission is gone."""
        self.side_closed(False, reason)

    # What the two sides tell.

    def far_opened(self, far: IChannel) -> None:
        """Join the two."""
        self.connected = True
        self.near.user = _NearSide(self, far)
        self._owner.splice_connected(self)
        if not self._ended:
            self.near.confirm()

    def near_closed(self, far: IChannel) -> None:
        """Deliver the near side's bytes, and drop those of the far side from now on."""
        if self._ended:
            return
        self.left = True
        assert self._far is not None
        far.user = self._far = _LeftFarSide(self, self._far)
        want_no_more(far, self._patience)
        self._owner.splice_left(self)

    def far_failed(self, reason_code: int, description: str) -> None:
        """Tell the owner, who may try another connection."""
        self._far = None
        if not self._ended:
            self._owner.splice_refused(self, reason_code, description)

    def side_closed(self, clean: bool, reason: str) -> None:
        """End the other side likewise."""
        if self._ended:
            return
        self._ended = True
        self._drop_far(reason)
        self.near.close(reason)
        self._owner.splice_ended(self, clean, reason)

    def has_far(self, side: "_FarSide") -> bool:
        """Tell whether this is the splice's current far side."""
        return self._far is side

    def _drop_far(self, reason: str) -> None:
        far, self._far = self._far, None
        if far is not None:
            far.channel.close(reason)


class _Side:
    """What the users of both channels have in common."""

    __slots__ = ("_splice",)

    def __init__(self, splice: Splice) -> None:
        self._splice = splice

    def opened(self) -> None:
        raise AssertionError("this channel is the peer's wish")

    def open_failed(self, reason_code: int, description: str) -> None:
        raise AssertionError("this channel is the peer's wish")

    def data_received(self, data: memoryview) -> None:
        raise AssertionError("nothing arrives before the confirmation")

    def eof_received(self) -> None:
        raise AssertionError("nothing arrives before the confirmation")

    def drained(self, count: int) -> None:
        raise AssertionError("nothing is sent before the confirmation")

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        return False

    def peer_closed(self) -> None:
        raise AssertionError("nothing arrives before the confirmation")

    def closed(self, clean: bool, reason: str) -> None:
        self._splice.side_closed(clean, reason and f"client: {reason}")


@implementer(IChannelUser)
class _PendingSide(_Side):
    """The user of the near channel until it is confirmed."""

    __slots__ = ()


@implementer(IChannelUser)
class _NearSide(_Side):
    """The user of the near channel."""

    __slots__ = ("_far",)

    def __init__(self, splice: Splice, far: IChannel) -> None:
        super().__init__(splice)
        self._far = far

    def data_received(self, data: memoryview) -> None:
        self._splice.bytes_to_far += len(data)
        self._far.write(data)

    def drained(self, count: int) -> None:
        self._far.consumed(count)

    def eof_received(self) -> None:
        self._far.send_eof()

    def peer_closed(self) -> None:
        self._splice.near_closed(self._far)

    def closed(self, clean: bool, reason: str) -> None:
        if not self._splice.left:
            super().closed(clean, reason)


@implementer(IChannelUser)
class _FarSide(_Side):
    """The user of the far channel."""

    __slots__ = ("_end_reason", "_ended", "_near", "channel")

    def __init__(self, splice: Splice) -> None:
        super().__init__(splice)
        self.channel: IChannel
        self._near = splice.near
        self._end_reason = ""
        self._ended = False

    def opened(self) -> None:
        self._splice.far_opened(self.channel)

    def open_failed(self, reason_code: int, description: str) -> None:
        self._splice.far_failed(reason_code, description)

    def data_received(self, data: memoryview) -> None:
        self._splice.bytes_to_near += len(data)
        self._near.write(data)

    def drained(self, count: int) -> None:
        self._near.consumed(count)

    def eof_received(self) -> None:
        self._ended = True
        self._near.send_eof()

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        if request_type == END_REASON_REQUEST and _END_REASON.fullmatch(data):
            self._end_reason = _END_WORDS.get(data, data.decode("ascii"))
        elif request_type == TAKEN_REQUEST and len(data) == _taken.size:
            # A connector can't have delivered more bytes than it got.
            self._splice.progress = min(_taken.unpack(data)[0], self._splice.bytes_to_far)
        return False

    def peer_closed(self) -> None:
        self._splice.bytes_taken = self._splice.progress
        # After EOF all that the target sent is here: the answer waits until the client has it.
        if not self._ended:
            self.channel.close("closed by the peer")

    def closed(self, clean: bool, reason: str) -> None:
        if not self._splice.has_far(self):
            return  # it was replaced: another far side says how this ends
        if not clean:
            reason = f"target: {self._end_reason}" if self._end_reason else f"connector: {reason}"
        self._splice.side_closed(clean, reason)


@implementer(IChannelUser)
class _LeftFarSide(_FarSide):
    """The user of the far channel once the near side has left: it drops what comes."""

    __slots__ = ()

    def __init__(self, splice: Splice, before: _FarSide) -> None:
        super().__init__(splice)
        self.channel = before.channel
        self._ended = before._ended

    def data_received(self, data: memoryview) -> None:
        self.channel.consumed(len(data))

    def eof_received(self) -> None:
        self._ended = True
