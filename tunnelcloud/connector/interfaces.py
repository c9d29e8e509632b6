"""The interfaces inside a connector."""

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTCP
from zope.interface import Interface

from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.net.interfaces import ILookUpReactor


class IConnectorReactor(IReactorTCP, ILookUpReactor):
    """The reactor's interfaces that a connector uses."""


class ILinksUser(Interface):
    """Hears pods' messages besides channels."""

    def pods_known(pods: Sequence[PublicAddress]) -> None:
        """Hear the pods' addresses, which replace the earlier ones."""

    def certificate_renewed(certificate_pem: bytes) -> bool:
        """Take a new certificate from a pod; return whether it is used from now on."""

    def authorities_known(ca_pem: bytes) -> bool:
        """Take the CAs to trust, the newest first; return whether they are trusted from now on."""
