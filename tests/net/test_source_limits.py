"""Who may start a connection when many want to."""

from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.ssh.keys import Key
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.costs import LINEAR, growth
from tests.ssh.client import Client
from tests.ssh.fakes import Pod
from tunnelcloud.domain.addresses import is_within, read_networks
from tunnelcloud.net import source_limits
from tunnelcloud.net.source_limits import REFUSED_LOGIN, FloodControl, FloodLimits


class FloodTests(SynchronousTestCase):
    """The counters alone."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.chance = 0.5
        self.flood = FloodControl(
            self.clock,
            lambda: self.chance,
            FloodLimits(start=10, rate=30, full=20, per_source=3, threshold=15),
            read_networks(["10.0.0.0/8", "fd00::/8"]),
        )

    def start(self, *sources: str) -> list[bool]:
        return [self.flood.connection_made(source) == "" for source in sources]

    def test_per_source(self) -> None:
        """One address, or one /64, holds three; another isn't touched by that."""
        self.assertEqual(self.start(*["192.0.2.1"] * 4), [True] * 3 + [False])
        self.assertEqual(self.start("192.0.2.2"), [True])
        same = [f"2001:db8::{number}" for number in range(4)]
        self.assertEqual(self.start(*same), [True] * 3 + [False])
        self.assertEqual(self.start("2001:db8:0:1::1"), [True])
        self.flood.connection_lost("192.0.2.1")
        self.assertEqual(self.start("192.0.2.1", "192.0.2.1"), [True, False])
        self.assertEqual(self.flood.counters()["dropped_source"], 3)

    def test_networks_of_one_site(self) -> None:
        """Many addresses of one network hold a few times as many as one, however they vary."""
        flood = FloodControl(self.clock, lambda: 0.5, FloodLimits(per_source=3))
        for pattern, held in (
            ("192.0.2.{}", 12),  # /24
            ("2001:db8:1:a::{}", 3),  # /64
            ("2001:db8:2:{}::1", 6),  # /56, for the last digits
            ("2001:db8:3:{}00::1", 12),  # /48
        ):
            sources = [pattern.format(number) for number in range(10, 60)]
            made = [flood.connection_made(source) == "" for source in sources]
            self.assertEqual(sum(made), held, pattern)
        self.assertEqual(flood.connection_made("192.0.3.1"), "")
        self.assertEqual(flood.connection_made("2001:db8:4::1"), "")

    def test_who_is_shut_out(self) -> None:
        """Named with since when and for how long; what is forgiven may come in at once."""
        for source, times in (("192.0.2.1", 5), ("198.51.100.1", 4), ("203.0.113.1", 1)):
            for _ in range(times):
                self.flood.offended(source, REFUSED_LOGIN)
        self.clock.advance(2)
        found = self.flood.shut_out(10)
        self.assertEqual(
            [(one.source, one.seconds, one.left) for one in found],
            [("192.0.2.1", 2, 8), ("198.51.100.1", 2, 3)],
        )
        self.assertEqual(len(self.flood.shut_out(1)), 1)
        self.assertTrue(self.flood.forgive("192.0.2.1"))
        self.assertFalse(self.flood.forgive("192.0.2.1"))
        self.assertEqual(self.start("192.0.2.1", "198.51.100.1"), [True, False])
        self.clock.advance(60)
        self.assertEqual(self.flood.shut_out(10), [])
        self.flood.offended("198.51.100.1", 20)
        self.assertEqual(self.flood.shut_out(10)[0].seconds, 0, "an old penalty counts no more")

    def test_few_are_looked_at_to_list_who_is_shut_out(self) -> None:
        """A flood makes it no longer, and who is only suspected hides nobody."""
        self.patch(source_limits, "MOST_LOOKED_AT", 20)
        for number in range(100):
            self.flood.offended(f"192.{number}.2.1", 20)
        found = {one.source for one in self.flood.shut_out(50)}
        self.assertEqual(found, {f"192.{number}.2.1" for number in range(80, 100)})
        self.clock.advance(90)
        self.assertEqual(self.flood.shut_out(50), [])
        self.flood.offended("203.0.113.1", 20)
        for number in range(100):
            self.flood.offended(f"198.{number}.2.1", 1)
        self.assertEqual([one.source for one in self.flood.shut_out(50)], ["203.0.113.1"])

    def test_penalties_of_one_site(self) -> None:
        """A site that uses a new address for every guess is shut out, and its neighbour isn't."""
        for number in range(1, 14):
            self.flood.offended(f"192.0.2.{number}", REFUSED_LOGIN)
            self.flood.offended(f"2001:db8:1:{number:x}::1", REFUSED_LOGIN)
        self.assertIn("failed logins", self.flood.connection_made("192.0.2.200"))
        self.assertIn("failed logins", self.flood.connection_made("2001:db8:1:ff::1"))
        self.assertEqual(self.start("192.0.3.1", "2001:db8:2::1"), [True, True])

    def test_one_address_shuts_out_no_neighbour(self) -> None:
        """Not even by connections that it had begun before it was shut out, again and again."""
        for hostile, neighbour in (
            ("192.0.2.1", "192.0.2.77"),
            ("2001:db8:1:1::1", "2001:db8:1:2::1"),
        ):
            for _ in range(100):
                for _ in range(24 * 6):
                    self.flood.offended(hostile, REFUSED_LOGIN)
                self.assertEqual(self.start(hostile, neighbour), [False, True])
                self.flood.connection_lost(neighbour)
                self.clock.advance(7)

    def test_start_rate_full(self) -> None:
        """From ten on by chance, 30 % at first, all at twenty."""
        many = [f"192.0.{number}.1" for number in range(100)]
        self.assertEqual(self.start(*many[:10]), [True] * 10)
        self.chance = 0.29
        self.assertEqual(self.start(many[10]), [False])
        self.chance = 0.30
        self.assertEqual(self.start(many[10]), [True])
        self.chance = 0.999
        self.assertEqual(self.start(*many[11:30]), [True] * 9 + [False] * 10)
        counters = self.flood.counters()
        self.assertEqual(counters["starting"], 20)
        self.assertEqual((counters["dropped_chance"], counters["dropped_full"]), (1, 10))

    def test_sessions_do_not_count(self) -> None:
        """Who logged in counts no more."""
        for _ in range(50):
            self.assertEqual(self.start("192.0.2.1"), [True])
            self.flood.authenticated("192.0.2.1")
        self.assertEqual(self.flood.counters()["starting"], 0)
        self.assertEqual(self.flood.counters()["authenticated"], 50)

    def test_penalties_decay(self) -> None:
        """Four offences of five seconds shut an address out, until time has taken some off."""
        for _ in range(3):
            self.flood.offended("192.0.2.1", 5)
        self.assertEqual(self.start("192.0.2.1"), [True])
        self.flood.offended("192.0.2.1", 5)
        self.assertEqual(self.start("192.0.2.1", "192.0.2.2"), [False, True])
        self.clock.advance(5)
        self.assertEqual(self.start("192.0.2.1"), [True])
        self.clock.advance(100)
        self.assertEqual(self.start("192.0.2.1"), [True])
        self.assertEqual(self.flood.counters()["penalised"], 0)

    def test_penalties_end(self) -> None:
        """However much was done, ten minutes are the most."""
        for _ in range(1000):
            self.flood.offended("192.0.2.1", 50)
        self.clock.advance(584)
        self.assertEqual(self.start("192.0.2.1"), [False])
        self.clock.advance(2)
        self.assertEqual(self.start("192.0.2.1"), [True])

    def test_exempt(self) -> None:
        """Exempt networks have neither penalties nor a limit of their own."""
        for _ in range(100):
            self.flood.offended("10.1.2.3", 100)
        self.assertEqual(self.start(*["10.1.2.3"] * 9), [True] * 9)
        self.assertEqual(self.start("fd00::1"), [True])

    def test_bounded_memory(self) -> None:
        """Penalties of a whole internet don't fill the memory."""
        flood = FloodControl(self.clock, lambda: 0.5, FloodLimits(remembered=100))
        for number in range(10_000):
            flood.offended(f"2001:db8:{number:x}::1", 100)
        self.assertEqual(flood.counters()["penalised"], 100)
        self.assertLessEqual(len(flood._shut_out), 100)
        flood.offended("192.0.2.1", 100)
        self.assertIn("from your address", flood.connection_made("192.0.2.1"))

    def test_no_offence_looks_at_all_others(self) -> None:
        """When there is no room for its penalty, and none is over: that took four milliseconds."""

        def full(size: int) -> FloodControl:
            flood = FloodControl(self.clock, lambda: 0.5, FloodLimits(remembered=size))
            for number in range(size // 2):
                flood.offended(f"10.{number >> 8}.{number & 255}.1", 100)
            return flood

        def offend(flood: FloodControl) -> None:
            for number in range(500):
                flood.offended(f"192.0.{number}.1", 100)

        self.assertLess(growth(offend, full, 1000), LINEAR / 3)

    def test_penalties_that_are_over_go_first(self) -> None:
        flood = FloodControl(self.clock, lambda: 0.5, FloodLimits(remembered=100))
        for number in range(50):
            flood.offended(f"192.0.{number}.1", 1)
        self.clock.advance(2)
        flood.offended("198.51.100.1", 100)
        self.assertLess(flood.counters()["penalised"], 50)

    def test_networks(self) -> None:
        """Addresses are found in networks, and what is no address in none."""
        networks = read_networks(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"])
        for host in ("192.0.2.255", "2001:db8::1", "198.51.100.7"):
            self.assertTrue(is_within(host, networks))
        for host in ("192.0.3.1", "::1", "unix", ""):
            self.assertFalse(is_within(host, networks))


class ConnectionFloodTests(SynchronousTestCase):
    """Real connections under it."""

    def test_flood_from_one_address(self) -> None:
        """A thousand half-open connections of one address leave room for all others."""
        clock = Clock()
        pod = Pod(clock)
        for _ in range(1000):
            Client(pod, clock=clock, peer="192.0.2.1")
        client = Client(pod, clock=clock, peer="192.0.2.2").login()
        self.assertEqual(pod.flood.counters()["dropped_source"], 1000 - 24)
        self.assertFalse(client.socket.disconnecting)

    def test_abandoned_key_exchanges(self) -> None:
        """Who makes the pod compute keys again and again, and goes, is shut out; others aren't."""
        clock = Clock()
        pod = Pod(clock)
        for _ in range(31):
            Client(pod, clock=clock, peer="192.0.2.1").identify().exchange_keys().lose()
        refused = Client(pod, clock=clock, peer="192.0.2.1")
        self.assertIn("too many ", refused.disconnected())
        Client(pod, clock=clock, peer="192.0.2.2").login()
        clock.advance(1)
        Client(pod, clock=clock, peer="192.0.2.1").secure()

    def test_a_login_makes_good_for_them(self) -> None:
        """sshtunnel connects anew for each key of an agent; a tool that needs eight sessions, and
        finds eight keys, gets them all."""
        clock = Clock()
        pod = Pod(clock)
        stranger = Key(ed25519.Ed25519PrivateKey.generate())
        for number in range(8):
            for _ in range(8):
                client = Client(pod, clock=clock).secure().offer_key(stranger)
                client.expect(51)
                client.lose()
            pod.access.tokens[str(number)] = "alice"
            Client(pod, clock=clock).secure().send_token(str(number)).expect(52)
        self.assertEqual(pod.flood.counters()["dropped_penalty"], 0)

    def test_looking_is_no_offence(self) -> None:
        """Connections that end before keys are computed cost nothing: health checks, probes."""
        clock = Clock()
        pod = Pod(clock)
        for _ in range(100):
            Client(pod, clock=clock).lose()
            Client(pod, clock=clock).identify().lose()
            Client(pod, clock=clock).identify().send_kexinit().lose()
        self.assertEqual(pod.flood.counters()["offences"], 0)

    def test_nothing_in_common(self) -> None:
        """Clients with other algorithms, such as ssh-keyscan's, aren't shut out for trying."""
        clock = Clock()
        pod = Pod(clock)
        for _ in range(10):
            client = Client(pod, clock=clock).identify()
            client.send_kexinit(evolve(client.keys.proposal(), host_keys=(b"ssh-dss",)))
            self.assertTrue(client.socket.disconnecting)
        Client(pod, clock=clock).login()

    def test_logins_are_no_offence(self) -> None:
        """Neither is the end of a session."""
        clock = Clock()
        pod = Pod(clock)
        for number in range(50):
            pod.access.tokens[str(number)] = "alice"
            client = Client(pod, clock=clock).secure().send_token(str(number))
            client.expect(52)
            client.lose()
        self.assertEqual(pod.flood.counters()["offences"], 0)

    def test_refusal_of_a_penalised_source(self) -> None:
        """It isn't told of connections, but of what it did, and how long it has to wait."""
        pod = Pod(Clock())
        for _ in range(4):
            pod.flood.offended("192.0.2.7", REFUSED_LOGIN)
        refused = Client(pod)
        text = "too many failed logins from your address; try again in 5 s"
        self.assertEqual(refused.disconnected(), text)

    def test_refused_and_in_no_hurry(self) -> None:
        """Who is refused has a second to read why, if there aren't too many of them."""
        clock = Clock()
        pod = Pod(clock, flood_limits=FloodLimits(full=0))
        refused = [Client(pod, clock=clock, peer=f"192.0.2.{number}") for number in range(70)]
        self.assertEqual(len(pod.factory.refused), 64)
        clock.advance(1)
        self.assertEqual([client.socket.aborted for client in refused[:64]], [True] * 64)
        for client in refused:
            client.lose()
        self.assertEqual(pod.factory.refused, set())
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_refusal(self) -> None:
        """Who is refused reads why, and costs nothing afterwards."""
        clock = Clock()
        pod = Pod(clock, flood_limits=FloodLimits(per_source=1))
        Client(pod, clock=clock)
        refused = Client(pod, clock=clock)
        self.assertIn("too many ", refused.disconnected())
        self.assertTrue(refused.socket.disconnecting)
        refused.write(b"SSH-2.0-x\r\n")
        self.assertEqual(pod.flood.counters()["starting"], 1)

    def test_sessions_survive(self) -> None:
        """A flood and penalties for its address don't cut a session from the same address."""
        clock = Clock()
        pod = Pod(clock)
        session = Client(pod, clock=clock).login()
        for _ in range(100):
            stranger = Client(pod, clock=clock)
            stranger.write(b"nonsense\n")
            stranger.lose()
        self.assertFalse(Client(pod, clock=clock).server.gotVersion)
        session.send(b"\x50" + b"\0\0\0\1x\1")
        session.expect(82)
