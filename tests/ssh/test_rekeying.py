"""An open connection: new keys while data flows, and a socket that falls behind."""

import os

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import ALL_CIPHERS, Client
from tests.ssh.transport_case import data, open_echo
from tunnelcloud.channels.messages import pack_string
from tunnelcloud.ssh.exchange import LONGEST_PROPOSAL, MOST_NAMES
from tunnelcloud.ssh.limits import Limits


class RekeyTests(SynchronousTestCase):
    """New keys, from either side, while data flows."""

    def roundtrip(self, client: Client) -> None:
        payload = os.urandom(100)
        client.send(data(payload))
        self.assertIn(data(payload), client.read())

    def test_by_client(self) -> None:
        """The client may ask for new keys any time; data flows before and after."""
        for keys in ALL_CIPHERS:
            client = Client(keys=keys).login()
            open_echo(client)
            for _ in range(3):
                self.roundtrip(client)
                client.exchange_keys()
            self.roundtrip(client)

    def test_by_server(self) -> None:
        """After enough bytes the server asks; what was in flight is still taken, and answered
        once the new keys are there."""
        for keys in ALL_CIPHERS:
            client = Client(keys=keys, limits=Limits(rekey_bytes=50_000)).login()
            open_echo(client)
            client.send(data(b"a" * 30_000))
            client.send(data(b"b" * 30_000))
            received = client.read()
            self.assertEqual(received[-1][0], 20)
            client._their_kexinit = received[-1]
            client.send(data(b"in flight"))
            self.assertEqual(client.read(), [])
            client.send_kexinit().send_kex()
            client.expect(21)
            self.assertIn(data(b"in flight"), client.read())
            client.write(client.newkeys())
            self.roundtrip(client)

    def test_a_proposal_as_long_as_a_packet(self) -> None:
        client = self.proposing(b"x" * (LONGEST_PROPOSAL // 2))
        self.assertFalse(client.socket.disconnecting)
        client = self.proposing(b"x" * LONGEST_PROPOSAL)
        self.assertIn("a KEXINIT of ", client.disconnected())

    def test_a_proposal_of_many_names(self) -> None:
        """Each of them is looked for: 256 KiB of them took 44 ms, and 16 KiB of many strangers
        33 ms in one turn of the reactor."""
        client = self.proposing(b"," * (MOST_NAMES // 2))
        self.assertFalse(client.socket.disconnecting)
        client = self.proposing(b"," * MOST_NAMES)
        self.assertIn("a KEXINIT of too many names", client.disconnected())

    def proposing(self, more: bytes) -> Client:
        """Give a client that asks for new keys, with more names than those that it knows."""
        client = Client().login()
        lists = client.keys.proposal()
        client.send_kexinit(evolve(lists, key_exchanges=(more, *lists.key_exchanges)))
        return client

    def test_one_gibibyte_is_the_default(self) -> None:
        """The limits are those of security.md."""
        limits = Limits()
        self.assertEqual(limits.rekey_bytes, 2**30)
        self.assertEqual(limits.rekey_seconds, 3600)
        self.assertEqual(limits.rekey_finish_seconds, 30)

    def test_after_an_hour(self) -> None:
        """An idle session gets new keys too, and then has another hour."""
        client = Client(limits=Limits(keepalive_seconds=10**6)).login()
        for _ in range(2):
            client.clock.advance(3599)
            self.assertEqual(client.read(), [])
            client.clock.advance(2)
            client.take_kexinit()
            client.send_kexinit().send_kex()
            client.expect(21)
            client.write(client.newkeys())

    def test_not_finished(self) -> None:
        """A client that lets the exchange stall is cut off after 30 s."""
        client = Client().login()
        client.server.start_rekey()
        client.take_kexinit()
        client.clock.advance(29)
        self.assertFalse(client.socket.disconnecting)
        client.clock.advance(1)
        self.assertEqual(client.disconnected(), "the new keys took too long")

    def test_bounded_while_it_stalls(self) -> None:
        """What a client provokes meanwhile is bounded: it ends before 2 MiB are held."""
        client = Client(limits=Limits(requests=100_000)).login()
        client.server.start_rekey()
        for _ in range(100_000):
            if client.socket.disconnecting:
                break
            client.send(b"\x50" + pack_string(b"x") + b"\1")
        self.assertIn("asks more than it reads", client.disconnected())


class FlowTests(SynchronousTestCase):
    """The socket's backlog reaches the channels."""

    def test_backlog(self) -> None:
        """While too much is unsent channels wait; then they go on."""
        client = Client().login()
        self.assertIs(client.socket.producer, client.server)
        open_echo(client)
        client.server.pauseProducing()
        client.send(data(b"waits"))
        self.assertEqual(client.read(), [])
        client.server.resumeProducing()
        client.clock.advance(0)
        self.assertIn(data(b"waits"), client.read())

    def test_backlog_and_rekey(self) -> None:
        """Channels go on only when neither holds them back."""
        client = Client().login()
        open_echo(client)
        client.server.pauseProducing()
        client.server.start_rekey()
        client.send(data(b"waits"))
        client.server.resumeProducing()
        client.take_kexinit()
        client.send_kexinit().send_kex()
        client.expect(21)
        self.assertIn(data(b"waits"), client.read())

    def test_one_write_a_read(self) -> None:
        """What many packets of one read provoke is written at once."""
        client = Client().login()
        open_echo(client)
        writes: list[int] = []
        write = client.socket.write
        client.socket.write = lambda data: (writes.append(1), write(data))
        client.write(b"".join(client.seal(data(b"x" * 100)) for _ in range(50)))
        self.assertEqual(writes, [1])
