"""What a pod says of certificates that end soon."""

from datetime import UTC, datetime, timedelta

from attrs import define
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pki.authority_rotation import Authorities
from tunnelcloud.pod.certificate_expiry import Ending
from tunnelcloud.store.connectors import EndingSoon

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@define
class Keys:
    authorities: Authorities


class EndingTests(SynchronousTestCase):
    def setUp(self):
        self.keys = Keys(Authorities(CertificateAuthority.create(NOW)))
        self.own_end = NOW + 365 * DAY
        self.now = NOW
        self.found = EndingSoon(NOW, 0, ())
        self.asked = []
        self.ending = Ending(self, self.keys, lambda: self.own_end, 90 * DAY, lambda: self.now)

    def read(self, function, until):
        """As a store reads."""
        self.asked.append(until)
        return succeed(self.found)

    def test_nothing_ends_soon(self):
        self.successResultOf(self.ending.look())
        self.assertEqual(self.ending.warnings(), [])
        self.assertEqual(self.asked, [NOW + 22.5 * DAY], "a quarter of a connector's time")

    def test_the_ca_three_months_before(self):
        end = self.keys.authorities.serving.certificate.not_valid_after_utc
        self.own_end = end
        self.now = end - 91 * DAY
        self.assertEqual(self.ending.warnings(), [])
        self.now = end - 89 * DAY
        ca, own = self.ending.warnings()
        self.assertIn("tunnelcloud authority rotate", ca.text)
        self.assertIn("start the pod again", own.text)
        self.assertEqual((ca.outline, own.outline), (ca.text, own.text))
        self.keys.authorities = Authorities(
            self.keys.authorities.serving, CertificateAuthority.create(self.now)
        )
        self.assertEqual(self.ending.warnings(), [own])

    def test_a_ca_that_was_made_while_the_clock_was_ahead(self):
        early = CertificateAuthority.create(NOW + 3650 * DAY)
        self.keys.authorities = Authorities(early)
        [one] = self.ending.warnings()
        self.assertIn("is good from 2036-02-26 on, so no connector takes it", one.text)
        self.assertIn("tunnelcloud authority rotate", one.text)
        right = CertificateAuthority.create(NOW)
        self.keys.authorities = Authorities(early, right)
        self.assertEqual(self.ending.warnings(), [one], "it still serves")
        self.keys.authorities = Authorities(right)
        self.assertEqual(self.ending.warnings(), [])

    def test_connectors_are_named_until_they_are_renewed(self):
        self.found = EndingSoon(NOW + DAY, 12, ("paris", "rome"))
        self.successResultOf(self.ending.look())
        [one] = self.ending.warnings()
        self.assertIn("end by 2026-03-02 and aren't renewed: paris, rome and 10 more", one.text)
        self.assertIn("end by 2026-03-02 and aren't renewed, 12 in all", one.outline)
        self.assertNotIn("paris", one.outline, "anybody reads it")
        self.found = EndingSoon(NOW, 0, ())
        self.successResultOf(self.ending.look())
        self.assertEqual(self.ending.warnings(), [])
