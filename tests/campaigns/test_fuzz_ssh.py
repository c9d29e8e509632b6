"""A short run of the fuzz campaign, and that it can fail."""

import os
import sys
from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.campaigns.fuzz_ssh import CampaignFailed, InMemory
from tests.ssh.fakes import Avatar, InMemoryAccess
from tunnelcloud.ssh.transport import FrontDoorTransport
from tunnelcloud.ssh.wire import Wire

SECONDS = float(os.environ.get("TUNNELCLOUD_TESTS_FUZZ_SECONDS", "3"))


class CampaignTests(SynchronousTestCase):
    """In memory."""

    def test_in_memory(self) -> None:
        """Hundreds of inputs a second, and nothing gives."""
        report = InMemory(seed=1).run(SECONDS)
        self.assertGreater(report.inputs, 50 * SECONDS)

    def test_notices_exceptions(self) -> None:
        """The campaign fails on a fault that fuzzing can find."""
        self.patch(FrontDoorTransport, "ssh_IGNORE", lambda self, packet: packet[10**6])
        self.assertRaises(CampaignFailed, InMemory(seed=1).run, 20)
        self.flushLoggedErrors(IndexError)

    def test_notices_corruption(self) -> None:
        """The campaign fails on a stream that changes."""
        send = Wire.send_message

        def corrupt(wire: Wire, head: bytes, data: bytes = b"") -> None:
            send(wire, head, bytes(data).replace(b"\0", b"\1"))

        self.patch(Wire, "send_message", corrupt)
        self.assertRaises(CampaignFailed, InMemory(seed=1).run, 20)

    def test_notices_a_way_in(self) -> None:
        """The campaign fails if anyone gets in without a credential."""
        self.patch(InMemoryAccess, "_opens", lambda *arguments: True)
        self.patch(Avatar, "attached", lambda *arguments: None)
        self.assertRaises(CampaignFailed, InMemory(seed=1).run, 20)


class SocketCampaignTests(TestCase):
    """On loopback."""

    timeout = 60 + 2 * SECONDS

    async def test_over_sockets(self) -> None:
        """Another process attacks; a bystander is not disturbed."""
        words = ["-m", "tests.campaigns.fuzz_ssh", "--sockets", "--seconds", str(SECONDS)]
        root = str(Path(__file__).parents[2])
        out, errors, status = await getProcessOutputAndValue(
            sys.executable, words, env={**os.environ, "PYTHONPATH": root}
        )
        self.assertEqual(status, 0, errors)
        self.assertIn(b"Report(inputs=", out)
