"""The interfaces inside the pod: links, records and views, as routes and sessions use them."""

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from tunnelcloud.channels.multiplexer import Multiplexer
from tunnelcloud.domain.entities import Session, UserView
from tunnelcloud.domain.objects.sites import Tunnel

if TYPE_CHECKING:
    from tunnelcloud.domain.entities import Channel
    from tunnelcloud.domain.user_limits import Limits


class IAttachedLink(Interface):
    """One link to a connector that is up."""

    connector_id: str = Attribute("The connector's id.")
    multiplexer: Multiplexer = Attribute("Opens channels to the connector.")
    silence: float = Attribute("Seconds since the connector's last byte.")
    way: str = Attribute("How the connector reaches this pod, for people; escaped.")

    def probe() -> None:
        """Have the connector answer, unless it just sent something."""


class ILinks(Interface):
    """The links that connectors hold to this pod."""

    def pick(site_id: str, exclude: "frozenset[str]" = frozenset()) -> "IAttachedLink | None":
        """Choose the least loaded healthy link of a site.

        :param exclude: ids of connectors that were tried already.
        """


class IRecords(Interface):
    """Records sessions and channels.

    A record is durable when its Deferred fires; a record without a Deferred is written soon.
    """

    def channel_opened(
        session: Session,
        tunnel: Tunnel,
        destination: str,
        port: int,
        limits: "Limits | None" = None,
    ) -> "Deferred[Channel]":
        """Record that a channel was allowed, before the first byte flows.

        :param limits: judged over all pods; fails with ``LimitReached``.
        """

    def channel_closed(
        channel: "Channel",
        connector_id: "str | None",
        reason: str,
        bytes_to_target: int,
        bytes_from_target: int,
        *,
        acknowledged: bool = False,
        at_once: bool = False,
    ) -> None:
        """Record that a channel is over, or never came to be.

        :param acknowledged: whether ``bytes_to_target`` counts bytes that the target's system has
            acknowledged, and not those that were sent.
        :param at_once: somebody ended the channel, and will look at its record.
        """

    def channel_refused(
        session: Session, tunnel: "Tunnel | None", destination: str, port: int, reason: str
    ) -> "Deferred[None]":
        """Record that a destination was refused."""

    def session_ended(
        session: Session,
        reason: str,
        bytes_to_target: int,
        bytes_from_target: int,
        *,
        at_once: bool = False,
    ) -> None:
        """Record that a session is over; ``at_once`` as in ``channel_closed``."""


class IViews(Interface):
    """What users may open now, kept in memory and dropped when it changes."""

    def get(user_id: str) -> "Deferred[UserView]":
        """Return a user's view; fails while the view may be out of date."""

    def shown(user_id: str) -> "Deferred[UserView]":
        """Return a user's view with current titles and descriptions; as ``get``."""
