"""The pod's side of joining and of renewal."""

from datetime import timedelta

from cryptography.x509 import load_pem_x509_certificate

from tests.pod.connectors import AUTHORITY, LIFETIME, DoorCase
from tests.pod.registries import SECRET, make_connector
from tunnelcloud import pki
from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused, JoinToken
from tunnelcloud.link.join_messages import JoinRequest
from tunnelcloud.link.joining import JoinClient
from tunnelcloud.link.requests import PODS, RENEW
from tunnelcloud.link.tls import JoinTLS, LinkTLS

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
        self.assertTrue(self.renew(pki.make_request(self.key)))
        name, document = self.owner.requests[-1]
        self.assertEqual(name, RENEW)
        certificate = load_pem_x509_certificate(document["certificate"].encode())
        self.assertEqual(pki.connector_id_of(certificate), "con_1")
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
        self.assertFalse(self.renew(pki.make_request(pki.new_private_key())))
        self.assertFalse(self.renew(b"nonsense"))
        self.assertEqual([name for name, _ in self.owner.requests], [PODS])

    def test_a_certificate_that_can_not_be_recorded_is_not_handed_out(self):
        self.door.registry.down = RuntimeError("no database")
        self.assertTrue(self.renew(pki.make_request(self.key)))
        self.assertEqual([name for name, _ in self.owner.requests], [PODS])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.door.registry.down = None
        self.assertTrue(self.renew(pki.make_request(self.key)))
        self.assertEqual([name for name, _ in self.owner.requests], [PODS, RENEW])

    def test_renewals_are_granted_only_so_often(self):
        self.assertTrue(self.renew(pki.make_request(self.key)))
        self.assertFalse(self.renew(pki.make_request(self.key)))
        self.door.time += LIFETIME / 10
        self.assertTrue(self.renew(pki.make_request(self.key)))


class JoiningTests(DoorCase):
    def setUp(self):
        super().setUp()
        self.door.registry.create(make_connector())
        self.door.registry.create_join_token("con_1", SECRET)

    def join(self, csr, secret=SECRET):
        token = JoinToken(PublicAddress("pod.example", 8443), AUTHORITY.pin, secret)
        request = JoinRequest(secret=secret.hex(), certificate_request=csr.decode(), version="1")
        client = JoinClient(token, request, lambda: self.door.time)
        self.door.connect(JoinTLS(), client)
        return client.answered

    def problem(self, joining):
        return self.failureResultOf(joining, JoinRefused).value.problem

    def test_gives_a_certificate_that_a_link_takes(self):
        key = pki.new_private_key()
        granted, ca = self.successResultOf(self.join(pki.make_request(key)))
        self.assertEqual((granted.connector_id, granted.pods), ("con_1", ("pod.example:8443",)))
        self.assertEqual(ca, AUTHORITY.certificate_pem)
        self.door.link(LinkTLS(ca, granted.certificate.encode(), key))
        self.assertEqual(self.picked(), "con_1")

    def test_again_with_the_same_key_is_the_same_connector(self):
        csr = pki.make_request(pki.new_private_key())
        answers = [self.successResultOf(self.join(csr))[0] for _ in range(2)]
        self.assertEqual([answer.connector_id for answer in answers], ["con_1", "con_1"])

    def test_again_with_another_key_is_refused(self):
        self.successResultOf(self.join(pki.make_request(pki.new_private_key())))
        self.assertEqual(
            self.problem(self.join(pki.make_request(pki.new_private_key()))), JoinProblem.USED
        )

    def test_unknown_expired_and_bad(self):
        csr = pki.make_request(pki.new_private_key())
        self.assertEqual(self.problem(self.join(csr, bytes(20))), JoinProblem.UNKNOWN)
        self.assertEqual(self.problem(self.join(b"nonsense")), JoinProblem.BAD_REQUEST)
        self.door.time += timedelta(hours=25)
        self.assertEqual(self.problem(self.join(csr)), JoinProblem.EXPIRED)

    def test_while_the_store_is_away(self):
        self.door.registry.down = RuntimeError("no database")
        joining = self.join(pki.make_request(pki.new_private_key()))
        self.assertEqual(self.problem(joining), JoinProblem.UNAVAILABLE)
        self.flushLoggedErrors(RuntimeError)
