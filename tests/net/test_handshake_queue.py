"""Whoever asks for new keys all the time, in many sessions, holds up nobody."""

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import PROPOSAL, Client
from tests.ssh.transport_case import data, open_echo
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.ssh.algorithms import Proposal

COST = 0.01
"""Seconds that one computation takes."""


class TurnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.keys = HandshakeQueue(self.clock)
        self.done: list[str] = []

    def ask(self, user: str, cost: float = COST) -> None:
        def work() -> None:
            self.done.append(user)
            self.clock.rightNow += cost

        self.keys.ask(user, work)

    def test_alone(self) -> None:
        """Nobody waits whom nobody else keeps waiting."""
        for _ in range(3):
            self.ask("alice")
            self.clock.advance(1)
        self.assertEqual(self.done, ["alice"] * 3)

    def test_what_is_asked_for_meanwhile_waits(self) -> None:
        """So work in many steps, each of which asks for the next, is no work in one."""
        steps = 5

        def work() -> None:
            self.done.append("alice")
            self.clock.rightNow += COST
            if len(self.done) < steps:
                self.keys.ask("alice", work)

        self.keys.ask("alice", work)
        for done in range(1, steps + 1):
            self.assertEqual(len(self.done), done)
            self.clock.advance(2 * COST)
            self.assertEqual(len(self.done), done, "others have their time")
            self.clock.advance(2 * COST)
        self.assertEqual(len(self.done), steps)

    def test_most_of_the_time_is_for_others(self) -> None:
        """Within each turn of the reactor there is one at most, and they take a quarter of it."""
        for _ in range(1000):
            self.ask("mallory")
        turns = 0
        while self.clock.seconds() < 2:
            before = len(self.done)
            self.clock.advance(0.001)
            self.assertLessEqual(len(self.done), before + 1)
            turns += 1
        self.assertLessEqual(len(self.done) * COST, 0.27 * self.clock.seconds())
        self.assertGreaterEqual(len(self.done) * COST, 0.2 * self.clock.seconds())

    def test_users_take_turns(self) -> None:
        """One who asks for much waits for one's own."""
        for _ in range(1000):
            self.ask("mallory")
        self.ask("alice")
        while "alice" not in self.done:
            self.clock.advance(0.001)
        self.assertLessEqual(len(self.done), 3)

    def test_nothing_is_left_when_all_is_done(self) -> None:
        for _ in range(3):
            self.ask("alice")
        for _ in range(3):
            self.clock.advance(3 * COST)
        self.assertEqual(len(self.done), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_costs_nothing_delays_nobody(self) -> None:
        """As that of a connection that is over."""
        self.ask("alice")
        for _ in range(5):
            self.ask("alice", cost=0)
        for _ in range(8):
            self.clock.advance(3 * COST)
        self.assertEqual(len(self.done), 6)


class FirstKeysTests(SynchronousTestCase):
    """Slow ones, before the login."""

    def begin(self, proposal: Proposal) -> Client:
        """Send a public value while the pod is busy with those of others."""
        client = Client()

        def of_others() -> None:
            client.clock.rightNow += 1

        client.server.factory.first_keys.ask("192.0.2.0/24", of_others)
        client.identify().send_kexinit(proposal)
        client.take_kexinit()
        return client.send_kex()

    def test_a_signature_by_rsa_waits(self) -> None:
        client = self.begin(evolve(PROPOSAL, host_keys=(b"rsa-sha2-512",)))
        self.assertEqual(client.read(), [])
        client.clock.advance(3)
        client.expect(21)
        client.write(client.newkeys())
        client.request_login().send_token()
        client.expect(52)
        client.server.sendDisconnect(11, "it is over")
        client.lose()
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_what_is_quick_does_not(self) -> None:
        self.begin(PROPOSAL).expect(21)

    def test_the_time_for_the_exchange_goes_on(self) -> None:
        client = self.begin(evolve(PROPOSAL, host_keys=(b"rsa-sha2-512",)))
        client.clock.rightNow += 20
        client.server.factory.first_keys.ask("192.0.2.0/24", lambda: None)
        client.server._too_late()
        self.assertEqual(client.disconnected(), "this took too long")
        client.lose()

    def test_one_question_each(self) -> None:
        client = self.begin(evolve(PROPOSAL, host_keys=(b"rsa-sha2-512",)))
        client.send_kex()
        self.assertEqual(client.disconnected(), "a second public value")


class SessionTests(SynchronousTestCase):
    def begin(self, others: float = 1) -> Client:
        """Log in, and ask for new keys while the pod is busy with those of others.

        :param others: seconds that those take; the next come after three times as many.
        """
        client = Client().login()
        open_echo(client)

        def of_others() -> None:
            client.clock.rightNow += others

        client.server.factory.new_keys.ask("usr_bob", of_others)
        client.send_kexinit()
        client.take_kexinit()
        client.send_kex()
        self.assertEqual(client.read(), [])
        return client

    def test_it_goes_on_meanwhile(self) -> None:
        """What a client sends while it waits is taken, and answered with the new keys."""
        client = self.begin()
        client.send(data(b"in between"))
        self.assertEqual(client.read(), [])
        client.clock.advance(3)
        client.expect(21)
        self.assertIn(data(b"in between"), client.read())
        client.write(client.newkeys())
        client.send(data(b"and after"))
        self.assertIn(data(b"and after"), client.read())

    def wait_for_turn(self, client: Client, seconds: int) -> None:
        for _ in range(seconds):
            client.clock.advance(1)
            client.send(b"\2\0\0\0\0")  # a sign of life

    def test_the_wait_for_others_is_not_the_clients_time(self) -> None:
        """After a pod's start all come back at once, and want new keys an hour later."""
        client = self.begin(others=12)
        self.wait_for_turn(client, 36)
        client.expect(21)
        client.write(client.newkeys())
        client.send(data(b"and after"))
        self.assertIn(data(b"and after"), client.read())

    def test_the_clients_time_goes_on_after_its_turn(self) -> None:
        client = self.begin(others=12)
        self.wait_for_turn(client, 36)
        client.expect(21)
        client.clock.advance(30)
        self.assertEqual(client.disconnected(), "the new keys took too long")

    def test_one_question_each(self) -> None:
        """A second public value would cost as much again."""
        client = self.begin()
        client.send_kex()
        self.assertEqual(client.disconnected(), "a second public value")

    def test_a_client_that_goes(self) -> None:
        """Nothing is computed for it."""
        client = self.begin()
        client.server.sendDisconnect(11, "it is over")
        self.assertEqual(client.disconnected(), "it is over")
        client.server.connectionLost()
        self.assertEqual(client.clock.getDelayedCalls(), [])
