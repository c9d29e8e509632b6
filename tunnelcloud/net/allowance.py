"""Allowances that are used up at once or slowly, and fill up with time."""

from collections import OrderedDict
from collections.abc import Hashable

from twisted.internet.interfaces import IReactorTime


class Allowance:
    """So much at once, and so much more a second.

    :param size: the most that can be taken at once.
    :param per_second: how much comes back in a second.
    """

    __slots__ = ("_at", "_clock", "_left", "_per_second", "_size")

    def __init__(self, clock: IReactorTime, size: float, per_second: float) -> None:
        self._clock = clock
        self._size = self._left = size
        self._per_second = per_second
        self._at = clock.seconds()

    def take(self, amount: float) -> bool:
        """Take ``amount`` if so much is left; return whether it was."""
        now = self._clock.seconds()
        self._left = min(self._size, self._left + (now - self._at) * self._per_second)
        self._at = now
        if amount > self._left:
            return False
        self._left -= amount
        return True


class Allowances:
    """An allowance for each of many; those that were used last are kept.

    :param size: see ``Allowance``, as ``per_second``.
    """

    _MOST_KEPT = 10_000

    def __init__(self, clock: IReactorTime, size: float, per_second: float) -> None:
        self._clock = clock
        self._size = size
        self._per_second = per_second
        self._kept: OrderedDict[Hashable, Allowance] = OrderedDict()

    def take(self, whose: Hashable) -> bool:
        """Take one of somebody's allowance; return whether there was one left."""
        allowance = self._kept.pop(whose, None)
        if allowance is None:
            allowance = Allowance(self._clock, self._size, self._per_second)
        self._kept[whose] = allowance
        if len(self._kept) > self._MOST_KEPT:
            self._kept.popitem(last=False)
        return allowance.take(1)
