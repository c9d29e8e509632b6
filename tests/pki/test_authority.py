from base64 import encodebytes
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pki.authority import (
    BadAuthority,
    BadCertificateRequest,
    CertificateAuthority,
    NotAConnectorCertificate,
    UntrustedPod,
    WrongClock,
    check_pod_certificate,
    connector_id_of,
    load_or_make_authority,
    public_key_fingerprint,
)
from tunnelcloud.pki.host_keys import HostKey
from tunnelcloud.pki.signing_requests import make_request, new_private_key
from tunnelcloud.private_files import (
    ExposedPrivateFile,
    UnreadablePrivateFile,
    read_private,
    write_atomically,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class IssuingTests(SynchronousTestCase):
    def setUp(self):
        self.authority = CertificateAuthority.create(NOW)
        self.request = make_request(new_private_key())

    def test_survives_being_kept_as_bytes(self):
        again = CertificateAuthority.from_pem(self.authority.to_pem())
        self.assertEqual(again.pin, self.authority.pin)
        issued = again.sign_request(self.request, "con_1", NOW, DAY)
        x509.load_pem_x509_certificate(issued.pem).verify_directly_issued_by(
            self.authority.certificate
        )

    def test_a_connector_certificate_names_its_connector_for_its_lifetime(self):
        issued = self.authority.sign_request(self.request, "con_1", NOW, DAY)
        certificate = x509.load_pem_x509_certificate(issued.pem)
        self.assertEqual(connector_id_of(certificate), "con_1")
        self.assertEqual(issued.not_after, NOW + DAY)
        self.assertEqual(int(issued.serial, 16), certificate.serial_number)
        self.assertEqual(public_key_fingerprint(certificate), public_key_fingerprint(self.request))

    def test_a_connector_certificate_is_good_for_clients_only(self):
        issued = self.authority.sign_request(self.request, "con_1", NOW, DAY)
        certificate = x509.load_pem_x509_certificate(issued.pem)
        policy = PolicyBuilder().store(Store([self.authority.certificate])).time(NOW)
        policy.build_client_verifier().verify(certificate, [])
        with self.assertRaises(UntrustedPod):
            check_pod_certificate(certificate, self.authority.certificate, NOW)

    def test_a_pod_certificate_is_good_for_servers_of_this_ca_only(self):
        issued = self.authority.issue_pod_certificate(NOW, DAY)
        certificate = x509.load_pem_x509_certificate(issued.pem)
        check_pod_certificate(certificate, self.authority.certificate, NOW)
        other = CertificateAuthority.create(NOW)
        for authority, when in (
            (other.certificate, NOW),
            (self.authority.certificate, NOW + 2 * DAY),
        ):
            with self.assertRaises(UntrustedPod):
                check_pod_certificate(certificate, authority, when)
        with self.assertRaises(NotAConnectorCertificate):
            connector_id_of(certificate)

    def test_a_ca_of_another_time_is_told_apart_from_another_ca(self):
        early = CertificateAuthority.create(NOW + 30 * DAY)
        issued = early.issue_pod_certificate(NOW, DAY)
        certificate = x509.load_pem_x509_certificate(issued.pem)
        with self.assertRaises(WrongClock) as raised:
            check_pod_certificate(certificate, early.certificate, NOW)
        self.assertIn("the pod's CA is good from", str(raised.exception))

    def test_a_ca_is_no_connector(self):
        with self.assertRaises(NotAConnectorCertificate):
            connector_id_of(self.authority.certificate)

    def test_names_in_a_request_count_for_nothing(self):
        wanted = x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier("tunnelcloud:connector/other")]
        )
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .add_extension(wanted, critical=False)
            .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
            .public_bytes(Encoding.PEM)
        )
        issued = self.authority.sign_request(request, "con_1", NOW, DAY)
        self.assertEqual(connector_id_of(x509.load_pem_x509_certificate(issued.pem)), "con_1")

    def test_bad_requests(self):
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        edwards = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
        large = builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256())
        der = x509.load_pem_x509_csr(self.request).public_bytes(Encoding.DER)
        forged = x509.load_der_x509_csr(der[:-1] + bytes([der[-1] ^ 1]))
        for request in (
            b"",
            b"-----BEGIN CERTIFICATE REQUEST-----\n",
            self.request[:-60],
            *(each.public_bytes(Encoding.PEM) for each in (edwards, large, forged)),
        ):
            with self.assertRaises(BadCertificateRequest):
                self.authority.sign_request(request, "con_1", NOW, DAY)

    def test_whatever_a_stranger_sends_is_told_in_one_way(self):
        """Each byte of a request in turn: other versions, curves and kinds of keys among them."""
        der = x509.load_pem_x509_csr(self.request).public_bytes(Encoding.DER)
        refused = 0
        for at, value in product(range(len(der)), (0, 1, 0x80, 0xFF)):
            body = encodebytes(der[:at] + bytes([value]) + der[at + 1 :])
            words = b"CERTIFICATE REQUEST-----\n"
            try:
                public_key_fingerprint(b"-----BEGIN " + words + body + b"-----END " + words)
            except BadCertificateRequest:
                refused += 1
        self.assertGreater(refused, 3 * len(der))

    def test_a_request_needs_the_right_kind_of_key(self):
        with self.assertRaises(ValueError):
            make_request(HostKey.create("ssh-ed25519").private_key)

    def test_secrets_stay_out_of_repr(self):
        self.assertNotIn("key=", repr(self.authority))
        self.assertNotIn("PRIVATE", repr(self.authority.issue_pod_certificate(NOW)))


class KeepingTests(SynchronousTestCase):
    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "authority.pem"

    def test_one_that_is_there_is_taken(self):
        first = CertificateAuthority.create(NOW)
        write_atomically(self.path, first.to_pem())
        self.assertEqual(load_or_make_authority(self.directory, NOW).pin, first.pin)

    def test_a_new_one_leaves_no_file(self):
        first = load_or_make_authority(self.directory, NOW)
        self.assertNotEqual(load_or_make_authority(self.directory, NOW).pin, first.pin)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_a_key_that_others_can_read_is_refused(self):
        write_atomically(self.path, CertificateAuthority.create(NOW).to_pem())
        self.path.chmod(0o644)
        with self.assertRaises(ExposedPrivateFile) as caught:
            load_or_make_authority(self.directory, NOW)
        self.assertIn(f"chmod 600 {self.path}", str(caught.exception))

    def test_something_else_is_refused_and_left_alone(self):
        mine, theirs = (CertificateAuthority.create(NOW) for _ in range(2))
        mixed = mine.certificate_pem + theirs.to_pem()[len(theirs.certificate_pem) :]
        for content in (b"", b"nonsense", mine.certificate_pem, mixed):
            write_atomically(self.path, content)
            with self.assertRaises(BadAuthority) as caught:
                load_or_make_authority(self.directory, NOW)
            self.assertIn(str(self.path), str(caught.exception))
            self.assertEqual(self.path.read_bytes(), content)

    def test_unreadable(self):
        self.path.mkdir()
        with self.assertRaises(UnreadablePrivateFile) as caught:
            read_private(self.path)
        self.assertIn(str(self.path), str(caught.exception))

    def test_a_failed_write_leaves_the_old_content_and_no_litter(self):
        write_atomically(self.path, b"old")
        with self.assertRaises(TypeError):
            write_atomically(self.path, object())
        self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(list(self.directory.iterdir()), [self.path])
