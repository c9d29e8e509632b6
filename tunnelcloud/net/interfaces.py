"""What a door asks before it lets a connection in."""

from collections.abc import Mapping

from zope.interface import Interface


class IFloodControl(Interface):
    """Decides which connections may start, and remembers who failed."""

    def connection_made(source: str) -> str:
        """A client connected: C{""} if it may go on, else why not, for its user.

        If it may, it counts until L{authenticated} or L{connection_lost}.
        """

    def authenticated(source: str) -> None:
        """One connection from C{source} logged in and no longer counts."""

    def connection_lost(source: str) -> None:
        """One connection from C{source} ended before it logged in."""

    def offended(source: str, weight: float) -> None:
        """Penalise C{source}; what it has gathered decays with time."""

    def counters() -> Mapping[str, int]:
        """Count accepted and dropped connections by cause, and offences.

        C{starting} and C{penalised} are those of now: connections before login, sources.
        """
