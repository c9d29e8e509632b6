"""Connections whose ends wait for each other when many come at one time.

Twisted tells a protocol in the same turn of the reactor in which the reactor saw that a connection
is over.  Thousands of connections that close in one moment would hold up everybody else; here a few
of them end in each turn.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet import error
from twisted.internet.interfaces import IConnector
from twisted.internet.protocol import ClientFactory
from twisted.internet.tcp import Client, Connection, Connector, Server
from twisted.python.failure import Failure

from tunnelcloud.net.spreading import Spreading


class _Ending(Connection):
    """A connection whose end is a step among those of others."""

    _ends = False
    _is_lost = False

    def endings(self) -> Spreading:
        """Give what spreads the ends of this connection and of others."""
        raise NotImplementedError

    def doRead(self) -> Any:
        """Read; the end of what the peer sends, or of the connection, waits for its turn."""
        if self._ends:
            self.stopReading()
            return None
        why = super().doRead()
        if why is not None:
            self._end_later(why)
        return None

    def doWrite(self) -> Any:
        """Write; the loss of the connection waits for its turn.

        The reactor calls this right after ``doRead``, also if that has ended the connection.
        """
        if self.disconnected:
            return None
        why = super().doWrite()
        if not isinstance(why, error.ConnectionLost):
            return why
        self._end_later(why)
        return None

    def _end_later(self, why: Exception) -> None:
        self._ends = True
        self.stopReading()
        if isinstance(why, error.ConnectionLost):
            self.stopWriting()
            if self._is_lost:
                return
            self._is_lost = True
        self.endings().run(partial(self._end, why))

    def _end(self, why: Exception) -> bool:
        """Do what the reactor does with what ``doRead`` returns: a step."""
        if self.disconnected:
            pass
        elif isinstance(why, error.ConnectionDone):
            self.readConnectionLost(Failure(why))
        else:
            self.stopWriting()
            self.connectionLost(Failure(why))
        return False


class EndingServer(_Ending, Server):
    """One connection of a port that has ``endings``."""

    server: Any

    def endings(self) -> Spreading:
        """Give the port's."""
        found: Spreading = self.server.endings
        return found


class _EndingClient(_Ending, Client):
    """One outgoing connection."""

    connector: _EndingConnector

    def endings(self) -> Spreading:
        """Give those of whoever connects."""
        return self.connector.endings


class _EndingConnector(Connector):
    """Makes outgoing connections.

    :ivar endings: spreads their ends.
    """

    endings: Spreading

    def _makeTransport(self) -> _EndingClient:
        return _EndingClient(self.host, self.port, self.bindAddress, self, self.reactor)


@frozen
class EndingReactor:
    """A reactor whose outgoing connections end a few in each turn; all else is its own.

    :ivar endings: spreads the ends of the connections.
    """

    _reactor: Any
    endings: Spreading

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory,
        timeout: float = 30.0,
        bindAddress: Any = None,
    ) -> IConnector:
        """Connect as ``IReactorTCP.connectTCP`` does."""
        connector = _EndingConnector(host, port, factory, timeout, bindAddress, self._reactor)
        connector.endings = self.endings
        connector.connect()
        return connector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
