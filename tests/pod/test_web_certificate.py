"""A certificate is replaced when its files change, and stays when they are bad."""

from pathlib import Path

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.net.handshakes import shake_hands
from tests.pod.certificates import write_certificate
from tunnelcloud.daemon import CannotServe
from tunnelcloud.pod.web_certificate import WebCertificate, web_context


class WebCertificateTests(SynchronousTestCase):
    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.files = self.directory / "cert.pem", self.directory / "key.pem"

    def write(self, name, *, certificate=True, key=True):
        certificate_file, key_file = self.files
        write_certificate(
            certificate_file if certificate else None, key_file if key else None, name
        )

    def shown(self, web):
        """Shake hands in memory; give the name in the certificate that is shown."""
        server = web.serverConnectionForTLS(None)
        server.set_accept_state()
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        client.set_connect_state()
        shake_hands(client, server)
        return client.get_peer_certificate().get_subject().CN

    def test_no_session_is_kept_for_whoever_shakes_hands(self):
        """A browser takes one up again by its ticket; OpenSSL would keep 20,000 of strangers'."""
        self.assertEqual(web_context().get_session_cache_mode(), SSL.SESS_CACHE_OFF)

    def test_a_renewal(self):
        self.write("one")
        web = WebCertificate(*self.files)
        self.assertEqual(self.shown(web), "one")
        self.write("two")
        web.check()
        self.assertEqual(self.shown(web), "two")

    def test_half_a_renewal(self):
        self.write("one")
        web = WebCertificate(*self.files)
        self.write("two", key=False)
        web.check()
        web.check()
        self.assertEqual(self.shown(web), "one")
        self.write("three")
        web.check()
        self.assertEqual(self.shown(web), "three")

    def test_files_that_vanish(self):
        self.write("one")
        web = WebCertificate(*self.files)
        self.files[0].unlink()
        self.assertFalse(web.reload())
        self.assertEqual(self.shown(web), "one")

    def test_bad_files_stop_the_start(self):
        for spoil, words in (
            (lambda: self.files[0].unlink(), "cert.pem: can't be read"),
            (lambda: self.files[0].write_text("x"), "cert.pem: isn't a certificate chain"),
            (lambda: self.files[1].write_text("x"), "key.pem: isn't a private key"),
            (lambda: self.files[1].chmod(0o644), "key.pem is open to other users (mode 0644)"),
            (lambda: self.write("other", certificate=False), "doesn't belong"),
        ):
            self.write("one")
            self.files[1].chmod(0o600)
            spoil()
            error = self.assertRaises(CannotServe, WebCertificate, *self.files)
            self.assertIn(words, str(error))
