import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.connector.reactors import NetworkReactor
from tests.logs import logged
from tunnelcloud import daemon
from tunnelcloud.connector import service as services
from tunnelcloud.connector.allowed_targets import parse_access_list
from tunnelcloud.connector.service import (
    CHANGE_SPREAD,
    HOPELESS_RENEWAL_DELAY,
    LONGEST_RENEWAL_DELAY,
    LONGEST_RENEWAL_WAIT,
    ConnectorService,
)
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused, JoinToken
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.requests import RENEW
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pki.signing_requests import make_request

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class RecordedLinks:
    """Links that keep what is asked of them."""

    def __init__(self):
        self.asked = []
        self.tls = None

    def request(self, name, document):
        self.asked.append((name, document))
        return True

    def resume(self):
        pass


class MovingTests(SynchronousTestCase):
    """A connector moves to the CA that takes the place of its own."""

    def setUp(self):
        self.reactor = NetworkReactor()
        self.first = CertificateAuthority.create(NOW)
        self.state = ConnectorState(Path(self.mktemp()))
        token = JoinToken(PublicAddress("192.0.2.1", 8443), self.first.pin, bytes(20))
        self.state.join(
            token, "con_1", self.issue(self.first), self.first.certificate_pem, [token.address]
        )
        self.service = ConnectorService(
            self.reactor,
            self.state,
            None,
            parse_access_list((), ()),
            version="0",
            now=lambda: NOW,
            random=lambda: 0.5,
            give_up=self.fail,
        )
        self.service.membership = self.state.load()
        self.links = self.service.links = RecordedLinks()
        self.service._renew_in_time(self.service.membership)

    def issue(self, authority):
        request = make_request(self.state.private_key())
        return authority.sign_request(request, "con_1", NOW, timedelta(days=90)).pem

    def test_it_asks_soon_and_says_what_it_trusts(self):
        self.reactor.advance(60)
        self.assertEqual(self.links.asked, [])
        new = CertificateAuthority.create(NOW)
        both = new.certificate_pem + self.first.certificate_pem
        self.assertTrue(self.service.authorities_known(both))
        self.assertEqual(len(self.links.tls.authorities), 2)
        self.reactor.advance(CHANGE_SPREAD)
        [(name, document)] = self.links.asked
        self.assertEqual((name, document["trusts"]), (RENEW, [new.pin.hex(), self.first.pin.hex()]))
        self.assertTrue(self.service.certificate_renewed(self.issue(new)))
        self.reactor.advance(600)
        self.assertEqual(len(self.links.asked), 1)
        self.assertTrue(self.service.authorities_known(new.certificate_pem))
        self.assertEqual(len(self.links.tls.authorities), 1)

    def test_what_would_end_its_own_certificate_is_refused(self):
        stranger = CertificateAuthority.create(NOW)
        self.assertFalse(self.service.authorities_known(stranger.certificate_pem))
        self.assertFalse(self.service.certificate_renewed(self.issue(stranger)))
        self.assertEqual(self.service.membership, self.state.load())


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
        self.asked, self.authorities = [], []
        self.reactor = NetworkReactor()
        self.began = datetime.now(UTC)
        self.authority = CertificateAuthority.create(self.began - 3 * self.LIFETIME)
        self.state = ConnectorState(Path(self.mktemp()))
        self.csr = make_request(self.state.private_key())

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

    def renew_late(self, outgoing, pod, membership, authority, now):
        self.authorities.append(authority)
        self.asked.append((pod, Deferred()))
        return self.asked[-1][1]

    def test_while_it_knows_two_cas_it_asks_pods_of_each(self):
        """It was away when one took the other's place: which one pods show it can't know."""
        new = CertificateAuthority.create(self.began)
        service = self.start(self.began - 2 * self.LIFETIME)
        both = new.certificate_pem + self.authority.certificate_pem
        self.assertTrue(service._state.keep_authorities(both))
        service.membership = self.state.load()
        self.authorities.clear()
        for _ in range(4):
            self.asked[-1][1].errback(JoinRefused(JoinProblem.OTHER_POD))
            self.reactor.advance(LONGEST_RENEWAL_DELAY)
        found = [one == new.certificate for one in self.authorities]
        self.assertIn([True, True], [found[index : index + 2] for index in range(len(found))])
        self.assertIn(False, found)
        self.flushLoggedErrors()

    def test_it_asks_its_pods_in_turn_with_back_off_and_goes_on_once_renewed(self):
        service = self.start(self.began - 2 * self.LIFETIME)
        self.assertIsNone(service.links)
        delays = []
        for number in range(25):
            pod, asking = self.asked[-1]
            self.assertEqual(pod, self.PODS[number % 2])
            asking.errback(JoinRefused(JoinProblem.UNAVAILABLE))
            (call,) = self.reactor.getDelayedCalls()
            delays.append(call.getTime() - self.reactor.seconds())
            self.reactor.advance(delays[-1])
        self.assertEqual(delays, sorted(delays))
        self.assertAlmostEqual(delays[-1], LONGEST_RENEWAL_DELAY)
        self.asked[-1][1].callback(self.certificate(self.began))
        self.assertIsNotNone(service.links)
        self.assertTrue(self.reactor.wanted)
        self.assertEqual(self.state.load().certificate, service.membership.certificate)

    def test_told_to_join_anew_it_says_what_to_do_and_asks_no_faster_than_hourly(self):
        self.start(self.began - 2 * self.LIFETIME)
        for number, problem in enumerate((JoinProblem.ENDED, JoinProblem.REVOKED) * 8):
            self.assertEqual(len(self.asked), number + 1)
            told = logged(lambda problem=problem: self.asked[-1][1].errback(JoinRefused(problem)))
            self.assertIn("tunnelcloud connector join-token", told)
            self.reactor.advance(HOPELESS_RENEWAL_DELAY - 1)
            self.assertEqual(len(self.asked), number + 1)
            self.reactor.advance(LONGEST_RENEWAL_DELAY + 1)

    def test_one_whose_pods_are_lost_says_so_and_asks_nobody(self):
        service = self.start(self.began - 2 * self.LIFETIME)
        self.asked.clear()
        self.state.keep_pods(())
        said = []
        self.patch(service, "_give_up", said.append)
        service.startService()
        self.assertIn("pods.json names no pod", said[0])
        self.assertEqual(self.asked, [])

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

    def test_one_whose_clock_was_ahead_goes_on_once_it_is_set(self):
        began = self.began
        self.began += 2 * self.LIFETIME
        service = self.start(began)
        self.assertIsNone(service.links)
        self.began = began
        self.asked[-1][1].errback(JoinRefused(JoinProblem.UNAVAILABLE))
        self.reactor.advance(LONGEST_RENEWAL_DELAY)
        self.assertEqual(len(self.asked), 1)
        self.assertTrue(self.reactor.wanted)

    def test_one_that_runs_goes_on_after_its_clock_was_ahead_for_a_while(self):
        self.start(self.began)
        before = len(self.reactor.wanted)
        self.began += 2 * self.LIFETIME
        self.reactor.advance(LONGEST_RENEWAL_WAIT)
        self.reactor.advance(LONGEST_RENEWAL_WAIT)
        self.assertEqual(len(self.asked), 1)
        self.began -= 2 * self.LIFETIME
        self.asked[-1][1].errback(JoinRefused(JoinProblem.UNAVAILABLE))
        self.reactor.advance(LONGEST_RENEWAL_DELAY)
        self.reactor.advance(LONGEST_RENEWAL_DELAY)
        self.assertEqual(len(self.asked), 1)
        self.assertGreater(len(self.reactor.wanted), before)

    def test_one_whose_clock_was_behind_at_its_start_renews_in_time(self):
        """A small machine without a battery for its clock has the time from the network."""
        now = self.began
        self.began -= 10 * self.LIFETIME
        service = self.start(now)
        asked = []
        self.patch(service.links, "request", lambda name, _: asked.append(name))
        self.began = now + self.LIFETIME * 2 / 3
        self.reactor.advance(LONGEST_RENEWAL_WAIT)
        self.reactor.advance(1)
        self.assertEqual(asked, [RENEW])

    def test_a_new_one_that_has_ended_by_its_clock_is_no_reason_to_hurry(self):
        self.start(self.began - 2 * self.LIFETIME)
        self.asked[0][1].callback(self.certificate(self.began - 2 * self.LIFETIME))
        self.assertEqual(len(self.asked), 1)
        self.reactor.advance(5)
        self.assertEqual(len(self.asked), 2)
