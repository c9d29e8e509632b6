"""Many strangers who are sent away at one time: few of them in one turn of the reactor."""

import struct

from twisted.trial.unittest import SynchronousTestCase

from tests.net.test_message_scheduling import Turns
from tests.ssh.client import Client
from tests.ssh.fakes import Pod
from tunnelcloud.net.message_scheduling import STRANGERS_A_TURN
from tunnelcloud.net.source_limits import FloodLimits
from tunnelcloud.net.spreading import STEPS_A_TURN
from tunnelcloud.ssh.exchange import MOST_NAMES
from tunnelcloud.ssh.wire import BREACH

MANY = 40
_BAD_PACKET = struct.pack(">IB", 12, 4) + b"\x05" + bytes(10)


class StrangersTurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Turns()
        self.pod = Pod(self.clock, flood_limits=FloodLimits(start=1000, full=1000))

    def strangers(self) -> list[Client]:
        """Let strangers come, each from a network of their own."""
        return [Client(self.pod, peer=f"192.{number}.2.7") for number in range(MANY)]

    def sent_away(self, strangers: list[Client]) -> int:
        return sum(one.socket.disconnecting for one in strangers)

    def in_turns(self, strangers: list[Client], most: int) -> None:
        """See that all are sent away, and at most so many in each turn."""
        before = 0
        for _ in range(MANY):
            now = self.sent_away(strangers)
            self.assertLessEqual(now - before, most)
            before = now
            self.clock.advance(1)
        self.assertEqual(self.sent_away(strangers), MANY)

    def all_send(self, data: bytes) -> list[Client]:
        strangers = self.strangers()
        for one in strangers:
            one.server.dataReceived(data)
        return strangers

    def test_who_speaks_no_ssh(self) -> None:
        """The end of 500 took 0.2 s in one turn."""
        sent = self.all_send(b"GET / HTTP/1.1\r\n\r\n")
        self.in_turns(sent, STRANGERS_A_TURN // BREACH + 1)

    def test_who_sends_what_may_not_come_yet(self) -> None:
        sent = self.all_send(b"SSH-2.0-x\r\n" + _BAD_PACKET)
        self.in_turns(sent, STRANGERS_A_TURN // BREACH + 1)

    def test_who_proposes_too_much(self) -> None:
        names = struct.pack(">I", 2 * MOST_NAMES) + b"," * 2 * MOST_NAMES
        payload = b"\x14" + bytes(16) + names
        padding = 8 + 8 - (5 + len(payload)) % 8
        packet = struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)
        sent = self.all_send(b"SSH-2.0-x\r\n" + packet)
        self.in_turns(sent, STRANGERS_A_TURN // BREACH)

    def test_whose_time_is_over(self) -> None:
        strangers = self.strangers()
        for one in strangers:
            one.server.heard = True
            one.server._deadline.cancel()
        for one in strangers:
            one.server._too_late()
        self.in_turns(strangers, STEPS_A_TURN)
