"""The way to a target is checked as far as its tunnel says, and never for longer than is set."""

from datetime import UTC, datetime

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.channels.wires import End
from tests.domain.values import tunnel as make_tunnel
from tests.pod.certificates import DAY, MemoryServer, make_certificate
from tests.pod.connectors import Door
from tunnelcloud.channels.interfaces import IChannelUser
from tunnelcloud.channels.splice import NO_MORE_REQUEST
from tunnelcloud.domain.objects.sites import TargetCheck
from tunnelcloud.pod.path_check import AT_ONCE, Doctor
from tunnelcloud.pod.router import OPEN_TIMEOUT
from tunnelcloud.pod.target_probe import ENDING_TIMEOUT, HANDSHAKE_TIMEOUT

NOW = datetime.now(UTC)


@implementer(IChannelUser)
class Target(End):
    """What a connector's channel leads to: answers bytes with bytes, and ends as it is told."""

    def __init__(self, channel, answer, closes=True):
        super().__init__()
        self.channel, self.answer, self.closes = channel, answer, closes
        self.is_closed = False
        self.ends = []

    def data_received(self, data):
        self.channel.consumed(len(data))
        answer = self.answer(bytes(data))
        if answer:
            self.channel.write(answer)

    def drained(self, count):
        pass

    def eof_received(self):
        self.ends.append("eof")

    def request_received(self, request_type, data):
        self.ends.append(request_type)
        if self.closes:
            self.channel.send_eof()
            self.channel.close()
        return True

    def peer_closed(self):
        self.ends.append("close")

    def closed(self, clean, reason):
        self.is_closed = True


class DoctorTests(SynchronousTestCase):
    def setUp(self):
        self.door = Door()
        _, tls = self.door.enrol()
        _, self.connector = self.door.link(tls)
        self.targets = []
        self.doctor = Doctor(self.door.links, self.door.clock, lambda: NOW)
        self.tunnel = attrs.evolve(
            make_tunnel("db", "db.internal"), site_id="sit_1", target_check=TargetCheck.TLS
        )

    def leads_to(self, answer, closes=True):
        def channel_requested(link, channel, channel_type, data):
            channel.user = Target(channel, answer, closes)
            self.targets.append(channel.user)
            channel.confirm()

        self.connector.channel_requested = channel_requested

    def start(self):
        async def collect():
            return [step async for step in self.doctor.check(self.tunnel, 5432)]

        done = Deferred.fromCoroutine(collect())
        self.door.run()
        return done

    def check(self):
        return self.successResultOf(self.start())

    def server(self, **options):
        self.leads_to(MemoryServer(*make_certificate(**options)).answer)

    def closes(self):
        self.door.run()
        self.assertTrue(all(target.is_closed for target in self.targets))

    def test_by_default_nothing_is_said_to_the_target(self):
        self.tunnel = attrs.evolve(self.tunnel, target_check=TargetCheck.TCP)
        said = []
        self.leads_to(lambda data: said.append(data) or b"")
        self.assertEqual([step.name for step in self.check()], ["connector", "connect"])
        self.assertEqual(said, [])
        self.closes()

    def test_the_end_is_in_order(self):
        """CLOSE alone is a cut: a target that is about to speak would get a reset."""
        for check in (TargetCheck.TCP, TargetCheck.TLS):
            self.tunnel = attrs.evolve(self.tunnel, target_check=check)
            self.server()
            self.check()
            self.closes()
            self.assertEqual(self.targets[-1].ends, ["eof", NO_MORE_REQUEST])

    def test_a_greeting_on_its_way_does_not_keep_the_channel(self):
        def channel_requested(link, channel, channel_type, data):
            channel.user = Target(channel, None)
            self.targets.append(channel.user)
            channel.confirm()
            channel.write(b"220 hello\r\n" * 100)

        self.tunnel = attrs.evolve(self.tunnel, target_check=TargetCheck.TCP)
        self.connector.channel_requested = channel_requested
        self.check()
        self.closes()
        [link] = self.door.links.attached
        self.assertEqual(link.multiplexer.channel_count, 0)

    def test_a_connector_that_never_closes(self):
        """Its channel is cut after a time, and has its place until then."""
        self.tunnel = attrs.evolve(self.tunnel, target_check=TargetCheck.TCP)
        self.leads_to(lambda data: b"", closes=False)
        for _ in range(AT_ONCE):
            self.check()
        waits = self.start()
        self.assertNoResult(waits)
        self.assertFalse(any(target.is_closed for target in self.targets))
        self.door.clock.advance(ENDING_TIMEOUT)
        self.door.run()
        self.successResultOf(waits)
        self.assertTrue(all(target.is_closed for target in self.targets[:AT_ONCE]))

    def test_a_certificate(self):
        self.server(ends=NOW + 90 * DAY)
        *_, step = self.check()
        self.assertEqual((step.name, step.ok, step.warning), ("tls", True, ""))
        self.assertIn("certificate of db.internal", step.text)
        self.assertEqual(step.certificate.ends_at.date(), (NOW + 90 * DAY).date())
        self.closes()

    def test_one_that_ends_soon_is_warned_of(self):
        self.server(ends=NOW + 3.5 * DAY)
        *_, step = self.check()
        self.assertEqual((step.ok, step.warning), (True, "ends in 3 days"))

    def test_one_that_ended_fails(self):
        self.server(ends=NOW - 2.5 * DAY)
        *_, step = self.check()
        self.assertEqual((step.ok, step.warning), (False, "ended 2 days ago"))

    def test_a_target_that_never_answers(self):
        self.leads_to(lambda data: b"")
        done = self.start()
        self.assertNoResult(done)
        self.door.clock.advance(HANDSHAKE_TIMEOUT)
        self.door.run()
        *_, step = self.successResultOf(done)
        self.assertEqual((step.name, step.ok), ("tls", False))
        self.assertIn("didn't answer the TLS hello within 5 s", step.text)
        self.closes()

    def test_a_target_that_speaks_something_else(self):
        self.leads_to(lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n")
        *_, step = self.check()
        self.assertEqual((step.name, step.ok), ("tls", False))
        self.closes()

    def test_a_target_that_never_stops(self):
        self.leads_to(lambda data: b"\x14\x03\x03\x00\x01\x01" * 100_000)
        *_, step = self.check()
        self.assertEqual((step.name, step.ok), ("tls", False))
        self.closes()

    def test_a_target_that_hangs_up(self):
        def hang_up(data):
            self.targets[-1].channel.send_eof()
            return b""

        self.leads_to(hang_up)
        *_, step = self.check()
        self.assertIn("closed the connection", step.text)
        self.closes()

    def test_a_link_that_is_lost(self):
        self.leads_to(lambda data: b"")
        done = self.start()
        for link in self.door.links.attached:
            link.protocol.disconnect("gone")
        self.door.run()
        *_, step = self.successResultOf(done)
        self.assertEqual((step.name, step.ok), ("tls", False))
        self.assertEqual(self.door.clock.getDelayedCalls(), [])

    def test_who_leaves_each_at_once_has_no_more_open(self):
        """The connector dials for each until the target answers: an open can't be taken back."""
        self.connector.channel_requested = lambda *asked: self.targets.append(asked)
        for _ in range(3 * AT_ONCE):
            done = self.start()
            done.cancel()
            self.failureResultOf(done, CancelledError)
        self.assertEqual(len(self.targets), AT_ONCE)
        waits = self.start()
        self.assertNoResult(waits)
        self.assertEqual(len(self.targets), AT_ONCE)
        self.door.clock.advance(OPEN_TIMEOUT)
        self.door.run()
        self.assertEqual(len(self.targets), AT_ONCE + 1)
        self.targets[-1][1].refuse(2, "refused")
        self.door.run()
        *_, step = self.successResultOf(waits)
        self.assertIn("refused", step.text)

    def test_one_tunnel_does_not_wait_for_another(self):
        self.connector.channel_requested = lambda *asked: self.targets.append(asked)
        waiting = [self.start() for _ in range(AT_ONCE + 1)]
        self.tunnel = attrs.evolve(self.tunnel, id="tun_2")
        waiting.append(self.start())
        self.assertEqual(len(self.targets), AT_ONCE + 1)
        for _ in range(AT_ONCE + 2):
            self.targets.pop(0)[1].refuse(2, "refused")
            self.door.run()
        for done in waiting:
            self.successResultOf(done)

    def test_a_connector_that_answers_nothing(self):
        [link] = self.door.links.attached
        self.patch(link.multiplexer, "send_global_request", lambda *asked: None)
        done = self.start()
        self.assertNoResult(done)
        self.door.clock.advance(OPEN_TIMEOUT)
        [step] = self.successResultOf(done)
        self.assertEqual((step.name, step.ok), ("connector", False))
        self.assertIn("doesn't answer", step.text)
