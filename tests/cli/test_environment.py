"""Variables of the environment that can't be used are told in one line, with the right reason."""

import os

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.cli.client import Api, Failed


class EnvironmentTests(SynchronousTestCase):
    def told(self, **environment):
        """Ask a pod, which must fail; give the line."""
        for name in list(os.environ):
            if name.upper().endswith("_PROXY"):
                self.addCleanup(os.environ.__setitem__, name, os.environ.pop(name))
        for name, value in environment.items():
            self.addCleanup(os.environ.pop, name, None)
            os.environ[name] = value
        return str(self.assertRaises(Failed, Api("https://pod.invalid", None).get, "me"))

    def test_proxies_of_other_kinds(self):
        for kind in ("socks4", "gopher"):
            self.assertIn("ALL_PROXY", self.told(ALL_PROXY=f"{kind}://127.0.0.1:9"))

    def test_a_missing_file_of_authorities(self):
        self.assertIn("SSL_CERT_FILE: /nowhere/ca", self.told(SSL_CERT_FILE="/nowhere/ca.pem"))
