"""How many bytes of all targets together may wait in a connector's memory.

A stream reads ahead of the link, so that the link never waits for its target.  Clients that never
read would fill the memory that way: 256 KiB a stream.  When half of the budget is used, streams
read ahead little, and in small pieces.  A stream reads in small pieces from its start, and in
larger ones while they come full.

The module knows numbers only.
"""

KIB = 1024

READ_AHEAD = 256 * KIB
"""How many bytes of one target may wait for the link while there is room."""

SHORT_AHEAD = 16 * KIB
"""How many may wait when half of the budget is used."""

LARGEST_READ = READ_AHEAD // 2
SMALLEST_READ = SHORT_AHEAD

DEFAULT_TOTAL = 64 * 1024 * KIB


class ReadAhead:
    """Counts the bytes of all targets that wait for links.

    :param total: the budget, in bytes.
    :ivar held: how many there are.
    """

    def __init__(self, total: int) -> None:
        self._ample = total // 2
        self.held = 0

    @property
    def limit(self) -> int:
        """How many bytes of one target may wait."""
        return READ_AHEAD if self.held <= self._ample else SHORT_AHEAD

    def take(self, count: int) -> None:
        """Count bytes that were read."""
        self.held += count

    def give_back(self, count: int) -> None:
        """Count bytes no longer: the link has taken them, or nobody wants them any more."""
        self.held -= count
        assert self.held >= 0

    def next_read(self, size: int, came: int) -> int:
        """Return how large a stream's next read may be.

        :param size: how large the last one could be.
        :param came: how much it brought.
        """
        if self.held > self._ample:
            return SMALLEST_READ
        if came >= size:
            return min(2 * size, LARGEST_READ)
        return max(size // 2, SMALLEST_READ) if came < size // 4 else size
