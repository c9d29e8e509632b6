import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.connector.reactors import NetworkReactor
from tests.logs import logged
from tunnelcloud import daemon, pki
from tunnelcloud.connector import service as services
from tunnelcloud.connector.addresses import parse_access_list
from tunnelcloud.connector.service import LONGEST_RENEWAL_DELAY, ConnectorService
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused, JoinToken


class ServiceTests(SynchronousTestCase):
    def test_systemd_hears_that_it_runs_though_no_pod_answers_yet(self):
        heard = []
        self.patch(daemon, "outlive_hangup", lambda reactor, hear: None)
        self.patch(daemon, "tell_ready", lambda reactor: heard.append("ready"))
        self.patch(daemon, "notify", heard.append)
        service = ConnectorService(
            NetworkReactor(),
            ConnectorState(Path(self.mktemp())),
            JoinToken(PublicAddress("192.0.2.1", 8443), bytes(32), bytes(20)),
            parse_access_list((), ()),
            version="0",
            now=lambda: datetime.now(UTC),
            random=random.random,
            give_up=self.fail,
        )
        service.check()
        service.startService()
        self.assertEqual(heard, ["ready"])
        service.stopService()
        self.assertEqual(heard, ["ready", "STOPPING=1"])


class ComingLateTests(SynchronousTestCase):
    """A connector whose certificate ended while it was off, or while pods were away."""

    PODS = (PublicAddress("192.0.2.1", 8443), PublicAddress("192.0.2.2", 8443))
    LIFETIME = timedelta(days=30)

    def setUp(self):
        self.patch(daemon, "outlive_hangup", lambda reactor, hear: None)
        self.patch(services, "renew_late", self.renew_late)
        self.asked = []
        self.reactor = NetworkReactor()
        self.began = datetime.now(UTC)
        self.authority = pki.CertificateAuthority.create(self.began - 3 * self.LIFETIME)
        self.state = ConnectorState(Path(self.mktemp()))
        self.csr = pki.make_request(self.state.private_key())

    def certificate(self, begin):
        return self.authority.sign_request(self.csr, "con_1", begin, self.LIFETIME).pem

    def start(self, begin):
        """Start a connector whose certificate was made at a time."""
        token = JoinToken(self.PODS[0], self.authority.pin, bytes(20))
        certificate, ca = self.certificate(begin), self.authority.certificate_pem
        self.state.join(token, "con_1", certificate, ca, self.PODS)
        service = ConnectorService(
            self.reactor,
            self.state,
            None,
            parse_access_list((), ()),
            version="0",
            now=lambda: self.began + timedelta(seconds=self.reactor.seconds()),
            random=lambda: 0.5,
            give_up=self.fail,
        )
        service.check()
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def renew_late(self, outgoing, pod, membership, now):
        self.asked.append((pod, Deferred()))
        return self.asked[-1][1]

    def test_it_asks_its_pods_in_turn_with_back_off_says_what_to_do_and_goes_on_once_renewed(self):
        service = self.start(self.began - 2 * self.LIFETIME)
        self.assertIsNone(service.links)
        delays = []
        for number in range(14):
            pod, asking = self.asked[-1]
            self.assertEqual(pod, self.PODS[number % 2])
            refusal = JoinRefused(JoinProblem.ENDED)
            told = logged(lambda asking=asking, refusal=refusal: asking.errback(refusal))
            self.assertIn("tunnelcloud connector join-token", told)
            (call,) = self.reactor.getDelayedCalls()
            delays.append(call.getTime() - self.reactor.seconds())
            self.reactor.advance(delays[-1])
        self.assertEqual(delays, sorted(delays))
        self.assertAlmostEqual(delays[-1], LONGEST_RENEWAL_DELAY)
        self.asked[-1][1].callback(self.certificate(self.began))
        self.assertIsNotNone(service.links)
        self.assertTrue(self.reactor.wanted)
        self.assertEqual(self.state.load().certificate, service.membership.certificate)

    def test_one_that_runs_dials_nobody_with_a_certificate_that_ended(self):
        service = self.start(self.began - self.LIFETIME + timedelta(seconds=90))
        for _ in range(40):
            self.reactor.advance(5)
        self.assertEqual(len(self.asked), 1)
        before = len(self.reactor.wanted)
        self.reactor.advance(600)
        self.assertEqual(len(self.reactor.wanted), before)
        self.asked[0][1].callback(self.certificate(self.began))
        self.assertGreater(len(self.reactor.wanted), before)
        self.assertGreater(service.links.tls.certificate.not_valid_after_utc, self.began)

    def test_a_new_one_that_has_ended_by_its_clock_is_no_reason_to_hurry(self):
        self.start(self.began - 2 * self.LIFETIME)
        self.asked[0][1].callback(self.certificate(self.began - 2 * self.LIFETIME))
        self.assertEqual(len(self.asked), 1)
        self.reactor.advance(5)
        self.assertEqual(len(self.asked), 2)
