"""The pod's side of joining and of renewal."""

from base64 import encodebytes
from datetime import timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from tests.link.tls_wires import now
from tests.pod.connectors import AUTHORITY, GRACE, LIFETIME, DoorCase
from tests.pod.registries import SECRET, make_connector
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused, hash_secret
from tunnelcloud.link.join_messages import JoinRequest, RenewalRequest
from tunnelcloud.link.joining import JoinClient
from tunnelcloud.link.requests import AUTHORITIES, DISMISS, PODS, RENEW
from tunnelcloud.link.tls import JoinTLS, LinkTLS
from tunnelcloud.pki.authority import CertificateAuthority, connector_id_of, public_key_fingerprint
from tunnelcloud.pki.authority_rotation import Authorities, is_issued_by
from tunnelcloud.pki.signing_requests import make_request, new_private_key

REVOKED = "the connector was deleted, or its certificate revoked or expired"


class RenewingTests(DoorCase):
    def setUp(self):
        super().setUp()
        self.key, tls = self.door.enrol()
        self.door.link(tls)
        self.protocol, self.owner = self.door.link(tls)
        self.door.time += LIFETIME * 2 / 3

    def renew(self, csr):
        answers = []
        self.protocol.multiplexer.send_global_request(
            RENEW, b'{"certificate_request": "%s"}' % csr.replace(b"\n", b"\\n"), answers.append
        )
        self.door.run()
        return answers == [b"{}"]

    def test_a_new_certificate_for_the_same_key_keeps_all_links(self):
        self.assertTrue(self.renew(make_request(self.key)))
        name, document = self.owner.requests[-1]
        self.assertEqual(name, RENEW)
        certificate = load_pem_x509_certificate(document["certificate"].encode())
        self.assertEqual(connector_id_of(certificate), "con_1")
        self.assertGreater(certificate.not_valid_after_utc, self.door.time + LIFETIME / 2)
        self.door.time += LIFETIME / 2
        self.successResultOf(self.door.attendant.review())
        self.door.run()
        self.assertEqual(len(self.links.attached), 2)
        self.assertEqual(
            self.door.registry.get("con_1").certificate_serial,
            f"{certificate.serial_number:x}",
        )

    def test_another_key_or_nonsense_is_refused(self):
        self.assertFalse(self.renew(make_request(new_private_key())))
        self.door.time += timedelta(minutes=1)
        self.assertFalse(self.renew(b"nonsense"))
        self.assertEqual([name for name, _ in self.owner.requests], [PODS])

    def test_half_a_character_ends_the_link(self):
        """As any other message that can't be read does."""
        self.protocol.request(RENEW, {"certificate_request": "\ud800"})
        self.door.run()
        self.assertEqual([name for name, _ in self.owner.requests], [PODS])
        self.assertEqual(len(self.links.attached), 1)

    def test_after_a_bad_request_none_is_looked_at_for_a_minute(self):
        """Each costs a line of the log, and a signature to be checked."""
        self.assertFalse(self.renew(b"nonsense"))
        self.assertFalse(self.renew(make_request(self.key)))
        self.door.time += timedelta(minutes=1)
        self.assertTrue(self.renew(make_request(self.key)))

    def test_a_certificate_that_can_not_be_recorded_is_not_handed_out(self):
        self.door.registry.down = RuntimeError("no database")
        self.assertTrue(self.renew(make_request(self.key)))
        self.assertEqual([name for name, _ in self.owner.requests], [PODS])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.door.registry.down = None
        self.assertTrue(self.renew(make_request(self.key)))
        self.assertEqual([name for name, _ in self.owner.requests], [PODS, RENEW])

    def test_who_was_replaced_meanwhile_gets_none_and_its_links_end(self):
        """The other key joined at another pod, and this one hasn't heard of it yet."""
        self.door.registry.create_join_token("con_1", SECRET)
        self.door.registry.redeem_join_token(hash_secret(SECRET), "another key")
        self.renew(make_request(self.key))
        self.assertIn((DISMISS, {"reason": REVOKED}), self.owner.requests)
        self.assertNotIn(RENEW, [name for name, _ in self.owner.requests])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_renewals_are_granted_only_so_often(self):
        self.assertTrue(self.renew(make_request(self.key)))
        self.assertFalse(self.renew(make_request(self.key)))
        self.door.time += LIFETIME / 10
        self.assertTrue(self.renew(make_request(self.key)))


class MovingTests(DoorCase):
    """Connectors move to a CA that takes another's place."""

    def setUp(self):
        super().setUp()
        self.door.handled.add(AUTHORITIES)
        self.new = CertificateAuthority.create(self.door.time)
        self.key, tls = self.door.enrol()
        self.protocol, self.owner = self.door.link(tls)
        self.pins = [one.pin.hex() for one in (self.new, AUTHORITY)]

    def told(self):
        name, document = self.owner.requests[-1]
        self.assertEqual(name, AUTHORITIES)
        return document["authorities"]

    def begin(self):
        self.door.authorities = Authorities(AUTHORITY, self.new)
        self.successResultOf(self.door.attendant.authorities_changed())
        self.door.run()

    def renew(self, trusted):
        csr = make_request(self.key).decode()
        document = {"certificate_request": csr, "trusts": trusted}
        self.protocol.request(RENEW, document)
        self.door.run()
        name, answer = self.owner.requests[-1]
        self.assertEqual(name, RENEW)
        return load_pem_x509_certificate(answer["certificate"].encode())

    def authority(self):
        return self.door.registry.get("con_1").authority

    def test_told_moved_and_noted(self):
        self.assertEqual(self.told(), [AUTHORITY.certificate_pem.decode()])
        self.assertEqual(self.authority(), AUTHORITY.pin.hex())
        self.begin()
        self.assertEqual(
            self.told(), [one.certificate_pem.decode() for one in (self.new, AUTHORITY)]
        )
        certificate = self.renew(self.pins)
        self.assertTrue(is_issued_by(certificate, self.new.certificate))
        self.assertEqual(self.authority(), self.new.pin.hex())
        self.successResultOf(self.door.attendant.review())
        self.assertEqual(self.authority(), self.new.pin.hex(), "the link shows the one before")

    def test_a_connector_that_doesn_t_say_what_it_trusts_stays(self):
        self.begin()
        certificate = self.renew([])
        self.assertTrue(is_issued_by(certificate, AUTHORITY.certificate))
        self.assertEqual(self.authority(), AUTHORITY.pin.hex())

    def test_what_the_connector_does_not_use_is_not_noted(self):
        self.begin()
        self.owner.refused.add(RENEW)
        self.renew(self.pins)
        self.assertEqual(self.authority(), AUTHORITY.pin.hex())

    def test_who_has_moved_stays_when_the_other_goes_and_who_hasn_t_is_told_why(self):
        _, tls = self.door.enrol(2)
        left, owner = self.door.link(tls)
        self.begin()
        self.renew(self.pins)
        self.door.authorities = Authorities(self.new)
        self.successResultOf(self.door.attendant.authorities_changed())
        self.door.run()
        self.assertEqual(self.told(), [self.new.certificate_pem.decode()])
        self.assertTrue(self.protocol.ready)
        self.assertFalse(left.ready)
        self.assertIn("was retired", owner.requests[-1][1]["reason"])


class JoiningTests(DoorCase):
    def setUp(self):
        super().setUp()
        self.door.registry.create(make_connector())
        self.door.registry.create_join_token("con_1", SECRET)

    def join(self, csr, secret=SECRET):
        request = JoinRequest(secret=secret.hex(), certificate_request=csr.decode(), version="1")
        client = JoinClient(AUTHORITY.pin, request, lambda: self.door.time)
        self.door.connect(JoinTLS(), client)
        return client.answered

    def problem(self, joining):
        return self.failureResultOf(joining, JoinRefused).value.problem

    def test_gives_a_certificate_that_a_link_takes(self):
        key = new_private_key()
        granted, ca = self.successResultOf(self.join(make_request(key)))
        self.assertEqual((granted.connector_id, granted.pods), ("con_1", ("pod.example:8443",)))
        self.assertEqual(ca, AUTHORITY.certificate_pem)
        self.door.link(LinkTLS(ca, granted.certificate.encode(), key))
        self.assertEqual(self.picked(), "con_1")

    def test_again_with_the_same_key_is_the_same_connector(self):
        csr = make_request(new_private_key())
        answers = [self.successResultOf(self.join(csr))[0] for _ in range(2)]
        self.assertEqual([answer.connector_id for answer in answers], ["con_1", "con_1"])

    def test_again_with_another_key_is_refused(self):
        self.successResultOf(self.join(make_request(new_private_key())))
        self.assertEqual(self.problem(self.join(make_request(new_private_key()))), JoinProblem.USED)

    def test_unknown_expired_and_bad(self):
        csr = make_request(new_private_key())
        self.assertEqual(self.problem(self.join(csr, bytes(20))), JoinProblem.UNKNOWN)
        self.assertEqual(self.problem(self.join(b"nonsense")), JoinProblem.BAD_REQUEST)
        self.door.time += timedelta(hours=25)
        self.assertEqual(self.problem(self.join(csr)), JoinProblem.EXPIRED)

    def test_while_the_store_is_away(self):
        self.door.registry.down = RuntimeError("no database")
        joining = self.join(make_request(new_private_key()))
        self.assertEqual(self.problem(joining), JoinProblem.UNAVAILABLE)
        self.flushLoggedErrors(RuntimeError)


class ComingLateTests(DoorCase):
    """A connector whose certificate ended while it was off, or while no pod was there."""

    def setUp(self):
        super().setUp()
        # OpenSSL knows no other clock than the machine's.
        today = self.door.time
        self.door.time = today - LIFETIME - GRACE + timedelta(seconds=1)
        self.key, self.tls = self.door.enrol()
        self.ended = pem_of(self.tls.certificate)
        self.door.time = today

    def renew(self, certificate=None, key=None):
        request = RenewalRequest(make_request(key or self.key).decode(), certificate or self.ended)
        client = JoinClient(AUTHORITY.pin, request, now)
        self.door.connect(JoinTLS(), client)
        return client.answered

    def problem(self, renewing):
        return self.failureResultOf(renewing, JoinRefused).value.problem

    def test_it_gets_another_certificate_and_its_links(self):
        granted, ca = self.successResultOf(self.renew())
        self.door.link(LinkTLS(ca, granted.certificate.encode(), self.key))
        self.assertEqual(self.picked(), "con_1")

    def test_after_the_grace_or_once_deleted_it_is_told_to_join_anew(self):
        self.door.time += timedelta(seconds=1)
        self.assertEqual(self.problem(self.renew()), JoinProblem.ENDED)
        self.door.registry.delete("con_1")
        failure = self.failureResultOf(self.renew(), JoinRefused)
        self.assertEqual(failure.value.problem, JoinProblem.REVOKED)
        self.assertIn("tunnelcloud connector join-token", failure.getErrorMessage())

    def test_a_copy_of_one_that_was_renewed_in_time_is_refused_unsigned_and_an_offence(self):
        today, csr = self.door.time, make_request(self.key)
        self.door.time = today - GRACE - timedelta(days=5)
        fingerprint = public_key_fingerprint(csr)
        self.successResultOf(
            self.door.joining.renew(AUTHORITY, csr, "con_1", fingerprint, "192.0.2.1")
        )
        self.door.time = today
        signed = []
        self.patch(CertificateAuthority, "sign_request", lambda *given: signed.append(given))
        before = self.door.flood.counters()["offences"]
        self.assertEqual(self.problem(self.renew()), JoinProblem.REVOKED)
        self.assertEqual(self.door.flood.counters()["offences"] - before, 1)
        self.assertEqual(signed, [])

    def test_another_key_another_ca_or_nonsense_is_refused_and_counts_as_an_offence(self):
        stranger = CertificateAuthority.create(now())
        forged = stranger.sign_request(make_request(self.key), "con_1", now(), LIFETIME)
        pod = AUTHORITY.issue_pod_certificate(now())
        # The certificate's version, which is 3 (2, as it is written).
        der = self.tls.certificate.public_bytes(Encoding.DER)
        unheard_of = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01", 1)
        before = self.door.flood.counters()["offences"]
        for certificate, key in (
            (None, new_private_key()),
            (forged.pem.decode(), None),
            (pod.pem.decode(), None),
            ("nonsense", None),
            (PEM.format(encodebytes(unheard_of).decode()), None),
        ):
            self.assertEqual(self.problem(self.renew(certificate, key)), JoinProblem.BAD_REQUEST)
        self.assertEqual(self.door.flood.counters()["offences"] - before, 5)


PEM = "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n"


def pem_of(certificate):
    return certificate.public_bytes(Encoding.PEM).decode()
