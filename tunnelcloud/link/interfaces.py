"""The seams of a link: who owns it, and who hears of its channels."""

from cryptography import x509
from zope.interface import Interface

from tunnelcloud.channels.interfaces import IChannel


class ILinkOwner(Interface):
    """Whoever holds links: a pod its connectors', a connector its pods'.

    C{link} is the L{LinkProtocol}.
    """

    def link_refusal(link: object, certificate: x509.Certificate | None) -> str | None:
        """Say why the peer may not attach, or None if it may.

        :param certificate: the peer's, verified against the context's authority; None without one.
        """

    def link_ready(link: object) -> None:
        """Both sides have said hello."""

    def link_lost(link: object, reason: str) -> None:
        """The link is over, and its channels with it.  Called for a link that was ready."""

    def channel_requested(
        link: object, channel: IChannel, channel_type: bytes, data: bytes
    ) -> None:
        """The pod asks for a channel; a connector's owner answers it, a pod's is never asked."""
