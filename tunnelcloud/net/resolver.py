"""Looks names up without delaying anybody else.

Each look-up has a thread of its own, since the system's resolver blocks, for half a minute if its
servers are gone: in a shared pool a few dead names would hold up all others.  What holds: a name is
looked up at most once at a time; found addresses are kept for 30 s, failures aren't kept; and no
more than ``MAX_LOOKUPS`` run at once.
"""

import socket
import threading
from collections.abc import Callable, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.domain.addresses import Address, peer_address
from tunnelcloud.domain.dial_failures import DialError, DialFailure
from tunnelcloud.net.interfaces import ILookUpReactor, IResolver

CACHE_SECONDS = 30.0
LOOKUP_TIMEOUT = 10.0
MAX_LOOKUPS = 256
"""How many look-ups, hanging ones included, may be under way at once."""

MOST_ADDRESSES = 64
"""How many addresses of a name are taken, the first ones: a DNS server may give thousands, and each
is checked, and tried, whenever somebody connects."""

_MAX_CACHED = 4096
_NOT_FOUND = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


def run_in_thread(function: Callable[[], None]) -> None:
    """Start a thread that doesn't keep the process from ending."""
    threading.Thread(target=function, name="look-up", daemon=True).start()


def system_lookup(name: str) -> Sequence[Address]:
    """Ask the system, blocking.

    :raise OSError: it doesn't know.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    # A dict keeps the order and drops duplicates; a zone can't be connected to anyhow.
    addresses = {peer_address(str(info[4][0])): None for info in found}
    return tuple(address for address in addresses if address is not None)


@frozen
class _Cached:
    addresses: Sequence[Address]
    good_until: float


@implementer(IResolver)
class ThreadedResolver:
    """Asks the system's resolver.

    :param lookup: blocks; raises OSError.
    :param start: runs a function in another thread.
    :param timeout: after so many seconds a caller is told ``NAME_LOOKUP_FAILED``.
    :param most: how many look-ups, hanging ones included, may be under way at once.
    :param keep: for how many seconds found addresses are kept.
    """

    def __init__(
        self,
        reactor: ILookUpReactor,
        lookup: Callable[[str], Sequence[Address]] = system_lookup,
        start: Callable[[Callable[[], None]], None] = run_in_thread,
        timeout: float = LOOKUP_TIMEOUT,
        most: int = MAX_LOOKUPS,
        keep: float = CACHE_SECONDS,
    ) -> None:
        self._reactor = reactor
        self._lookup = lookup
        self._start = start
        self._timeout = timeout
        self._most = most
        self._keep = keep
        self._cache: dict[str, _Cached] = {}
        self._waiting: dict[str, list[Deferred[Sequence[Address]]]] = {}

    def resolve(self, name: str) -> "Deferred[Sequence[Address]]":
        """Give the addresses of a name; see ``IResolver.resolve``."""
        cached = self._cache.get(name)
        if cached is not None and self._reactor.seconds() < cached.good_until:
            return succeed(cached.addresses)
        if name not in self._waiting:
            if len(self._waiting) >= self._most:
                return fail(DialError(DialFailure.LIMIT))
            self._waiting[name] = []
            self._start(lambda: self._look_up(name))
        waiter: Deferred[Sequence[Address]] = Deferred(lambda _: self._forget(name, waiter))
        self._waiting[name].append(waiter)
        return waiter.addTimeout(
            self._timeout,
            self._reactor,
            lambda *_: Failure(DialError(DialFailure.NAME_LOOKUP_FAILED)),
        )

    def forget(self, name: str) -> bool:
        """Forget what was found; see ``IResolver.forget``."""
        return self._cache.pop(name, None) is not None

    def _look_up(self, name: str) -> None:
        """Run in a thread of its own."""
        outcome: Sequence[Address] | DialFailure
        try:
            found = self._lookup(name)[:MOST_ADDRESSES]
            outcome = found or DialFailure.NAME_NOT_FOUND
        except socket.gaierror as error:
            failed = error.errno not in _NOT_FOUND
            outcome = DialFailure.NAME_LOOKUP_FAILED if failed else DialFailure.NAME_NOT_FOUND
        except (OSError, UnicodeError):
            outcome = DialFailure.NAME_LOOKUP_FAILED
        self._reactor.callFromThread(self._looked_up, name, outcome)

    def _looked_up(self, name: str, outcome: "Sequence[Address] | DialFailure") -> None:
        waiting = self._waiting.pop(name)
        if not isinstance(outcome, DialFailure):
            self._remember(name, outcome)
        for waiter in waiting:
            # A caller that hears the result may cancel another.
            if waiter.called:
                continue
            if isinstance(outcome, DialFailure):
                waiter.errback(DialError(outcome))
            else:
                waiter.callback(outcome)

    def _remember(self, name: str, addresses: Sequence[Address]) -> None:
        now = self._reactor.seconds()
        if len(self._cache) >= _MAX_CACHED:
            self._cache = {
                name: cached for name, cached in self._cache.items() if now < cached.good_until
            }
        if len(self._cache) < _MAX_CACHED:
            self._cache[name] = _Cached(addresses, now + self._keep)

    def _forget(self, name: str, waiter: "Deferred[Sequence[Address]]") -> None:
        waiting = self._waiting.get(name, [])
        if waiter in waiting:
            waiting.remove(waiter)
