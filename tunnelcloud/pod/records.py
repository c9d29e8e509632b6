"""The switch's books, kept in the store: what it must write before and after it forwards."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from tunnelcloud.domain.entities import Channel, Session, Tunnel
from tunnelcloud.pod.interfaces import IRecords
from tunnelcloud.store import channels, sessions
from tunnelcloud.store.asynchronous import AsyncStore


def _nothing(_: object) -> None:
    """What is told of a record's end: that it is written."""


@implementer(IRecords)
@frozen
class Records:
    """Writes to the store."""

    store: AsyncStore

    def channel_opened(
        self, session: Session, tunnel: Tunnel, destination: str, port: int
    ) -> Deferred[Channel]:
        """Record that a channel was allowed, before the first byte flows."""
        return self.store.write(channels.open, session, tunnel, destination=destination, port=port)

    def channel_closed(
        self,
        channel: Channel,
        session: Session,
        tunnel: Tunnel,
        connector_id: str | None,
        reason: str,
        bytes_to_target: int,
        bytes_from_target: int,
    ) -> Deferred[None]:
        """Record that a channel is over, or never came to be."""
        written = self.store.write(
            channels.close,
            channel.id,
            reason=reason,
            bytes_to_target=bytes_to_target,
            bytes_from_target=bytes_from_target,
            connector_id=connector_id,
        )
        return written.addCallback(_nothing)

    def channel_refused(
        self, session: Session, tunnel: Tunnel | None, destination: str, port: int, reason: str
    ) -> Deferred[None]:
        """Record that a destination was refused."""
        return self.store.write(
            channels.refuse, session, tunnel, destination=destination, port=port, reason=reason
        )

    def session_ended(
        self, session: Session, reason: str, bytes_to_target: int, bytes_from_target: int
    ) -> Deferred[None]:
        """Record that a session is over."""
        written = self.store.write(
            sessions.end,
            session.id,
            reason=reason,
            traffic=(bytes_to_target, bytes_from_target),
        )
        return written.addCallback(_nothing)
