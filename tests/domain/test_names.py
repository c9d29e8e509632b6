from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import grant, tunnel, view
from tunnelcloud.domain import names
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.names import BadName, Login, match_destination, named_by, parse_login
from tunnelcloud.domain.objects.sites import PortRange


class LoginTests(SynchronousTestCase):
    def test_every_form(self):
        for raw, login in [
            (b"alice", Login("alice")),
            (b"Alice", Login("alice")),
            (b"alice@example.com", Login("alice@example.com")),
            (b"tcptunnel", Login(None)),
            (b"tcptunnel@db", Login(None, "db")),
            (b"TCPTunnel@DB.Example.COM.", Login(None, "db.example.com")),
        ]:
            self.assertEqual(parse_login(raw), login, raw)

    def test_what_no_login_can_be(self):
        for raw in [
            b"", b"a\x00b", b"a\r\nb", b"\x1b[31m", "a\u202eb".encode(), b"\xff", b"a b",
            b"tcptunnel@", b"a" * 65536,
        ]:  # fmt: skip
            self.assertIsNone(parse_login(raw), raw[:20])

    @given(st.binary(max_size=400))
    def test_any_bytes_are_a_login_or_none(self, raw):
        login = parse_login(raw)
        if login is not None and login.user is not None:
            self.assertTrue(login.user.isprintable())


class ValueTests(SynchronousTestCase):
    def test_hosts_have_one_form(self):
        for text, host in [
            ("DB.Internal.", "db.internal"),
            ("[2001:DB8:0::1]", "2001:db8::1"),
            ("::ffff:10.0.0.5", "10.0.0.5"),
            ("10.0.0.5", "10.0.0.5"),
        ]:
            self.assertEqual(names.read_host(text), host)

    def test_names_beyond_ascii_are_kept_as_dns_has_them(self):
        for text, host in (
            ("Bücher.Example", "xn--bcher-kva.example"),
            ("straße.example.", "xn--strae-oqa.example"),
            ("_db.пример.рф", "_db.xn--e1afmkfd.xn--p1ai"),
            ("例え。jp", "xn--r8jz45g.jp"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ):
            self.assertEqual(names.read_host(text), host)
            self.assertEqual(names.canonical_host(text), host)
        self.assertEqual(names.read_external_address("bücher.example"), "xn--bcher-kva.example")
        login = parse_login("tcptunnel@BÜCHER.example".encode())
        self.assertEqual(login.tunnel, "xn--bcher-kva.example")
        for text in ("😀.example", "a\u200db.example", "bü cher.example", "ü" * 64 + ".example"):
            with self.assertRaisesRegex(BadName, "characters that no DNS name may have"):
                names.read_host(text)
            self.assertEqual(names.canonical_host(text), text)

    def test_what_no_host_is(self):
        for text in [
            "",
            "a b",
            "-a",
            "a..b",
            "2130706433",
            "0x7f.1",
            "127.1",
            "a/b",
            "fe80::1%eth0 ",
        ]:
            self.assertRaises(BadName, names.read_host, text)

    def test_ports(self):
        self.assertEqual(names.parse_ports("5432"), PortRange(5432, 5432))
        self.assertEqual(names.parse_ports("8000-8010"), PortRange(8000, 8010))
        for text in ["0", "65536", "8010-8000", "a", "1-", "-1", "1,2", "٣"]:
            self.assertRaises(BadName, names.parse_ports, text)
        self.assertEqual(
            names.merge_ports([PortRange(3, 5), PortRange(1, 2), PortRange(9, 9)]),
            (PortRange(1, 5), PortRange(9, 9)),
        )

    def test_reserved_names(self):
        for text in ("TcpTunnel", "System", "usr_" + "0" * 26, "TUN_" + "v" * 26):
            self.assertRaises(BadName, names.read_user_name, text)
        self.assertEqual(names.read_user_name("usr_" + "0" * 25), "usr_" + "0" * 25)
        self.assertRaises(BadName, names.read_email, "tcptunnel@example.com")
        self.assertEqual(names.read_email("Alice@Example.com"), "alice@example.com")


class DestinationTests(SynchronousTestCase):
    def test_external_address_before_name_before_target(self):
        by_target = tunnel("one", "db")
        by_name = tunnel("db", "10.0.0.6")
        by_external = tunnel("three", "10.0.0.7", external_address="db")
        grants = [grant(by_target), grant(by_name), grant(by_external)]
        for expected in (by_external, by_name, by_target):
            found = match_destination(view(*grants), "DB.", 5432, Method.KEY)
            self.assertEqual([each.tunnel for each in found.grants], [expected])
            grants = [each for each in grants if each.tunnel is not expected]

    def test_only_what_fits_competes(self):
        first = tunnel("first", "10.0.0.5", ((5432, 5432),))
        second = tunnel("second", "10.0.0.5", ((5433, 5433),))
        found = match_destination(view(grant(first), grant(second)), "10.0.0.5", 5433, Method.KEY)
        self.assertEqual(found.grants[0].tunnel, second)
        token_only = grant(tunnel("third", "10.0.0.5", ((5433, 5433),)), [Method.TOKEN])
        found = match_destination(view(token_only, grant(second)), "10.0.0.5", 5433, Method.KEY)
        self.assertEqual(found.grants[0].tunnel, second)

    def test_equal_matches_name_both(self):
        grants = [grant(tunnel("b", "10.0.0.5")), grant(tunnel("a", "10.0.0.5"))]
        found = match_destination(view(*grants), "::ffff:10.0.0.5", 5432, Method.KEY)
        self.assertEqual(found.rivals, ("a", "b"))

    def test_local_names_mean_the_tunnel_of_the_login(self):
        grants = [grant(tunnel("a", external_address="a.example.com")), grant(tunnel("b"))]
        for host in ("localhost", "127.0.0.1", "[::1]"):
            found = match_destination(view(*grants), host, 5432, Method.KEY, "tun_a")
            self.assertEqual(found.grants, (grants[0],))
        self.assertEqual(match_destination(view(*grants), "b", 5432, Method.KEY, "tun_a").near, ())
        found = match_destination(view(*grants), "localhost", 5432, Method.KEY)
        self.assertEqual(found.grants, ())

    def test_what_a_login_narrows_to(self):
        named = tunnel("db", "10.0.0.1")
        labelled = tunnel("prod", "10.0.0.2", external_address="db.example.com")
        other = tunnel("test", "10.0.0.3", external_address="db.example.org")
        alices = view(*map(grant, (named, labelled, other)))
        for name, only, meant in [
            ("db", None, [named]),
            ("db.example.com", None, [labelled]),
            ("db", "tun_prod", [labelled]),
            ("prod", "tun_db", []),
            ("nothing", None, []),
        ]:
            self.assertEqual(named_by(alices, Method.KEY, name, only), meant, (name, only))
        unnamed = view(grant(labelled), grant(other))
        self.assertEqual(named_by(unnamed, Method.KEY, "db"), [labelled, other])
