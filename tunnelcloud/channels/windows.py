"""How much a peer may send before it must wait, and the budget all such credit comes from.

What holds, in words:

- A window's size counts against the budget from the moment it is promised until this side closes
  its channel or gives it up; bytes that arrive later are dropped, so a peer that never answers
  keeps no credit.  ``granted + held <= size`` until then, so one direction of a channel never holds
  more bytes than the budget counts.
- A peer that sends more than it was granted broke the protocol.
- Credit is granted again only for bytes that have left.
- A window doubles when a whole window has arrived since it last changed and the receiver has kept
  up: the window of a channel that is idle, slow, or has a slow next hop never grows.
- The windows of a connection that are in use share ``STEADY_WINDOW``, down to a quarter of it each:
  all bytes they promise may queue before a slow receiver, and a keystroke waits behind them.
- Beyond its share it doubles only while it is what holds the sender back: while a window is
  less than twice what arrives in a round trip.  (A sender that is faster than the path keeps the
  rest of its window in its own memory, and OpenSSH's client becomes slow at that: it moves all of a
  queue of 16 MiB with each read.)
- When all windows together have grown by ``ample``, which keeps one machine busy, none grows
  further unless its sender is a ``LONG_WAY`` off: so many channels that nobody reads fill little
  memory.
- A window that has grown and whose bytes pile up here shrinks again, by granting less: a window
  larger than the sender's round trip needs only fills memory, and no longer fits into the
  processor's cache.
- A budget that runs short gives small windows to new channels and shrinks those that had grown, so
  that new channels get a fair share.

This module knows numbers only: no channel, no transport and no clock.
"""

from collections.abc import Callable

from tunnelcloud.channels.messages import ProtocolError

KIB = 1024
MIB = 1024 * KIB

FIRST_WINDOW = 64 * KIB
SHORT_WINDOW = 16 * KIB
STEADY_WINDOW = 2 * MIB
"""A window shrinks to this size while bytes pile up, and grows to it unconditionally: enough for
one machine, measured."""

LARGEST_WINDOW = 16 * MIB
LONG_WAY = 0.01
"""From a round trip of so many seconds on, a window may grow beyond ``CreditBudget.ample``."""

DEFAULT_BUDGET = 512 * MIB

_STEPS = 8
"""Credit is granted again when an eighth of the window has left.  With half of it, a burst that is
a little less than a window earns one half only: its sender gets half a window a round trip."""

_LEAST_SHARE = STEADY_WINDOW // 4
"""With less, sixteen channels at once move less than two, measured."""

_SMALLEST_STEP = 32 * KIB
"""Less isn't worth a message, unless it is half of a small window."""


class CreditBudget:
    """All the credit one process may have promised its peers, in bytes.

    :ivar used: how much is promised.
    :ivar grown: how much of that is by windows that grew.
    :ivar ample: how far all windows may grow together, however near their senders are.

    :param total: the budget; windows of the smallest size are given even beyond it, since their
        number is limited by the number of channels.
    :param shares: one account gets this fraction of it at most.
    """

    def __init__(self, total: int = DEFAULT_BUDGET, shares: int = 8) -> None:
        self.total = total
        self.share = total // shares
        self.ample = total * 3 // 128
        self.used = 0
        self.grown = 0

    def account(self) -> "CreditAccount":
        """Open an account for one session."""
        return CreditAccount(self)

    @property
    def short(self) -> bool:
        """Whether less than an eighth is left."""
        return self.used > self.total - self.total // 8


class CreditAccount:
    """The credit that one session's channels have promised, on every hop."""

    __slots__ = ("_budget", "used")

    def __init__(self, budget: CreditBudget) -> None:
        self._budget = budget
        self.used = 0

    @property
    def short(self) -> bool:
        """Whether the account or the whole budget nears its end."""
        share = self._budget.share
        return self._budget.short or self.used > share - share // 8

    def take_first(self) -> int:
        """Take the credit of a new window; return its size in bytes."""
        size = SHORT_WINDOW if self.short else FIRST_WINDOW
        self._take(size)
        return size

    def take_more(self, count: int, far_off: bool) -> bool:
        """Take ``count`` bytes more for a window that grows, unless that would leave it short.

        :param far_off: whether a ``LONG_WAY`` is the reason.
        """
        budget = self._budget
        share_end = budget.share - budget.share // 8
        if self.used + count > share_end or budget.used + count > budget.total * 3 // 4:
            return False
        if not far_off and budget.grown + count > budget.ample:
            return False
        self._take(count)
        budget.grown += count
        return True

    def give_back(self, count: int, grown: int) -> None:
        """Return ``count`` bytes of credit that no peer holds any more.

        :param grown: how many of them a window had grown by.
        """
        self.used -= count
        self._budget.used -= count
        self._budget.grown -= grown
        assert self.used >= 0
        assert self._budget.used >= self._budget.grown >= 0

    def _take(self, count: int) -> None:
        self.used += count
        self._budget.used += count


class Path:
    """The path to a connection's peer: how long a round trip takes at least.

    :ivar round_trip: the shortest that was measured, in seconds; None before the first.
    :ivar windows_in_use: how many of the connection's windows have grown.

    :param seconds: the monotonic clock.
    """

    __slots__ = ("_asked_at", "round_trip", "seconds", "windows_in_use")

    def __init__(self, seconds: Callable[[], float] = float) -> None:
        self.seconds = seconds
        self.round_trip: float | None = None
        self.windows_in_use = 0
        self._asked_at: float | None = None

    @property
    def steady_window(self) -> int:
        """A window's share of ``STEADY_WINDOW``."""
        return max(STEADY_WINDOW // max(1, self.windows_in_use), _LEAST_SHARE)

    def asked(self) -> None:
        """A message is sent that the peer answers at once."""
        self._asked_at = self.seconds()

    def answered(self) -> None:
        """The answer has come; a duplicate is ignored."""
        if self._asked_at is not None:
            taken = self.seconds() - self._asked_at
            self._asked_at = None
            if self.round_trip is None or taken < self.round_trip:
                self.round_trip = taken


class ReceiveWindow:
    """What the peer may send on one channel.

    :ivar size: the most that may be granted and held together, in bytes.
    :ivar granted: what the peer may still send.
    :ivar held: what it sent and has not been passed on.
    """

    __slots__ = (
        "_account",
        "_arrived",
        "_first_size",
        "_least_held",
        "_path",
        "_since",
        "granted",
        "held",
        "size",
    )

    def __init__(self, account: CreditAccount, path: Path) -> None:
        self._account = account
        self._path = path
        self._since = path.seconds()
        self.size = self.granted = self._first_size = account.take_first()
        self.held = 0
        self._arrived = 0
        self._least_held = LARGEST_WINDOW

    def receive(self, count: int) -> None:
        """Account for ``count`` bytes that arrived.

        :raise ProtocolError: they are more than was granted.
        """
        if count > self.granted:
            raise ProtocolError(f"{count} bytes arrived in a window of {self.granted}")
        self.granted -= count
        self.held += count
        self._arrived += count

    def consume(self, count: int) -> int:
        """Account for ``count`` bytes that were passed on.

        :return: the number of bytes to grant now; 0 while it isn't worth a message.
        """
        self.held -= count
        assert self.held >= 0, "more was consumed than arrived"
        if self.held < self._least_held:
            self._least_held = self.held
        due = self.size - self.granted - self.held
        if due * 2 < self.size and due < max(self.size // _STEPS, _SMALLEST_STEP):
            return 0
        if self._arrived >= self.size:
            self._resize()
        due = max(0, self.size - self.granted - self.held)
        self.granted += due
        return due

    def release(self) -> None:
        """Give all credit back, the first time: bytes that arrive from now on are dropped.

        The peer may still send what it was granted, since it doesn't know yet.
        """
        self._account.give_back(self.size, self._grown)
        self._path.windows_in_use -= self._grown > 0
        self.size = self._first_size = 0

    def _resize(self) -> None:
        piled_up = self._least_held * 4 >= self.size
        path = self._path
        now = path.seconds()
        was_in_use = self._grown > 0
        if self._account.short:
            self._shrink(FIRST_WINDOW)
        elif piled_up:
            self._shrink(path.steady_window)
        elif self._holds_the_sender_back(now):
            if self.size < LARGEST_WINDOW:
                self._grow((path.round_trip or LONG_WAY) >= LONG_WAY)
        elif self.size < path.steady_window:
            self._grow(False)
        elif self.size <= STEADY_WINDOW:
            self._shrink(path.steady_window)
        path.windows_in_use += (self._grown > 0) - was_in_use
        self._arrived = 0
        self._since = now
        self._least_held = LARGEST_WINDOW

    @property
    def _grown(self) -> int:
        return max(0, self.size - self._first_size)

    def _holds_the_sender_back(self, now: float) -> bool:
        """Whether a window arrives in two round trips at most.

        A window that limits the sender arrives in one; if it took longer, something else was slow.
        """
        round_trip = self._path.round_trip
        if round_trip is None:
            return True
        return (now - self._since) * self.size <= 2 * round_trip * self._arrived

    def _grow(self, far_off: bool) -> None:
        if self._account.take_more(self.size, far_off):
            self.size *= 2

    def _shrink(self, least: int) -> None:
        smaller = max(self.size // 2, self.granted + self.held, least)
        if smaller < self.size:
            grown = self._grown
            count, self.size = self.size - smaller, smaller
            self._account.give_back(count, grown - self._grown)
