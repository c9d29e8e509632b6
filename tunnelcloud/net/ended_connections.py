"""Connections of a port whose ends wait for each other when many come at one time.

Twisted tells a protocol in the same turn of the reactor in which the reactor saw that a connection
is over.  Thousands of connections that close in one moment would hold up everybody else; here a few
of them end in each turn.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from twisted.internet import error
from twisted.internet.tcp import Server
from twisted.python.failure import Failure

from tunnelcloud.net.spreading import Spreading


class EndingServer(Server):
    """One connection of a port, whose ``endings`` spreads the ends of all of them."""

    _ends = False
    _is_lost = False

    def doRead(self) -> Any:
        """Read; the end of what the client sends, or of the connection, waits for its turn."""
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
        endings: Spreading = cast(Any, self.server).endings
        endings.run(partial(self._end, why))

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
