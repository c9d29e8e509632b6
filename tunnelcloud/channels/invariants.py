"""What holds for a channel between any two steps; tests call this after each of theirs."""

from tunnelcloud.channels.channel import Channel
from tunnelcloud.channels.states import GOT_CLOSE, SENT_CLOSE, UNANSWERED, Receiving, Sending


def check_invariants(channel: Channel) -> None:
    """Check one channel.

    - Before the open is answered neither side says anything; afterwards both may.
    - Bytes are queued only while this side may send, and as many as are counted.
    - EOF and CLOSE wait only for queued bytes.
    - A channel whose CLOSE was sent has no user, no queue and no credit.
    - A channel whose peer sent CLOSE is answered as soon as the peer's bytes have been passed on,
      and keeps nothing that the peer doesn't want any more.
    - What the peer may send and what is held of it are never negative, and within the window.

    :raise AssertionError: one of these doesn't hold.
    """
    sending, receiving, window = channel.sending, channel.receiving, channel.window
    assert (sending in UNANSWERED) == (receiving is Receiving.WAITING), (sending, receiving)
    assert sum(map(len, channel.queue)) == channel.queued
    assert not channel.queue or sending in (Sending.OPEN, Sending.ENDING, Sending.CLOSING), sending
    if sending in (Sending.ENDING, Sending.CLOSING):
        assert channel.queue, f"{sending} waits for nothing"
    assert channel.remote_window >= 0
    if sending in SENT_CLOSE:
        assert channel.user is None
        assert window is None or window.size == 0
    elif receiving in GOT_CLOSE:
        assert window is not None
        assert window.held, "the peer's CLOSE isn't answered"
        assert sending in (Sending.ENDED, Sending.UNWANTED), sending
        assert not channel.withheld
    if window is not None:
        assert window.granted >= 0
        assert window.held >= 0
        assert not window.size or window.granted + window.held <= window.size
