from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.addresses import (
    canonical_address,
    is_loopback,
    is_within,
    read_address,
    read_networks,
    source_group,
    source_groups,
)


class AddressTests(SynchronousTestCase):
    def test_one_form_of_each(self):
        for text, expected in (
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:DB8::0:1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("not an address", "not an address"),
        ):
            self.assertEqual(canonical_address(text), expected)

    def test_a_zone_stays_where_a_host_is_checked(self):
        """A target with a zone is refused, which whoever reads it must be able to see."""
        self.assertIn("%eth0", str(read_address("fe80::1%eth0")))

    def test_within_networks_however_it_is_written(self):
        networks = read_networks(["10.0.0.0/8", "fd00::/8"])
        for host in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1%eth0"):
            self.assertTrue(is_within(host, networks), host)
        for host in ("11.0.0.1", "fe80::1", "10", ""):
            self.assertFalse(is_within(host, networks), host)

    def test_one_source_however_it_is_written(self):
        self.assertEqual(source_group("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(source_group("2001:db8::1"), source_group("2001:DB8:0:0:1::%eth0"))
        self.assertEqual(source_groups("192.0.2.1"), (("192.0.2.1", 1), ("192.0.2.0/24", 4)))
        self.assertEqual(source_groups("a socket"), (("a socket", 1),))

    def test_this_machine(self):
        for host in ("localhost", "127.3.2.1", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback(host), host)
        for host in ("localhost.example.com", "10.0.0.1", ""):
            self.assertFalse(is_loopback(host), host)
