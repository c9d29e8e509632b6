"""The seams of a connector."""

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTCP
from zope.interface import Interface

from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.net.interfaces import ILookUpReactor


class IConnectorReactor(IReactorTCP, ILookUpReactor):
    """What a connector needs of a reactor."""


class ILinksUser(Interface):
    """Hears what pods tell beside channels."""

    def pods_known(pods: Sequence[PublicAddress]) -> None:
        """These are the pods from now on."""

    def certificate_renewed(certificate_pem: bytes) -> bool:
        """A pod sent a new certificate; tell whether it is used from now on."""

    def authorities_known(ca_pem: bytes) -> bool:
        """These CAs, the newest first, are to be trusted; tell whether they are from now on."""
