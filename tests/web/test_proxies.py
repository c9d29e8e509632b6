from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from tests.logs import logged
from tests.web.support import ApiTestCase
from tunnelcloud.domain.addresses import read_networks
from tunnelcloud.web.http_limits import LimitedSite
from tunnelcloud.web.proxies import MOST_HOPS, ProxySightings, client_host

PROXIES = read_networks(["10.0.0.0/8", "fd00::/8"])


class ClientHostTests(SynchronousTestCase):
    def test_whom_to_believe(self):
        for peer, told, host in [
            ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", [], "10.0.0.1"),
            ("::ffff:192.0.2.1", [], "192.0.2.1"),
            ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", ["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", ["1.1.1.1, nonsense"], "10.0.0.1"),
            ("fd00::1", ["2001:DB8::1"], "2001:db8::1"),
            ("10.0.0.1", ["203.0.113.9:51234"], "203.0.113.9"),
            ("10.0.0.1", ["[2001:DB8::1]:443, [fd00::2]"], "2001:db8::1"),
            ("10.0.0.1", ["203.0.113.9:x"], "10.0.0.1"),
            ("10.0.0.1", ["[203.0.113.9"], "10.0.0.1"),
            ("10.0.0.1", ["fe80::7%\x1b[31m" + 300 * "x"], "fe80::7"),
        ]:
            self.assertEqual(client_host(peer, told, PROXIES), host, told)

    def test_the_standards_header(self):
        for told, host in [
            (["for=203.0.113.9"], "203.0.113.9"),
            (['For="[2001:DB8:cafe::17]:4711";proto=https'], "2001:db8:cafe::17"),
            (["proto=http;by=10.0.0.3; for=203.0.113.9:80, for=10.0.0.2"], "203.0.113.9"),
            (["for=1.1.1.1", "for=203.0.113.9"], "203.0.113.9"),
            (["for=unknown"], "10.0.0.1"),
            (["for=_hidden"], "10.0.0.1"),
            (["for=203.0.113.9, proto=https"], "10.0.0.1"),
            (["for=203.0.113.9;for=1.1.1.1"], "10.0.0.1"),
        ]:
            self.assertEqual(client_host("10.0.0.1", [], PROXIES, told), host, told)

    def test_two_headers_that_differ(self):
        said = client_host("10.0.0.1", ["203.0.113.9"], PROXIES, ["for=203.0.113.9"])
        self.assertEqual(said, "203.0.113.9")
        said = client_host("10.0.0.1", ["203.0.113.9"], PROXIES, ["for=1.1.1.1"])
        self.assertEqual(said, "10.0.0.1")

    def test_the_last_addresses_alone(self):
        """Thousands fit into a header, and each takes time to look at."""
        near = ["10.0.0.2"] * (MOST_HOPS - 1)
        for wrap in (str, "for={}".format):
            for told, host in [
                (["203.0.113.9", *near], "203.0.113.9"),
                (["203.0.113.9", "10.0.0.3", *near], "10.0.0.3"),
            ]:
                hops = [wrap(one) for one in told]
                headers = ([], hops) if wrap("") else (hops, [])
                found = client_host("10.0.0.1", headers[0], PROXIES, headers[1])
                self.assertEqual(found, host, hops)
        pairs = ";".join(["for=203.0.113.9", *["a=b"] * 50])
        self.assertEqual(client_host("10.0.0.1", [], PROXIES, [pairs]), "10.0.0.1")

    def test_nobody_is_trusted_by_default(self):
        self.assertEqual(client_host("127.0.0.1", ["203.0.113.9"], ()), "127.0.0.1")


class SightingsTests(SynchronousTestCase):
    def test_the_nearest_that_is_seen_most(self):
        sightings = ProxySightings()
        self.assertIsNone(sightings.warning())
        for host in ["10.0.0.1", "8.8.8.8", "10.0.0.2", "10.0.0.2", "8.8.8.8", "8.8.8.8"]:
            sightings.note(host)
        self.assertIn('set trusted_proxies = ["10.0.0.2"]', sightings.warning())
        sightings.forget()
        self.assertIsNone(sightings.warning())

    def test_each_is_logged_once_and_a_crowd_is_not(self):
        sightings = ProxySightings()
        lines = logged(lambda: [sightings.note(f"192.0.2.{one % 100}") for one in range(1000)])
        self.assertEqual(lines.count("is not in [web] trusted_proxies"), 20)
        self.assertEqual(lines.count("requests from 192.0.2.7 name"), 1)


class UntrustedProxyTests(ApiTestCase):
    """What administrators are told of a proxy that isn't trusted."""

    def ask_through(self, header):
        self.ask("GET", "/healthz", headers={header: "203.0.113.9"})

    def test_it_is_said_where_readiness_is(self):
        self.assertEqual(self.ask("GET", "/readyz").body, b"ready\n")
        self.ask_through("X-Forwarded-For")
        answer = self.ask("GET", "/readyz")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.body.startswith(b"ready\nwarning: requests come through a proxy"))
        self.assertNotIn(b"192.168.1.1", answer.body, "anybody reads it")

    def test_the_standards_header_too(self):
        self.ask_through("Forwarded")
        self.assertIn("192.168.1.1", self.context.sightings.warning())

    def test_a_proxy_that_is_trusted(self):
        self.site.trust(read_networks(["192.168.1.1/32"]))
        self.ask_through("X-Forwarded-For")
        self.assertIsNone(self.context.sightings.warning())


class RoomTests(SynchronousTestCase):
    """Who loses a connection when there is no room for another, behind a proxy that passes on
    bodies as they come."""

    room = 4

    def setUp(self):
        networks = read_networks(["192.0.2.1"])
        self.site = LimitedSite(Resource(), Clock(), networks, room=self.room)

    def connect(self, head=b""):
        peer = IPv4Address("TCP", "192.0.2.1", 5000)
        channel = self.site.buildProtocol(peer)
        if channel is None:
            return None
        transport = StringTransport(peerAddress=peer)
        channel.makeConnection(transport)
        self.addCleanup(channel.setTimeout, None)
        if head:
            channel.dataReceived(head)
        return transport

    def half_a_body(self, header=b"X-Forwarded-For: 198.51.100.66"):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n%s\r\n\r\nx"
        return self.connect(head % header)

    def test_one_client_takes_no_others_place(self):
        """All counted as the proxy's: 4,096 half requests of one client kept everybody out."""
        strangers = [self.half_a_body() for _ in range(self.room)]
        self.assertIsNotNone(self.connect())
        self.assertEqual([one.disconnecting for one in strangers], [True] + [False] * 3)

    def test_what_cannot_be_read(self):
        self.half_a_body(b"X-Forwarded-For: \xff")
        self.assertEqual(len(self.site.crowd), 1)

    def test_a_reserved_place_is_kept(self):
        transport = self.connect()
        [channel] = self.site.crowd._present
        self.site.reserve = 1
        channel.keep_place()
        self.assertEqual(len(self.site.reserved), 1)
        before = len(self.site.crowd), len(self.site.reserved)
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\nForwarded: for=198.51.100.7\r\n\r\n")
        self.assertEqual((len(self.site.crowd), len(self.site.reserved)), before)
        self.assertFalse(transport.disconnecting)
