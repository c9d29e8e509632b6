"""A room for so many connections.  When the room is full, the source with the most connections
loses one to a new source, so that a source that opens connections and sends nothing keeps nobody
else out.
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
    :param is_fair: whether a source loses a connection only to a source that then still has fewer,
        so that sources with one connection each don't take it from one another.
    """

    def __init__(self, room: int, drop: Callable[[T], object], *, is_fair: bool = False) -> None:
        self._room = room
        self._drop = drop
        self._is_fair = is_fair
        self._present: dict[T, str] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._present)

    def has_place(self, address: IAddress | str | None) -> bool:
        """Tell whether one more could come in, perhaps in another's place; changes nothing."""
        return len(self._present) < self._room or self._largest(_source(address)) is not None

    def admits(self, address: IAddress | str | None) -> bool:
        """Say whether one more may come in; when there is no room, another may have to go.

        :param address: where it comes from: a connection's, or an IP address as text.
        """
        if len(self._present) < self._room:
            return True
        largest = self._largest(_source(address))
        if largest is None:
            return False
        oldest = next(one for one, source in self._present.items() if source == largest)
        self.leave(oldest)
        self._drop(oldest)
        return True

    def _largest(self, source: str) -> str | None:
        """Find the source that makes room for another; None where none does."""
        counts = Counter(self._present.values())
        [(largest, most)] = counts.most_common(1)
        is_spared = largest == source or (self._is_fair and most <= counts[source] + 1)
        return None if is_spared else largest

    def enter(self, one: T, address: IAddress | str | None) -> None:
        """Count one that came in."""
        self._present[one] = _source(address)

    def leave(self, one: T) -> None:
        """Stop counting one; without effect the second time."""
        self._present.pop(one, None)


def _source(address: IAddress | str | None) -> str:
    if isinstance(address, str):
        return source_group(address)
    return source_group(address.host) if isinstance(address, IPv4Address | IPv6Address) else ""
