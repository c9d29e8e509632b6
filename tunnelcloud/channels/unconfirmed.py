"""The user of a channel that the peer asked for, until it is confirmed or refused."""


class UnconfirmedUser:
    """All of ``IChannelUser`` except ``closed``, the only call that such a channel's user gets."""

    def opened(self) -> None:
        """Never told: the channel is the peer's wish."""

    def open_failed(self, reason_code: int, description: str) -> None:
        """Never told: the channel is the peer's wish."""

    def data_received(self, data: memoryview) -> None:
        """Never told: there is no window yet."""

    def eof_received(self) -> None:
        """Never told: the peer doesn't know the channel's number yet."""

    def peer_closed(self) -> None:
        """Never told: the peer doesn't know the channel's number yet."""

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        """Refuse: a forwarded channel has no requests."""
        return False

    def drained(self, count: int) -> None:
        """Never told: nothing is written."""
