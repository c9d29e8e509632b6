"""Joins a channel of one connection to a channel of another: the pod's whole job, per stream.

What holds, in words:

- The near channel is confirmed only once the far one is.
- Every byte, EOF and close of one side goes to the other, in order, and nothing else does.
- A side is granted credit again only for bytes that the other side's socket has taken.
- A side is closed cleanly only when the other ended cleanly; an abnormal end of one is CLOSE
  without EOF on the other, at once.
- Channel requests are answered with FAILURE: a forwarded channel has none.

The near side is the one whose peer asked (a client), the far side the one this process asks for
(a target, through a connector).  A splice knows no policy, no store and no clock: whoever wants
the pending open to expire calls L{Splice.give_up}.
"""

import re

from zope.interface import Interface, implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.multiplexer import Multiplexer

END_REASON_REQUEST = b"end-reason@tunnelcloud"
"""A channel request the far side sends before an abnormal CLOSE; its data is a code."""

_END_REASON = re.compile(rb"[a-z][a-z-]{0,31}")


class ISpliceOwner(Interface):
    """Whoever decided that two channels may be joined, and keeps the record of it."""

    def splice_connected(splice: "Splice") -> None:
        """The far side confirmed; the near side is confirmed when this returns."""

    def splice_refused(splice: "Splice", reason_code: int, description: str) -> None:
        """The far side refused, or was lost.

        Call L{Splice.connect} again with another connection, or L{Splice.refuse}.
        """

    def splice_ended(splice: "Splice", clean: bool, reason: str) -> None:
        """Both channels are over, or the near one while the far one was pending.

        C{reason} is C{""} for a clean end.  Not called after L{Splice.refuse}.
        """


class Splice:
    """Two channels joined.

    @ivar near: the channel that was asked for.
    @ivar connected: whether both channels are, or were, open.
    @ivar bytes_to_far: how many bytes the near side sent so far.
    @ivar bytes_to_near: how many bytes the far side sent so far.
    @ivar first_eof: which side ended its stream first, C{"near"} or C{"far"}; C{""} before that.
    """

    __slots__ = (
        "_ended",
        "_far",
        "_owner",
        "bytes_to_far",
        "bytes_to_near",
        "connected",
        "first_eof",
        "near",
    )

    def __init__(self, near: IChannel, owner: ISpliceOwner) -> None:
        self.near = near
        self.bytes_to_far = 0
        self.bytes_to_near = 0
        self.first_eof = ""
        self.connected = False
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
        """Refuse the near channel: there is no far side to be had."""
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

    def far_failed(self, reason_code: int, description: str) -> None:
        """Tell the owner, who may know another way."""
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
        """Tell whether a far side still is this splice's."""
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
        self._splice.first_eof = self._splice.first_eof or "near"
        self._far.send_eof()


@implementer(IChannelUser)
class _FarSide(_Side):
    """The user of the far channel."""

    __slots__ = ("_end_reason", "_near", "channel")

    def __init__(self, splice: Splice) -> None:
        super().__init__(splice)
        self.channel: IChannel
        self._near = splice.near
        self._end_reason = ""

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
        self._splice.first_eof = self._splice.first_eof or "far"
        self._near.send_eof()

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        if request_type == END_REASON_REQUEST and _END_REASON.fullmatch(data):
            self._end_reason = data.decode("ascii")
        return False

    def closed(self, clean: bool, reason: str) -> None:
        if not self._splice.has_far(self):
            return  # it was dropped: somebody else says how this ends
        if not clean:
            reason = f"target: {self._end_reason}" if self._end_reason else f"connector: {reason}"
        self._splice.side_closed(clean, reason)
