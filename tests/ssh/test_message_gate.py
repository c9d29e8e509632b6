"""Every message in every state: what isn't listed ends the connection before it is dispatched."""

import struct

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import Client
from tunnelcloud.channels.messages import pack_string
from tunnelcloud.net.message_scheduling import MESSAGES_A_ROUND
from tunnelcloud.ssh.message_gate import LISTED, UNIMPLEMENTED, Phase


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
    Phase.REKEY: (rekey, NOISE | OPEN | {30}),
    Phase.REKEY_NEWKEYS: (rekey_newkeys, NOISE | OPEN | {21}),
}
GENTLE = {
    Phase.SERVICE: set(range(80, 256)),
    Phase.LOGIN: {7, *range(80, 256)},
    Phase.OPEN: {7, *range(80, 256)} - OPEN,
    Phase.REKEY: set(range(80, 256)) - OPEN,
    Phase.REKEY_NEWKEYS: set(range(80, 256)) - OPEN,
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
        self.assertEqual({phase: set(listed) for phase, listed in UNIMPLEMENTED.items()}, GENTLE)

    def refused(self, client: Client, number: int) -> None:
        dispatched = watch(client)
        phase = client.server.phase
        client.read()
        client.send(bytes((number,)) + b"\0\0\0\1payload")
        self.assertEqual(dispatched, [])
        self.assertIn(f"message {number} while awaiting {phase.name}", client.disconnected())
        self.assertIs(client.server.phase, Phase.OVER)

    def test_every_message_in_every_state(self) -> None:
        """Each of the 256 numbers ends the connection, unless it is listed for the state or is
        answered with UNIMPLEMENTED."""
        for phase, (reach, listed) in STATES.items():
            for number in set(range(256)) - listed - GENTLE.get(phase, set()):
                client = reach()
                self.assertIs(client.server.phase, phase)
                self.refused(client, number)

    def test_every_message_while_our_kexinit_is_on_its_way(self) -> None:
        """Then, too: what an open connection may send, and its KEXINIT, and nothing else."""
        for number in set(range(256)) - STATES[Phase.OPEN][1] - GENTLE[Phase.OPEN]:
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

    def test_gentle_answers(self) -> None:
        """What means nothing now is answered by its sequence number, is no offence, and the
        connection goes on."""
        for phase, numbers in GENTLE.items():
            for number in numbers:
                client = STATES[phase][0]()
                dispatched = watch(client)
                client.read()
                sequence = client.server.reader.opener.sequence
                client.send(bytes((number,)) + b"\0\0\0\1payload")
                self.assertEqual(client.read(), [b"\x03" + sequence.to_bytes(4, "big")])
                self.assertEqual(dispatched, [])
                self.assertIs(client.server.phase, phase)
                self.assertEqual(client.pod.flood.counters()["offences"], 0)

    def test_keepalive_before_login(self) -> None:
        """A client that asks once a second for a sign of life, while its user looks for the
        token, logs in after a minute."""
        client = login()
        for _ in range(59):
            client.clock.advance(1)
            client.send(b"\x50" + pack_string(b"keepalive@openssh.com") + b"\1")
            client.expect(3)
        client.send_token()
        client.expect(52)

    def test_bounded_before_login(self) -> None:
        """More than a hundred such messages end the connection."""
        client = login()
        for _ in range(100):
            client.send(b"\x50" + pack_string(b"keepalive@openssh.com") + b"\1")
        client.send(b"\x50" + pack_string(b"keepalive@openssh.com") + b"\1")
        self.assertIn("without a meaning", client.disconnected())

    def test_bounded_after_login(self) -> None:
        """So do a thousand at once in a session, of any kind, but a few a second are borne."""
        for message in (b"\x02" + pack_string(b""), b"\xc0" + pack_string(b"ping")):
            client = opened()
            for _ in range(1000):
                client.clock.advance(0.1)
                client.send(message)
            for _ in range(1100):
                if client.socket.disconnecting:
                    break
                client.send(message)
            self.assertIn("without a meaning", client.disconnected())

    def test_one_beside_each_message_that_means_something(self) -> None:
        """asyncssh sends an empty IGNORE before each of its packets, however many there are."""
        client = opened()
        ignore, request = b"\x02" + pack_string(b""), b"\x50" + pack_string(b"x") + b"\0"
        for _ in range(3000):
            client.clock.advance(0.02)
            client.send(ignore)
            client.send(request)
        self.assertFalse(client.socket.disconnecting)

    def test_requests_are_bounded(self) -> None:
        """Some at once and some a second are borne, of whatever kind; a flood ends the session."""
        for message in (
            b"\x50" + pack_string(b"keepalive@openssh.com") + b"\1",
            b"\x62" + struct.pack(">I", 0) + pack_string(b"env") + b"\0",
            b"\x5d" + struct.pack(">II", 0, 1),  # credit for bytes that were never sent
            b"\x5d" + struct.pack(">II", 0, 0),
            b"\x5e" + struct.pack(">II", 0, 0),  # no bytes
        ):
            client = opened()
            client.send(
                b"\x5a" + pack_string(b"session") + struct.pack(">III", 5, 1 << 20, 1 << 15)
            )
            client.expect(91)
            for _ in range(1000):
                client.clock.advance(1 / 60)
                client.send(message)
            self.assertFalse(client.socket.disconnecting)
            for _ in range(1100):
                if client.socket.disconnecting:
                    break
                client.send(message)
            self.assertIn("messages that move nothing", client.disconnected())

    def test_many_messages_take_turns(self) -> None:
        """What one read brings is worked off over several turns, and no more is read meanwhile."""
        client = opened()
        server = client.server
        assert server.multiplexer is not None
        taken = watch(client)
        many = b"".join(client.seal(b"\x5e" + struct.pack(">II", 0, 1) + b"x") for _ in range(1000))
        client.write(many)
        self.assertLessEqual(len(taken), MESSAGES_A_ROUND)
        self.assertGreater(len(taken), MESSAGES_A_ROUND - 64)  # the login had some
        self.assertEqual(client.socket.producerState, "paused")
        client.write(client.seal(b"\x60" + bytes(4)))
        client.clock.advance(0)
        self.assertEqual(taken, [94] * 1000 + [96])
        self.assertEqual(client.socket.producerState, "producing")

    def test_messages_that_cost_more_fill_a_turn_sooner(self) -> None:
        """Eight opens of destinations with idna's letters take as long as 256 messages of data."""
        for number, share, payload in (
            (90, 32, b"\x5a" + pack_string(b"x") + struct.pack(">III", 7, 1 << 20, 1 << 15)),
            (98, 16, b"\x62\0\0\0\0" + pack_string(b"x") + b"\0"),
            (80, 4, b"\x50" + pack_string(b"x") + b"\0"),
        ):
            client = opened()
            taken = watch(client)
            client.write(b"".join(client.seal(payload) for _ in range(100)))
            self.assertLessEqual(len(taken), MESSAGES_A_ROUND // share)
            self.assertGreater(len(taken), (MESSAGES_A_ROUND - 64) // share - 1)
            client.clock.advance(0)
            self.assertEqual(taken, [number] * 100)

    def test_nothing_waits_beyond_the_end(self) -> None:
        client = opened()
        client.write(b"".join(client.seal(b"\x50" + pack_string(b"x") + b"\0") for _ in range(600)))
        client.lose()
        client.clock.advance(0)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_data_in_flight(self) -> None:
        """After our own KEXINIT, and after its own, the client's messages may still come."""
        client = rekey_asked()
        request = b"\x50" + pack_string(b"x") + b"\1"
        client.send(request)
        client.send_kexinit()
        self.assertIs(client.server.phase, Phase.REKEY)
        client.send(request)
        client.send_kex()
        self.assertIs(client.server.phase, Phase.REKEY_NEWKEYS)
        client.send(request)
        client.expect(21)
        self.assertEqual([message[0] for message in client.read()], [82] * 3)
        client.write(client.newkeys())
        self.assertIs(client.server.phase, Phase.OPEN)

    def test_strict_from_the_start(self) -> None:
        """In the first exchange nothing of this is borne, whether or not the client is strict."""
        for reach in (first_kexinit, first_kex, first_newkeys):
            for number in (2, 3, 4, 80, 94, 192):
                self.refused(reach(), number)

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
