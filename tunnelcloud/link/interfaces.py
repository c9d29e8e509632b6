"""The seams of a link: who owns it, and who hears of its channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from zope.interface import Interface

from tunnelcloud.channels.interfaces import IChannel

if TYPE_CHECKING:
    from tunnelcloud.link.protocol import LinkProtocol


class ILinkOwner(Interface):
    """The owner of links: a pod owns those to its connectors, a connector those to its pods.

    ``link`` is the ``LinkProtocol``.
    """

    def link_refusal(link: LinkProtocol, certificate: x509.Certificate | None) -> str | None:
        """Say why the peer may not attach, or None if it may.

        :param certificate: the peer's, verified against the context's authority; None without one.
        """

    def link_ready(link: LinkProtocol) -> None:
        """Both sides have said hello."""

    def link_lost(link: LinkProtocol, reason: str) -> None:
        """The link is over, and its channels with it; it may never have been ready."""

    def channel_requested(
        link: LinkProtocol, channel: IChannel, channel_type: bytes, data: bytes
    ) -> None:
        """The pod asks for a channel; called on a connector's owner only."""
