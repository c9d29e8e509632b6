"""A room for so many connections.  When it is full, the source that has the most in it makes room
for another, so that one which opens connections and says nothing keeps nobody else out.
"""

from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from tunnelcloud.domain.addresses import source_group

T = TypeVar("T")


class Crowd(Generic[T]):
    """Counts connections by where they come from.

    :param room: how many there may be.
    :param drop: ends one of them.
    """

    def __init__(self, room: int, drop: Callable[[T], object]) -> None:
        self._room = room
        self._drop = drop
        self._present: dict[T, str] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._present)

    def admits(self, address: IAddress | str | None) -> bool:
        """Say whether one more may come in; when there is no room, another may have to go.

        :param address: where it comes from: a connection's, or an IP address as text.
        """
        if len(self._present) < self._room:
            return True
        [(largest, _)] = Counter(self._present.values()).most_common(1)
        if largest == _source(address):
            return False
        oldest = next(one for one, source in self._present.items() if source == largest)
        self.leave(oldest)
        self._drop(oldest)
        return True

    def enter(self, one: T, address: IAddress | str | None) -> None:
        """Count one that came in."""
        self._present[one] = _source(address)

    def leave(self, one: T) -> None:
        """Count one no longer; without effect the second time."""
        self._present.pop(one, None)


def _source(address: IAddress | str | None) -> str:
    if isinstance(address, str):
        return source_group(address)
    return source_group(address.host) if isinstance(address, IPv4Address | IPv6Address) else ""
