from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.web.proxies import client_host, read_proxies

PROXIES = read_proxies(["10.0.0.0/8", "fd00::/8"])


class ClientHostTests(SynchronousTestCase):
    def test_whom_to_believe(self):
        for peer, told, host in [
            ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", [], "10.0.0.1"),
            ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", ["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", ["1.1.1.1, nonsense"], "10.0.0.1"),
            ("fd00::1", ["2001:DB8::1"], "2001:db8::1"),
        ]:
            self.assertEqual(client_host(peer, told, PROXIES), host, told)

    def test_nobody_is_trusted_by_default(self):
        self.assertEqual(client_host("127.0.0.1", ["203.0.113.9"], ()), "127.0.0.1")
