"""Every message in every state: what isn't listed ends the connection before it is dispatched."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import Client
from tunnelcloud.ssh.gate import LISTED, Phase


def first_kexinit() -> Client:
    return Client().identify()


def first_kex() -> Client:
    client = first_kexinit().send_kexinit()
    client.take_kexinit()
    return client


def first_newkeys() -> Client:
    return first_kex().send_kex()


def service() -> Client:
    return first_kexinit().exchange_keys()


def login() -> Client:
    return service().request_login()


def opened() -> Client:
    return Client().login()


def rekey_asked() -> Client:
    client = opened()
    client.server.start_rekey()
    client.take_kexinit()
    return client


def rekey() -> Client:
    client = opened().send_kexinit()
    client.take_kexinit()
    return client


def rekey_newkeys() -> Client:
    return rekey().send_kex()


def over() -> Client:
    client = opened()
    client.server.sendDisconnect(11, "enough")
    client.disconnected()
    return client


NOISE = {1, 2, 3, 4}
OPEN = {80, 81, 82, *range(90, 101)}
STATES = {
    Phase.FIRST_KEXINIT: (first_kexinit, {1, 20}),
    Phase.FIRST_KEX: (first_kex, {1, 30}),
    Phase.FIRST_NEWKEYS: (first_newkeys, {1, 21}),
    Phase.SERVICE: (service, NOISE | {5, 7}),
    Phase.LOGIN: (login, NOISE | {5, 50, 61}),
    Phase.OPEN: (opened, NOISE | OPEN | {20}),
    Phase.REKEY: (rekey, NOISE | {30}),
    Phase.REKEY_NEWKEYS: (rekey_newkeys, {1, 21}),
}


def watch(client: Client) -> list[int]:
    """Keep the numbers of the messages that get past the gate."""
    dispatched: list[int] = []
    client.server.dispatchMessage = lambda number, payload: dispatched.append(number)
    if client.server.multiplexer is not None:
        client.server.multiplexer.message_received = lambda payload: dispatched.append(payload[0])
    return dispatched


class GateTests(SynchronousTestCase):
    """The lists, and that they are kept."""

    def test_lists(self) -> None:
        """The lists are those written here, and no state has been left out."""
        expected = {phase: listed for phase, (_, listed) in STATES.items()}
        expected |= {Phase.IDENTIFICATION: set(), Phase.OVER: set()}
        self.assertEqual({phase: set(listed) for phase, listed in LISTED.items()}, expected)

    def refused(self, client: Client, number: int) -> None:
        dispatched = watch(client)
        phase = client.server.phase
        client.read()
        client.send(bytes((number,)) + b"\0\0\0\1payload")
        self.assertEqual(dispatched, [])
        self.assertIn(f"message {number} while awaiting {phase.name}", client.disconnected())
        self.assertIs(client.server.phase, Phase.OVER)

    def test_every_message_in_every_state(self) -> None:
        """Each of the 256 numbers, in each state, ends the connection unless it is listed."""
        for phase, (reach, listed) in STATES.items():
            for number in set(range(256)) - listed:
                client = reach()
                self.assertIs(client.server.phase, phase)
                self.refused(client, number)

    def test_every_message_while_our_kexinit_is_on_its_way(self) -> None:
        """Then, too: what an open connection may send, and its KEXINIT, and nothing else."""
        for number in set(range(256)) - STATES[Phase.OPEN][1]:
            client = rekey_asked()
            self.refused(client, number)

    def test_listed_messages_are_dispatched(self) -> None:
        """What is listed does arrive (so that the other test isn't passed by refusing all)."""
        for reach, listed in STATES.values():
            for number in listed:
                client = reach()
                dispatched = watch(client)
                client.send(bytes((number,)))
                self.assertEqual(dispatched, [number])

    def test_data_in_flight(self) -> None:
        """After our own KEXINIT the client's messages may still come, but not after its own."""
        client = rekey_asked()
        client.send(b"\x50" + b"\0\0\0\1x\1")
        client.send_kexinit()
        self.assertIs(client.server.phase, Phase.REKEY)
        self.refused(client, 80)

    def test_nothing_after_the_end(self) -> None:
        """What comes after DISCONNECT isn't even decrypted."""
        client = over()
        opened = client.server.reader.opener.sequence
        client.server.dataReceived(client.seal(b"\x50" + b"\0\0\0\1x\1"))
        self.assertEqual(client.server.reader.opener.sequence, opened)
        self.assertEqual(client.read(), [])

    def test_wrong_guess(self) -> None:
        """One kex packet of any method is dropped after a wrong guess, and no second one."""
        client = first_kexinit()
        proposal = evolve(
            client.keys.proposal(), host_keys=(b"rsa-sha2-256",), first_packet_follows=True
        )
        client.send_kexinit(proposal)
        client.take_kexinit()
        client.send(b"\x22guessed")
        self.assertIs(client.server.phase, Phase.FIRST_KEX)
        self.refused(client, 34)
