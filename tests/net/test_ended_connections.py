"""Connections that close in one moment end a few in each turn of the reactor."""

import socket
import struct

from twisted.internet import defer, error, reactor
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tunnelcloud.net.ended_connections import EndingReactor
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.port_binding import Binder
from tunnelcloud.net.spreading import STEPS_A_TURN, Spreading

COUNT = 5 * STEPS_A_TURN
RESET = struct.pack("ii", 1, 0)


class EndTests(TestCase):
    timeout = 30

    def setUp(self):
        self.made, self.ended, self.heard = [], [], []

    async def connect(self, protocol, count, do=lambda client: None):
        """Have so many clients, each of them accepted.

        :param do: what each does before that.
        """
        binder = Binder(reactor, False, HandshakeQueue(reactor), Spreading(reactor))
        port = binder.listenTCP(0, Factory.forProtocol(protocol), 2 * COUNT, "127.0.0.1")
        self.addCleanup(port.stopListening)
        clients = []
        for _ in range(count):
            clients.append(socket.create_connection(("127.0.0.1", port.getHost().port)))
            self.addCleanup(clients[-1].close)
            do(clients[-1])
        while len(self.made) < count:
            await deferLater(reactor, 0)
        return clients

    def ending(self):
        """Give a protocol that notes its beginning and its end."""
        case = self

        class Ending(Protocol):
            def connectionMade(self):
                case.made.append(self)

            def dataReceived(self, data):
                case.heard.append(data)

            def connectionLost(self, reason):
                case.ended.append(reason)

        return Ending

    async def most_ends_of_a_turn(self):
        """Wait for the end of all; give how many there were in one turn at most."""
        most = before = 0
        while len(self.ended) < len(self.made):
            await deferLater(reactor, 0)
            most, before = max(most, len(self.ended) - before), len(self.ended)
        return most

    async def closed_at_once(self, close):
        for client in await self.connect(self.ending(), COUNT):
            close(client)
        # Two looks of the reactor may come between two of this test's.
        self.assertLessEqual(await self.most_ends_of_a_turn(), 2 * STEPS_A_TURN)

    def test_all_close(self):
        """2,000 that closed at once took up to 227 ms of one turn."""
        return defer.Deferred.fromCoroutine(self.closed_at_once(socket.socket.close))

    def test_all_are_reset(self):
        def reset(client):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()

        return defer.Deferred.fromCoroutine(self.closed_at_once(reset))

    def greeting(self, size):
        """Give a protocol that sends so many bytes at once."""

        class Greeting(self.ending()):
            def connectionMade(self):
                super().connectionMade()
                self.transport.write(b"x" * size)

        return Greeting

    def test_who_is_gone_before_the_greeting(self):
        """Each such client had a traceback of ten lines logged: any check whether a port is open
        did."""

        async def check():
            await self.connect(self.greeting(10), COUNT, socket.socket.close)
            await self.most_ends_of_a_turn()
            self.assertEqual(self.flushLoggedErrors(), [])

        return defer.Deferred.fromCoroutine(check())

    def test_all_are_reset_while_something_is_unsent(self):
        async def check():
            clients = await self.connect(self.greeting(10_000_000), COUNT)
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            await deferLater(reactor, 0.05)
            for client in clients:
                client.close()
            self.assertLessEqual(await self.most_ends_of_a_turn(), 2 * STEPS_A_TURN)

        return defer.Deferred.fromCoroutine(check())

    def test_what_was_sent_before_is_heard(self):
        def send_and_close(client):
            client.sendall(b"last words")
            client.close()

        done = defer.Deferred.fromCoroutine(self.closed_at_once(send_and_close))
        return done.addCallback(
            lambda _: self.assertEqual(b"".join(self.heard), b"last words" * COUNT)
        )

    def test_who_ends_it_meanwhile_ends_it_once(self):
        async def check():
            for client in await self.connect(self.ending(), COUNT):
                client.close()
            await deferLater(reactor, 0)
            for protocol in self.made:
                protocol.transport.abortConnection()
            await self.most_ends_of_a_turn()
            await deferLater(reactor, 0.05)
            self.assertEqual(len(self.ended), COUNT)

        return defer.Deferred.fromCoroutine(check())

    def test_the_other_direction_goes_on(self):
        case = self

        @implementer(IHalfCloseableProtocol)
        class Answering(self.ending()):
            def readConnectionLost(self):
                self.transport.write(b"answer")
                case.heard.append(b"end")
                self.transport.loseConnection()

            def writeConnectionLost(self):
                pass

        async def check():
            clients = await self.connect(Answering, COUNT)
            for client in clients:
                client.shutdown(socket.SHUT_WR)
            self.assertLessEqual(await self.most_ends_of_a_turn(), 2 * STEPS_A_TURN)
            self.assertEqual(self.heard, [b"end"] * COUNT)
            self.assertEqual([client.recv(10) for client in clients], [b"answer"] * COUNT)

        return defer.Deferred.fromCoroutine(check())


class OutgoingTests(TestCase):
    """Connections to targets that end in one moment."""

    timeout = 30

    async def ended_at_once(self, end):
        with socket.create_server(("127.0.0.1", 0), backlog=COUNT) as listener:
            made, ended = [], []

            class Ending(Protocol):
                def connectionMade(self):
                    made.append(self)

                def connectionLost(self, reason):
                    ended.append(reason)

            connecting = EndingReactor(reactor, Spreading(reactor))
            factory = ClientFactory.forProtocol(Ending)
            factory.noisy = False
            for _ in range(COUNT):
                connecting.connectTCP(*listener.getsockname(), factory)
            while len(made) < COUNT:
                await deferLater(reactor, 0)
            targets = [listener.accept()[0] for _ in range(COUNT)]
            for target in targets:
                end(target)
            most = before = 0
            while len(ended) < COUNT:
                await deferLater(reactor, 0)
                most, before = max(most, len(ended) - before), len(ended)
            self.assertLessEqual(most, 2 * STEPS_A_TURN)

    def test_all_close(self):
        return defer.Deferred.fromCoroutine(self.ended_at_once(socket.socket.close))

    def test_all_are_reset(self):
        """900 of a target that was gone took 166 ms of one turn of a connector."""

        def reset(target):
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            target.close()

        return defer.Deferred.fromCoroutine(self.ended_at_once(reset))

    def test_nobody_listens(self):
        """An attempt that fails is told as ever."""
        told = defer.Deferred()

        class Failing(ClientFactory):
            noisy = False

            def clientConnectionFailed(self, connector, reason):
                told.callback(reason.check(error.ConnectionRefusedError))

        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            connecting = EndingReactor(reactor, Spreading(reactor))
            connecting.connectTCP(*nobody.getsockname(), Failing())
            return told.addCallback(self.assertIsNotNone)
