"""The seams of a connector."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTCP, IReactorTime
from zope.interface import Interface

from tunnelcloud.domain.commands import PublicAddress


class IConnectorReactor(IReactorTCP, IReactorTime, IReactorFromThreads):
    """What a connector needs of a reactor."""


class IResolver(Interface):
    """Turns names into addresses."""

    def resolve(name: str) -> "Deferred[Sequence[IPv4Address | IPv6Address]]":
        """Give the addresses of a name, the preferred first (RFC 6724), at least one.

        Fails with L{tunnelcloud.domain.dialing.DialError}.  Cancelling affects nobody else who
        asked.
        """

    def forget(name: str) -> bool:
        """Forget what was found for a name, since none of it answers; tell whether it was kept."""


class ILinksUser(Interface):
    """Hears what pods tell beside channels."""

    def pods_known(pods: Sequence[PublicAddress]) -> None:
        """These are the pods from now on."""

    def certificate_renewed(certificate_pem: bytes) -> None:
        """A pod sent a new certificate."""
