"""Two CAs, of which one takes the other's place."""

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.test_authority import DAY, NOW
from tunnelcloud.pki.authority import CertificateAuthority, UntrustedPod, WrongClock
from tunnelcloud.pki.authority_rotation import Authorities, check_pod_of_any
from tunnelcloud.pki.signing_requests import make_request, new_private_key


class AuthorityTests(SynchronousTestCase):
    def setUp(self):
        self.first, self.second, self.strange = (CertificateAuthority.create(NOW) for _ in range(3))
        self.both = Authorities(self.first, self.second)

    def connector(self, authority):
        request = make_request(new_private_key())
        issued = authority.sign_request(request, "con_1", NOW, DAY)
        return x509.load_pem_x509_certificate(issued.pem)

    def pod(self, authority):
        return x509.load_pem_x509_certificate(authority.issue_pod_certificate(NOW).pem)

    def test_the_newest_is_first_and_signs_for_those_who_trust_it(self):
        self.assertEqual(self.both.all, (self.second, self.first))
        pins = [one.pin.hex() for one in (self.first, self.second)]
        self.assertIs(self.both.for_holder(pins), self.second)
        self.assertIs(self.both.for_holder(pins[:1]), self.first)
        self.assertIs(self.both.for_holder(()), self.first)
        self.assertIs(Authorities(self.first).for_holder(pins), self.first)

    def test_who_signed(self):
        for authority in (self.first, self.second):
            self.assertIs(self.both.issuer_of(self.connector(authority)), authority)
        self.assertIsNone(self.both.issuer_of(self.connector(self.strange)))

    def test_a_pod_of_any(self):
        known = [one.certificate for one in self.both.all]
        for authority in (self.first, self.second):
            check_pod_of_any(self.pod(authority), known, NOW)
            with self.assertRaises(WrongClock):
                check_pod_of_any(self.pod(authority), known, NOW - 2 * DAY)
        for stranger in (self.pod(self.strange), self.connector(self.first)):
            with self.assertRaises(UntrustedPod):
                check_pod_of_any(stranger, known, NOW)
