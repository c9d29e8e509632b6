"""Whether the other end of a link lives: pings, and how long it may be silent.

What holds, in words:

- Any byte received proves life.  After 45 seconds without one (or what the link's owner sets) the
  peer is given up.
- A peer that sends bytes but doesn't answer pings, opens or closes breaks the protocol.
- Of a link without channels the pod's end alone asks, as long as its pings come: they prove to the
  connector that the pod lives, and a thousand idle links cost half.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tunnelcloud.channels.channel import Channel
from tunnelcloud.channels.multiplexer import Multiplexer
from tunnelcloud.link.requests import PING

LONGEST_SILENCE = 45.0
"""Seconds without a byte after which, at the latest, a link is over."""

JUST_NOW = 0.5
"""For so many seconds after a byte a peer needn't be asked for another."""

PINGS_IN_SILENCE = 3.5
_MISSED = 1.5
"""After so many intervals of silence this end asks, though it leaves that to the peer."""

TOGETHER = 0.5
"""Links are looked at so many seconds apart, all that are due in one turn of the reactor: it costs
more to wake up than to ask."""

_FIRST_PINGS = 8
"""How many pings are sent at first, one after the other: the first finds the peer busy with the
handshake."""

LONGEST_DEBT = 60.0
"""Seconds that a peer may owe the answer to an open that was given up, or to a CLOSE."""

LONGEST_UNANSWERED = 180.0
"""Seconds that a peer that sends bytes may leave pings unanswered: no path is so slow."""


class Liveness:
    """Asks a peer for signs of life.

    :param longest_silence: seconds without a byte after which, at the latest, it is given up.
    :param give_up: hears why the peer is given up.
    :param accuse: hears which rule the peer breaks.
    :param asks_at_rest: whether this end asks though the peer does and there are no channels.
    :param at_rest: called when a ping would be due and there are no channels.
    :ivar ping_interval: seconds between two pings.
    :ivar round_trip: seconds the last answered ping took; None before.
    :ivar heard_at: when the last byte came; whoever reads sets it.
    """

    def __init__(
        self,
        multiplexer: Multiplexer,
        clock: IReactorTime,
        longest_silence: float,
        give_up: Callable[[str], None],
        accuse: Callable[[str], None],
        *,
        asks_at_rest: bool,
        at_rest: Callable[[], object],
    ) -> None:
        self.ping_interval = longest_silence / PINGS_IN_SILENCE
        self.round_trip: float | None = None
        self.heard_at = 0.0
        # Silence is checked when a ping is due: silence allowed at one ping must not be too long at
        # the next.
        self._silence_limit = longest_silence - 1.1 * self.ping_interval
        self._multiplexer = multiplexer
        self._clock = clock
        self._give_up = give_up
        self._accuse = accuse
        self._asks_at_rest = asks_at_rest
        self._at_rest = at_rest
        self._timer: IDelayedCall | None = None
        self._over = False
        self._pings_ahead = _FIRST_PINGS
        self._probing = False
        self._debts: dict[Channel, float] = {}
        self._answered_until = 0.0

    @property
    def silence(self) -> float:
        """Seconds since the peer's last byte."""
        return self._clock.seconds() - self.heard_at

    def begin(self) -> None:
        """Ask from now on: the peer has said hello."""
        self._answered_until = self._clock.seconds()
        self._keep_alive()

    def stop(self) -> None:
        """Ask no more: the link is over."""
        self._over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def probe(self) -> None:
        """Ask the peer for a byte, unless it just sent one."""
        if self.silence > JUST_NOW and not self._over and not self._probing:
            self._probing = True
            self._multiplexer.send_global_request(PING, b"", self._probed)

    def _keep_alive(self) -> None:
        if self.silence >= self._silence_limit:
            self._give_up(f"the peer was silent for {self.silence:.0f} s")
            return
        if debt := self._debt():
            self._accuse(debt)
            return
        is_at_rest = not (self._multiplexer.channel_count or self._debts)
        if is_at_rest:
            self._at_rest()
        if is_at_rest and not self._asks_at_rest and self.silence < _MISSED * self.ping_interval:
            self._answered_until = self._clock.seconds()  # nothing was asked
        else:
            self._ping()
        if not self._over:
            due = self._clock.seconds() + self.ping_interval
            self._timer = self._clock.callLater(
                self.ping_interval - due % TOGETHER, self._keep_alive
            )

    def _debt(self) -> str:
        """Name the answer that the peer has owed for too long; empty if there is none.

        An answer counts only if the peer has read the question: it answered a ping that was sent
        later.
        """
        now = self._clock.seconds()
        due = (channel for channel in self._multiplexer.channels if channel.answer_due)
        self._debts = {channel: self._debts.get(channel, now) for channel in due}
        oldest = min(self._debts.values(), default=now)
        if self._answered_until - oldest > LONGEST_DEBT:
            return "channels are kept: opens or closes are never answered"
        if now - self._answered_until > LONGEST_UNANSWERED:
            return "pings are never answered"
        return ""

    def _probed(self, reply: "bytes | None") -> None:
        self._probing = False

    def _ping(self) -> None:
        now = self._clock.seconds()
        path = self._multiplexer.path

        def answered(reply: "bytes | None") -> None:
            if reply is None:
                return
            self.round_trip = self._clock.seconds() - now
            self._answered_until = now
            path.answered()
            self._pings_ahead -= 1
            if self._pings_ahead > 0:
                self._ping()

        path.asked()
        self._multiplexer.send_global_request(PING, b"", answered)
