"""Lets connections with many messages at once take turns with all others.

One read of a socket may bring thousands of small messages, and one user may have hundreds of
sockets.  Handling all of them in one turn of the reactor would hold up everybody else's bytes.

What holds, in words:

- In a turn a party (a user, or a connector's link) brings at most ``MESSAGES_A_ROUND`` messages,
  over all of its connections.
- All parties together bring ``MESSAGES_A_TURN``; beyond, a party that had less than ``FREE`` in
  this turn still brings these.  So who says little never waits for who says much.  Strangers have
  turns of their own (the web's, and SSH's before the login), in which they bring less, and nothing
  beyond: there may be any number of them.
- Parties that wait take turns, and so do the connections of a party.
"""

from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tunnelcloud.net.sockets import read_in_small_parts, widen_reads

MESSAGES_A_ROUND = 256
"""How many messages one party may bring in a turn of the reactor: about two milliseconds."""

MESSAGES_A_TURN = 1024
"""How many all parties may bring together."""

STRANGERS_A_TURN = 256
"""How many all strangers at one door may bring together."""

FREE = 16
"""How many a party may bring though all others together have brought too many."""

SIZE_SHIFT = 12
"""A message counts once more for each 4 KiB that it has, since these are encrypted again: by so
many bits its size is shifted."""


class SharedTurn:
    """What many connections may bring in one turn of the reactor.

    :param total: how many messages all of them may bring.
    :param free: see ``FREE``.
    """

    def __init__(self, clock: IReactorTime, total: int = MESSAGES_A_TURN, free: int = FREE) -> None:
        self._clock = clock
        self._total = self._left = total
        self._free = free
        self._had: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[Rounds]] = {}
        self._has_turn: deque[Rounds] = deque()  # those of the party that goes on now
        self._call: IDelayedCall | None = None

    def room(self, party: Hashable) -> int:
        """Tell how many messages a party may bring now; none while connections of it wait."""
        return 0 if party in self._waiting else self._left_to(party)

    def _left_to(self, party: Hashable) -> int:
        had = self._had.get(party, 0)
        return max(0, min(MESSAGES_A_ROUND - had, max(self._left, self._free - had)))

    def take(self, party: Hashable, count: int) -> None:
        """Count messages that a party has brought."""
        had = self._had[party] = self._had.get(party, 0) + count
        self._left -= count
        # Where little was brought it may be of several turns: then no turn need be begun.
        if had >= MESSAGES_A_ROUND // 4 or self._left <= self._total // 2:
            self._plan()

    def wait(self, party: Hashable, rounds: "Rounds") -> None:
        """Have a connection go on in one of the next turns."""
        self._waiting.setdefault(party, deque()).append(rounds)
        self._plan()

    def leave(self, party: Hashable, rounds: "Rounds") -> None:
        """Have a connection wait no more."""
        waiting = self._waiting.get(party, self._has_turn)
        if rounds in self._has_turn:  # another connection of its party ended it in its turn
            waiting = self._has_turn
        waiting.remove(rounds)
        if not self._waiting.get(party, True):
            del self._waiting[party]

    def _plan(self) -> None:
        if self._call is None:
            self._call = self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        self._call = None
        self._left = self._total
        self._had.clear()
        try:
            for party in tuple(self._waiting):
                if self._left <= 0:
                    break
                self._go_on(party)
        finally:
            if self._waiting:
                self._plan()

    def _go_on(self, party: Hashable) -> None:
        """Have a party's turn; where a connection fails, the others still wait for theirs."""
        waiting = self._has_turn = self._waiting.pop(party, deque())
        try:
            while waiting and self._left_to(party) > 0:
                waiting.popleft().go_on()
        finally:
            waiting.extend(self._waiting.pop(party, ()))
            self._has_turn = deque()
            if waiting:
                self._waiting[party] = waiting  # behind the others


def turn_of_strangers(clock: IReactorTime) -> SharedTurn:
    """Make what the strangers at one door may bring in one turn of the reactor."""
    return SharedTurn(clock, STRANGERS_A_TURN, 0)


def _nothing() -> None:
    """Do nothing."""


def _same(party: Hashable) -> Hashable:
    return party


class Rounds:
    """Puts the rest of one connection's messages off to a later turn of the reactor.

    A connection that had to wait reads little at once until a whole read fits into its turn: what
    was read waits in memory.

    :param turn: shared with the other connections.
    :param party: tells who brings the messages.
    :param go_on: works on more of the messages; called in a later turn.
    :param reads_little: whether the connection always reads little at once.
    :ivar waiting: whether the rest waits for its turn.
    """

    __slots__ = (
        "_go_on",
        "_has_small_reads",
        "_party",
        "_reads_little",
        "_transport",
        "_turn",
        "_waits_as",
        "_waits_in",
        "waiting",
    )

    def __init__(
        self,
        turn: SharedTurn,
        party: Callable[[], Hashable],
        go_on: Callable[[], object],
        *,
        reads_little: bool = False,
    ) -> None:
        self.waiting = False
        self._transport: Any = None
        self._turn = self._waits_in = turn
        self._party = party
        self._waits_as: Hashable = None
        self._go_on = go_on
        self._reads_little = reads_little
        self._has_small_reads = reads_little

    def move(self, turn: SharedTurn) -> None:
        """Take part in other turns from now on."""
        self._turn = turn

    def room(self) -> int:
        """Tell how many messages the connection may bring now."""
        return self._turn.room(self._party())

    def take(self, count: int) -> None:
        """Count messages that it has brought."""
        if count:
            self._turn.take(self._party(), count)

    def start_small(self, transport: Any) -> None:
        """Have the connection read little at once, until it shows that it has much to bring."""
        self._has_small_reads = True
        read_in_small_parts(transport)

    def wait(self, transport: Any) -> None:
        """Read no more of ``transport``, and go on in a later turn."""
        transport.pauseProducing()
        if not self._has_small_reads:
            self.start_small(transport)
        self._transport, self.waiting = transport, True
        self._waits_as, self._waits_in = self._party(), self._turn
        self._waits_in.wait(self._waits_as, self)

    def fitted(self, transport: Any, size: int) -> None:
        """Hear that a read of so many bytes was worked off in its own turn."""
        if self._has_small_reads and not self._reads_little and widen_reads(transport, size):
            self._has_small_reads = False

    def stop(self) -> None:
        """Go on no more: the connection is over.

        It is let go of: the two would refer to each other, and stay with all that the connection
        has in memory until Python's collector of cycles comes by.
        """
        if self.waiting:
            self.waiting = False
            self._waits_in.leave(self._waits_as, self)
        self._transport, self._go_on = None, _nothing
        self._party = partial(_same, self._party())

    def go_on(self) -> None:
        """Have the connection's turn."""
        self.waiting, transport = False, self._transport
        self._go_on()
        if not self.waiting:
            transport.resumeProducing()
