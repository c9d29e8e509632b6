"""A room for so many connections.  When it is full, the site that has the most in it makes room
for another, so that one which opens connections and says nothing keeps nobody else out.

A site is the widest network that may be one's own: whoever has many networks of IPv6 is one.
Within it the source with the most makes room, for a network of IPv4 may be that of many.
"""

from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from tunnelcloud.domain.addresses import source_groups

T = TypeVar("T")

_Origin = tuple[str, str]
"""A source, and its site."""


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
        self._present: dict[T, _Origin] = {}  # the oldest first
        self._sites: dict[str, Counter[str]] = {}  # how many each source has
        self._sizes: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._present)

    def has_place(self, address: IAddress | str | None) -> bool:
        """Tell whether one more could come in, perhaps in another's place; changes nothing."""
        return len(self._present) < self._room or self._largest(_origin(address)) is not None

    def admits(self, address: IAddress | str | None) -> bool:
        """Say whether one more may come in; when there is no room, another may have to go.

        :param address: where it comes from: a connection's, or an IP address as text.
        """
        if len(self._present) < self._room:
            return True
        largest = self._largest(_origin(address))
        if largest is None:
            return False
        oldest = next(one for one, origin in self._present.items() if origin == largest)
        self.leave(oldest)
        self._drop(oldest)
        return True

    def _largest(self, origin: _Origin) -> _Origin | None:
        """Find the source that makes room for another; None where none does."""
        source, site = origin
        [(crowded, most)] = self._sizes.most_common(1)
        if crowded != site and self._is_fair and most <= self._sizes[site] + 1:
            return None
        sources = self._sites[crowded]
        [(largest, count)] = sources.most_common(1)
        is_spared = largest == source or (
            self._is_fair and crowded == site and count <= sources[source] + 1
        )
        return None if is_spared else (largest, crowded)

    def enter(self, one: T, address: IAddress | str | None) -> None:
        """Count one that came in."""
        self.leave(one)
        self._present[one] = source, site = _origin(address)
        self._sizes[site] += 1
        self._sites.setdefault(site, Counter())[source] += 1

    def leave(self, one: T) -> None:
        """Stop counting one; without effect the second time."""
        origin = self._present.pop(one, None)
        if origin is None:
            return
        source, site = origin
        for counts, name in ((self._sites[site], source), (self._sizes, site)):
            counts[name] -= 1
            if not counts[name]:
                del counts[name]
        if not self._sites[site]:
            del self._sites[site]


def _origin(address: IAddress | str | None) -> _Origin:
    host = address.host if isinstance(address, IPv4Address | IPv6Address) else address
    groups = source_groups(host) if isinstance(host, str) else (("", 1),)
    return groups[0][0], groups[-1][0]
