import errno
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.connector import state
from tunnelcloud.connector.state import LOCK_FILE, BadState, ConnectorState
from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pki.signing_requests import make_request, new_private_key
from tunnelcloud.private_files import write_atomically

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
POD = PublicAddress("pod.example", 8443)
SECRET = bytes(range(20))


class StateTests(SynchronousTestCase):
    def setUp(self):
        self.authority = CertificateAuthority.create(NOW)
        self.directory = Path(self.mktemp()) / "state"
        self.state = ConnectorState(self.directory)

    def certificate(self, key=None, connector_id="con_1", authority=None, when=NOW):
        request = make_request(key or self.state.private_key())
        authority = authority or self.authority
        return authority.sign_request(request, connector_id, when, MONTH).pem

    def join(self, certificate=None, ca=None, connector_id="con_1"):
        token = JoinToken(POD, self.authority.pin, SECRET)
        return self.state.join(
            token,
            connector_id,
            certificate or self.certificate(),
            ca or self.authority.certificate_pem,
            [POD],
        )

    def assert_bad(self, function, *words):
        with self.assertRaises(BadState) as caught:
            function()
        for word in words:
            self.assertIn(str(word), str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def test_the_key_is_made_once_and_nobody_else_reads_it(self):
        key = self.state.private_key()
        self.assertEqual(ConnectorState(self.directory).private_key(), key)
        self.assertEqual((self.directory / "key.pem").stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)
        self.assertIsNone(self.state.load())

    def test_one_process_has_the_directory(self):
        self.state.take()
        self.assert_bad(ConnectorState(self.directory).take, self.directory, "another connector")
        (self.directory / "other").mkdir()
        ConnectorState(self.directory / "other").take()
        self.assertEqual((self.directory / LOCK_FILE).stat().st_mode & 0o777, 0o600)

    def test_a_directory_that_can_not_be_written(self):
        """The system makes a disk read-only when it fails; the site keeps its connector."""
        joined = self.join()

        def refuse(path, *rest):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        self.patch(state, "hold_file", refuse)
        self.patch(state, "write_atomically", refuse)
        self.state.take()
        self.assertEqual(self.state.load(), joined)
        self.assertEqual(self.state.why_unwritable, os.strerror(errno.EROFS))
        self.assert_bad(ConnectorState(self.directory).take, "another connector")
        new = self.directory / "new"
        new.mkdir()
        self.assert_bad(ConnectorState(new).private_key, "a volume", os.strerror(errno.EROFS))

    def test_what_was_joined_is_there_after_a_restart(self):
        joined = self.join()
        self.assertEqual(ConnectorState(self.directory).load(), joined)
        self.assertEqual((joined.connector_id, joined.pods), ("con_1", (POD,)))
        self.assertEqual(joined.token_hash, JoinToken(POD, self.authority.pin, SECRET).secret_hash)
        self.assertNotIn(SECRET.hex(), (self.directory / "connector.json").read_text())
        self.assertNotIn("PRIVATE", repr(joined))
        self.assertEqual(
            sorted(path.name for path in self.directory.iterdir()),
            ["ca.pem", "certificate.pem", "connector.json", "key.pem", "pods.json"],
        )

    def test_a_crash_while_joining_leaves_a_connector_that_can_join(self):
        self.join()
        (self.directory / "connector.json").unlink()
        self.assertIsNone(self.state.load())
        self.join()

    def test_what_a_pod_grants_must_be_what_was_asked_for(self):
        other = CertificateAuthority.create(NOW)
        for certificate in (
            self.certificate(new_private_key()),
            self.certificate(connector_id="con_2"),
            self.certificate(authority=other),
            self.authority.issue_pod_certificate(NOW).pem,
            b"nonsense",
        ):
            self.assert_bad(lambda: self.join(certificate), "can't be used")  # noqa: B023
            self.assertIsNone(self.state.load())

    def test_renewal(self):
        joined = self.join()
        self.assertEqual(
            joined.renew_at - joined.certificate.not_valid_before_utc,
            (joined.certificate.not_valid_after_utc - joined.certificate.not_valid_before_utc)
            * 2
            / 3,
        )
        pem = self.certificate(when=NOW + MONTH / 2)
        renewed = self.state.renew(pem)
        self.assertEqual(renewed.certificate, load_pem_x509_certificate(pem))
        self.assertEqual(ConnectorState(self.directory).load(), renewed)
        self.assert_bad(lambda: self.state.renew(self.certificate(connector_id="con_2")))
        self.assertEqual(self.state.load(), renewed)

    def test_another_ca_takes_the_place_of_the_first(self):
        joined = self.join()
        self.assertTrue(joined.is_of_newest)
        new = CertificateAuthority.create(NOW)
        both = new.certificate_pem + self.authority.certificate_pem
        self.assert_bad(lambda: self.state.keep_authorities(new.certificate_pem), "can't be used")
        self.assert_bad(lambda: self.state.keep_authorities(b"nonsense"), "can't be used")
        self.assertEqual(self.state.load(), joined)
        between = self.state.keep_authorities(both)
        self.assertEqual(ConnectorState(self.directory).load(), between)
        self.assertEqual((len(between.authorities), between.is_of_newest), (2, False))
        moved = self.state.renew(self.certificate(authority=new))
        self.assertTrue(moved.is_of_newest)
        alone = self.state.keep_authorities(new.certificate_pem)
        self.assertEqual(ConnectorState(self.directory).load(), alone)
        self.assert_bad(lambda: self.state.renew(self.certificate()), "isn't the CA's")

    def test_pods(self):
        self.join()
        pods = (POD, PublicAddress("fd00::1", 1))
        self.state.keep_pods(pods)
        self.assertEqual(self.state.load().pods, pods)

    def test_a_membership_of_no_pod_can_t_be_used(self):
        self.join()
        self.state.keep_pods(())
        self.assert_bad(self.state.load, "pods.json names no pod", "join again")

    def test_a_key_that_others_can_read_is_refused(self):
        self.join()
        (self.directory / "key.pem").chmod(0o640)
        self.assert_bad(self.state.load, "chmod 600", self.directory / "key.pem")

    def test_damage_is_told_and_nothing_is_changed(self):
        self.join()
        for name in ("certificate.pem", "ca.pem", "pods.json", "connector.json", "key.pem"):
            path = self.directory / name
            content, mode = path.read_bytes(), path.stat().st_mode & 0o777
            path.write_bytes(b"nonsense")
            self.assert_bad(self.state.load, self.directory)
            self.assertEqual(path.read_bytes(), b"nonsense")
            write_atomically(path, content, mode)
        (self.directory / "ca.pem").unlink()
        self.assert_bad(self.state.load, self.directory / "ca.pem", "join again")

    def test_a_state_of_a_newer_version_is_left_alone(self):
        self.join()
        path = self.directory / "connector.json"
        path.write_text(json.dumps({"format": 2, "anything": "else"}))
        self.assert_bad(self.state.load, "newer version", self.directory)

    def test_a_directory_that_can_not_be_made(self):
        path = Path(self.mktemp())
        path.write_text("a file")
        self.assert_bad(lambda: ConnectorState(path / "state"), path)
