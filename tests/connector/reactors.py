"""Reactors without a network."""

from twisted.internet import error
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure


class NetworkReactor(MemoryReactorClock):
    """Remembers connections that are wanted; a test answers them."""

    def __init__(self):
        super().__init__()
        self.from_threads = []

    def callFromThread(self, function, *args):
        """Run at once: tests look names up without threads, too."""
        function(*args)

    @property
    def wanted(self):
        """The addresses that were tried, in turn."""
        return [client[0] for client in self.tcpClients]

    def accept(self, index):
        """Answer: give the protocol, connected, or None if nobody wants it any more."""
        factory, connector = self.tcpClients[index][2], self.connectors[index]
        protocol = factory.buildProtocol(connector.getDestination())
        if protocol is not None:
            protocol.makeConnection(object())
        return protocol

    def refuse(self, index, why=None):
        factory, connector = self.tcpClients[index][2], self.connectors[index]
        reason = why if why is not None else error.ConnectionRefusedError(111)
        factory.clientConnectionFailed(connector, Failure(reason))

    def lose(self, index):
        factory, connector = self.tcpClients[index][2], self.connectors[index]
        factory.clientConnectionLost(connector, Failure(error.ConnectionDone()))
