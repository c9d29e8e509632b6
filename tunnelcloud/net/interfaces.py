"""The seams of the network's room: flood control, and the look-up of names."""

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from zope.interface import Interface

from tunnelcloud.domain.addresses import Address


class IFloodControl(Interface):
    """Decides which connections may start, and remembers who failed."""

    def connection_made(source: str) -> str:
        """A client connected: ``""`` if it may go on, else why not, for its user.

        If it may, it counts until ``authenticated`` or ``connection_lost``.
        """

    def authenticated(source: str) -> None:
        """One connection from ``source`` logged in and no longer counts."""

    def connection_lost(source: str) -> None:
        """One connection from ``source`` ended before it logged in."""

    def offended(source: str, weight: float) -> None:
        """Penalise ``source``; what it has gathered decays with time."""

    def counters() -> Mapping[str, int]:
        """Count accepted and dropped connections by cause, and offences.

        ``starting`` and ``penalised`` are those of now: connections before login, sources.
        """


class ILookUpReactor(IReactorTime, IReactorFromThreads):
    """What look-ups need of a reactor."""


class IResolver(Interface):
    """Turns names into addresses."""

    def resolve(name: str) -> Deferred[Sequence[Address]]:
        """Give the addresses of a name, the preferred first (RFC 6724), at least one.

        Fails with :class:`tunnelcloud.domain.dial_failures.DialError`.  Cancelling affects nobody
        else who asked.
        """

    def forget(name: str) -> bool:
        """Forget what was found for a name, since none of it answers; tell whether it was kept."""
