"""The seams inside the pod: what the switch asks of links, records and views."""

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from tunnelcloud.channels.multiplexer import Multiplexer
from tunnelcloud.domain.entities import Session, Tunnel, UserView

if TYPE_CHECKING:
    from tunnelcloud.domain.entities import Channel
    from tunnelcloud.domain.limits import Limits


class IAttachedLink(Interface):
    """One link to a connector that is up."""

    connector_id: str = Attribute("The connector's id.")
    multiplexer: Multiplexer = Attribute("Opens channels to the connector.")
    silence: float = Attribute("Seconds since the connector's last byte.")
    way: str = Attribute("How the connector reaches this pod, for people; escaped.")

    def probe() -> None:
        """Have the connector say something, unless it just did."""


class ILinks(Interface):
    """The links that connectors hold to this pod."""

    def pick(site_id: str, exclude: "frozenset[str]" = frozenset()) -> "IAttachedLink | None":
        """Choose the least loaded healthy link of a site.

        :param exclude: ids of connectors that were tried already.
        """


class IRecords(Interface):
    """Writes down what sessions and channels do.

    What a Deferred tells of is durable when it fires; what has none is written soon.
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

        :param acknowledged: whether the target's system has acknowledged ``bytes_to_target``, which
            are those that were sent otherwise.
        :param at_once: somebody wanted it so, and will look.
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
        """Give a user's view; fails while the store can't be trusted to be current."""

    def shown(user_id: str) -> "Deferred[UserView]":
        """Give a user's view with titles and descriptions as they are now; as ``get``."""
