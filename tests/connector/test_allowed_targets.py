import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.connector.allowed_targets import (
    AccessList,
    BadRule,
    parse_access_list,
    read_target,
)
from tunnelcloud.domain.addresses import unmapped
from tunnelcloud.domain.names import BadName


def embeddings(v4):
    """IPv6 addresses by which a network may reach an IPv4 one."""
    number = int(v4)
    prefixes = ("64:ff9b::", "64:ff9b:1::", "64:ff9b:1:2:3:4::", "::", "::ffff:0:0:0")
    for prefix in prefixes:
        yield IPv6Address(int(IPv6Address(prefix)) | number)
    high, low = number >> 16, number & 0xFFFF
    yield IPv6Address(int(IPv6Address("64:ff9b:1::")) | high << 64 | low << 40)
    yield IPv6Address(int(IPv6Address("2002::")) | number << 80 | 1)
    yield IPv6Address(int(IPv6Address("2001::")) | number << 64)
    yield IPv6Address(int(IPv6Address("2001::")) | number ^ 0xFFFFFFFF)
    yield IPv6Address(int(IPv6Address("2001:db8::5efe:0:0")) | number)
    yield IPv6Address(int(IPv6Address("2001:db8::200:5efe:0:0")) | number)


class AccessListTests(SynchronousTestCase):
    def permits(self, host, port=80, name=None, allow=(), deny=()):
        address = unmapped(ip_address(host))
        return parse_access_list(allow, deny).permits(name, address, port)

    def test_a_name_beyond_ascii_is_the_one_that_a_tunnel_has(self):
        self.assertTrue(
            self.permits("10.0.0.5", name="xn--bcher-kva.example", allow=["bücher.example:80"])
        )

    def test_empty_lists_allow_all_but_what_is_special(self):
        for host in ("10.0.0.5", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1"):
            self.assertTrue(self.permits(host), host)
        for host in (
            "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "::1", "::",
            "169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "100.100.100.200",
            "224.0.0.1", "255.255.255.255", "ff02::1",
            "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        ):  # fmt: skip
            self.assertFalse(self.permits(host), host)

    def test_an_allow_list_allows_nothing_else(self):
        allow = ["10.0.0.0/8", "db.internal:5432", "[fd00::]/8:8000-8010"]
        self.assertTrue(self.permits("10.1.2.3", 1, allow=allow))
        self.assertTrue(self.permits("192.168.1.1", 5432, "db.internal", allow=allow))
        self.assertTrue(self.permits("fd12::1", 8010, allow=allow))
        self.assertFalse(self.permits("192.168.1.1", 5433, "db.internal", allow=allow))
        self.assertFalse(self.permits("192.168.1.1", 5432, "web.internal", allow=allow))
        self.assertFalse(self.permits("192.168.1.1", 5432, allow=allow))
        self.assertFalse(self.permits("fd12::1", 8011, allow=allow))

    def test_deny_wins(self):
        lists = {"allow": ["10.0.0.0/8"], "deny": ["10.0.0.5", "10.1.0.0/16:22", "x.internal"]}
        self.assertTrue(self.permits("10.0.0.6", **lists))
        self.assertFalse(self.permits("10.0.0.5", **lists))
        self.assertFalse(self.permits("10.1.0.1", 22, **lists))
        self.assertTrue(self.permits("10.1.0.1", 23, **lists))
        self.assertFalse(self.permits("10.0.0.6", name="x.internal", **lists))

    def test_special_addresses_need_a_rule_that_means_them(self):
        for allow in (["0.0.0.0/0", "::/0"], ["db.internal"], ["0.0.0.0/1"]):
            for host in ("127.0.0.1", "::1", "169.254.169.254", "fe80::1"):
                self.assertFalse(self.permits(host, name="db.internal", allow=allow), host)
        self.assertTrue(self.permits("127.0.0.1", allow=["127.0.0.1"]))
        self.assertTrue(self.permits("127.0.0.1", allow=["127.0.0.0/8:80"]))
        self.assertFalse(self.permits("127.0.0.1", 81, allow=["127.0.0.0/8:80"]))
        self.assertTrue(self.permits("::1", allow=["[::1]:80"]))
        self.assertTrue(self.permits("169.254.7.7", allow=["169.254.7.0/24"]))
        self.assertTrue(self.permits("127.0.0.1", name="localhost", allow=["localhost"]))
        self.assertFalse(self.permits("169.254.7.7", name="localhost", allow=["localhost"]))
        self.assertFalse(self.permits("127.0.0.1", name="db.internal", allow=["localhost"]))

    @given(st.sampled_from(["127.0.0.1", "169.254.169.254", "10.9.9.9", "127.255.0.1"]))
    def test_no_disguise_helps(self, denied):
        for address in embeddings(IPv4Address(denied)):
            for allow in ((), ["::/0", "0.0.0.0/0"]):
                self.assertFalse(self.permits(address, allow=allow, deny=["10.0.0.0/8"]), address)

    def test_nat64_reaches_what_its_ipv4_address_may(self):
        for host, permitted in (("64:ff9b::10.0.0.5", True), ("2002:a00:5::1", False)):
            self.assertEqual(self.permits(host, allow=["10.0.0.0/8"]), permitted, host)

    def test_names_are_looked_up_only_if_that_can_help(self):
        access = parse_access_list(["db.internal:5432", "10.0.0.0/8:80"], ["bad.internal"])
        self.assertTrue(access.permits_lookup("db.internal", 5432))
        self.assertFalse(access.permits_lookup("web.internal", 5432))
        self.assertTrue(access.permits_lookup("web.internal", 80))
        self.assertFalse(access.permits_lookup("bad.internal", 80))
        self.assertTrue(AccessList().permits_lookup("web.internal", 80))

    def test_bad_rules_say_what_is_allowed(self):
        for text, why in (
            ("", "use a DNS name"),
            ("10.0.0.5/8", "write 10.0.0.0/8"),
            ("10.0.0.0/33", "no network"),
            ("10.0.0.0/8:", "not a port"),
            ("10.0.0.0/8:70000", "out of range"),
            ("10.0.0.0/8:90-80", "upside down"),
            ("[10.0.0.0]/8", "brackets"),
            ("[fd00::", "no network"),
            ("fd00::/8:80", "no network"),
            ("127.1", "use a DNS name"),
            ("a b", "use a DNS name"),
            ("::ffff:10.0.0.0/104", "write the IPv4 network"),
            ("db.internal/8", "no network"),
        ):
            with self.assertRaises(BadRule) as caught:
                parse_access_list([text], [])
            self.assertIn(why, str(caught.exception))
            self.assertIn('"[fd00::]/8:8000-8010"', str(caught.exception))

    def test_notations_of_one_rule(self):
        for texts in (
            ("fd00::/8", "[fd00::]/8"),
            ("db.internal", "DB.Internal.", " db.internal "),
            ("10.0.0.5", "10.0.0.5/32"),
            ("fd00::1", "[fd00::1]", "[FD00::1]/128"),
        ):
            self.assertEqual(len(set(parse_access_list(texts, []).allow)), 1, texts)


class TargetTests(SynchronousTestCase):
    def test_every_notation_of_an_address(self):
        for text in (
            "127.0.0.1", "2130706433", "0x7f.1", "127.1", "0x7f000001", "017700000001",
            "0177.0.0.01", "127.0.1", "::ffff:127.0.0.1", "[::ffff:7f00:1]", "127.0.0.1.",
            "１２７。0.0.1",  # noqa: RUF001  (digits and a dot as East Asian text has them)
        ):  # fmt: skip
            self.assertEqual(read_target(text), IPv4Address("127.0.0.1"), text)
        self.assertEqual(read_target("[FD00::1]"), IPv6Address("fd00::1"))

    def test_names(self):
        self.assertEqual(read_target("DB.Internal."), "db.internal")

    def test_neither(self):
        for text in (
            "", ".", "256.1", "1.2.3.4.5", "0x1ffffffff", "09.1", "1.2.3.256", "a..b",
            "fe80::1%eth0", "4294967296", "a b", "-x", "x\0", "a/b", "😀", "²56.1",
        ):  # fmt: skip
            with self.assertRaises(BadName, msg=text):
                read_target(text)

    @given(st.text("0123456789abcdefx.", max_size=20))
    def test_agrees_with_the_c_library(self, text):
        try:
            expected = IPv4Address(socket.inet_aton(text))
        except OSError:
            return
        if "0x" in text.split("."):
            return
        self.assertEqual(read_target(text), expected)
