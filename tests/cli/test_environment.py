"""Variables of the environment that can't be used are told in one line, with the right reason."""

import os

import httpx
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake import TOKEN, FakeApi
from tunnelcloud.cli import main
from tunnelcloud.cli.client import Api, Failed

GOOD_TOKEN = {"TUNNELCLOUD_API_TOKEN": TOKEN}


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

    def test_a_socks_proxy_without_the_package_for_it(self):
        self.patch(httpx, "Client", self.without_socksio)
        told = self.told(ALL_PROXY="socks5h://127.0.0.1:9")
        self.assertIn("socks5h://127.0.0.1:9 is a SOCKS proxy", told)
        self.assertIn("socksio", told)

    def without_socksio(self, **options):
        raise ImportError("Using SOCKS proxy, but the 'socksio' package is not installed.")

    def test_a_proxy_that_isnt_there(self):
        told = self.told(HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY="[::1],fd00::/8,localhost")
        self.assertIn("can't reach https://pod.invalid", told)

    def test_exceptions_from_the_proxy(self):
        for text in ("[::1]", "*", "::1,pod.invalid:443", "invalid"):
            self.assertIn("can't reach", self.told(ALL_PROXY="http://127.0.0.1:9", NO_PROXY=text))

    def test_a_missing_file_of_authorities(self):
        self.assertIn("SSL_CERT_FILE: /nowhere/ca", self.told(SSL_CERT_FILE="/nowhere/ca.pem"))


class LocaleTests(SynchronousTestCase):
    def test_a_locale_that_isnt_utf8(self):
        with FakeApi() as api:
            api.put("sites", name="tokyo", title="\u6771\u4eac \xe9")
            result = CliRunner(charset="iso8859-1").invoke(
                main, ["site", "list"], env={"TUNNELCLOUD_URL": api.url, **GOOD_TOKEN}
            )
        self.assertEqual(result.exit_code, 0, result.exception)
        self.assertIn("\\u6771\\u4eac \xe9", result.stdout)
