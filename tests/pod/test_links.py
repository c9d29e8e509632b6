from datetime import timedelta

from cryptography.x509 import load_pem_x509_certificate
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.channels.wires import End
from tests.link.test_tls import AnyClient
from tests.pod.connectors import AUTHORITY, LIFETIME, Door
from tests.pod.registries import SECRET, make_connector
from tunnelcloud import pki
from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused, JoinToken
from tunnelcloud.link.join_messages import JoinRequest
from tunnelcloud.link.joining import JoinClient
from tunnelcloud.link.protocol import HANDSHAKE_TIMEOUT
from tunnelcloud.link.requests import DISMISS, PODS, RENEW
from tunnelcloud.link.tls import JoinTLS, LinkTLS
from tunnelcloud.pod.attendant import CLONED, RIVAL_SECONDS
from tunnelcloud.pod.connector_door import DOOR_TIMEOUT, MAX_IN_DOOR, door_limits
from tunnelcloud.pod.lost_connectors import LostConnectors

SITE = "sit_1"
REVOKED = "the connector was deleted, or its certificate revoked or expired"


class DoorCase(SynchronousTestCase):
    def setUp(self):
        self.door = Door()
        self.links = self.door.links

    def names(self, *numbers):
        return [f"paris-{number}" for number in numbers]

    def attach(self, number=1, site_id=SITE, times=1):
        _, tls = self.door.enrol(number, site_id)
        return [self.door.link(tls) for _ in range(times)]

    def open(self, link):
        link.multiplexer.open_channel(b"direct-tcpip", b"", End())
        self.door.run()

    def picked(self, **options):
        link = self.links.pick(SITE, **options)
        return link and link.connector_id


class AttachingTests(DoorCase):
    def test_an_active_connector_is_attached_and_told_where_pods_are(self):
        ((_, owner),) = self.attach()
        self.assertEqual(self.door.hearer.heard, [("attached", "paris-1", "0.2")])
        self.assertEqual(owner.requests, [(PODS, {"pods": ["pod.example:8443"]})])
        self.assertEqual(self.door.registry.get("con_1").version, "0.2")
        self.door.pod_addresses.append(PublicAddress("fd00::2", 8443))
        self.door.attendant.announce_pods()
        self.door.run()
        self.assertEqual(owner.requests[-1][1], {"pods": ["pod.example:8443", "[fd00::2]:8443"]})

    def test_of_two_live_processes_with_one_identity_the_later_is_turned_away(self):
        _, tls = self.door.enrol()
        _, first = self.door.link(tls, instance="1-a")
        _, again = self.door.link(tls, instance="1-a")
        copy, copied = self.door.link(tls, instance="2-b")
        self.assertIn(("cloned", "paris-1", CLONED), self.door.hearer.heard)
        self.assertEqual(copied.requests[0], (DISMISS, {"reason": CLONED}))
        self.assertFalse(copy.ready)
        self.assertEqual((first.lost, again.lost), ([], []))
        self.assertEqual(len(self.links.attached), 2)

    def test_also_if_the_later_one_came_to_this_pod_first(self):
        _, tls = self.door.enrol()
        _, later = self.door.link(tls, instance="2-b")
        earlier, _ = self.door.link(tls, instance="1-a")
        self.assertIn((DISMISS, {"reason": CLONED}), later.requests)
        self.assertEqual([one.instance for one in self.links.attached], ["1-a"])
        self.assertTrue(earlier.ready)

    def test_one_that_was_started_again_replaces_what_is_silent(self):
        _, tls = self.door.enrol()
        self.door.link(tls, instance="1-a")
        self.door.silence()
        after, _ = self.door.link(tls, instance="2-b")
        self.assertEqual([one.instance for one in self.links.attached], ["1-a"])
        self.door.clock.advance(RIVAL_SECONDS)
        self.door.run()
        self.assertEqual([one.instance for one in self.links.attached], ["2-b"])
        self.assertTrue(after.ready)
        self.assertNotIn("cloned", [heard[0] for heard in self.door.hearer.heard])

    def test_one_that_drains_is_no_rival(self):
        _, tls = self.door.enrol()
        before, _ = self.door.link(tls, instance="1-a")
        self.open(self.links.pick(SITE))
        before.drain()
        self.door.run()
        self.door.link(tls, instance="2-b")
        self.assertEqual([one.instance for one in self.links.attached], ["1-a", "2-b"])

    def test_a_connector_holds_so_many_links_and_no_more(self):
        (first, _), (second, _), (third, owner) = self.attach(times=3)
        self.assertEqual((first.ready, second.ready, third.ready), (True, True, False))
        self.assertEqual(len(self.links.attached), 2)
        self.assertEqual(len(owner.lost), 1)

    def test_one_that_is_lost_is_known_at_once_and_for_a_while(self):
        losses = LostConnectors(lambda: self.door.time)
        self.links.listen(losses)
        ((link, _),) = self.attach()
        self.assertEqual(losses.recent(), {})
        link.disconnect("over")
        self.door.run()
        self.assertEqual(losses.recent(), {"con_1": self.door.time})
        self.attach(2)
        self.assertEqual(list(losses.recent()), ["con_1"])
        self.door.time += timedelta(seconds=61)
        self.assertEqual(losses.recent(), {})

    def test_a_deleted_connector_is_not(self):
        _, tls = self.door.enrol()
        self.door.registry.delete("con_1")
        protocol, _ = self.door.link(tls)
        self.assertFalse(protocol.ready)
        self.assertEqual(self.door.hearer.heard, [])

    def test_nor_one_whose_certificate_was_replaced_by_joining_anew(self):
        _, tls = self.door.enrol()
        self.door.registry.create_join_token("con_1", SECRET)
        self.door.registry.redeem_join_token(
            JoinToken(PublicAddress("x", 1), bytes(32), SECRET).secret_hash, "another key"
        )
        protocol, _ = self.door.link(tls)
        self.assertFalse(protocol.ready)

    def test_while_the_store_is_away_nobody_new_comes_in(self):
        _, tls = self.door.enrol()
        self.door.registry.down = RuntimeError("no database")
        protocol, _ = self.door.link(tls)
        self.assertFalse(protocol.ready)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_link_that_is_lost_before_the_store_answers_is_not_attached(self):
        _, tls = self.door.enrol()
        answer = Deferred()
        self.door.registry.active_connector = lambda *_: answer
        protocol, _ = self.door.link(tls)
        protocol.disconnect("bored")
        self.door.run()
        answer.callback(make_connector())
        self.assertEqual(self.door.hearer.heard, [])
        self.assertEqual(self.links.attached, ())

    def test_detached_is_told_once_for_the_last_link(self):
        (first, _), (second, _) = self.attach(times=2)
        first.disconnect("")
        self.door.run()
        self.assertEqual(len(self.door.hearer.heard), 1)
        second.disconnect("")
        self.door.run()
        self.assertEqual(self.door.hearer.heard[1][:2], ("detached", "paris-1"))
        self.assertIsNone(self.picked())
        self.assertIsNone(self.links.health("con_1"))

    def test_a_deleted_connector_is_detached_at_once_with_its_channels(self):
        ((_, owner),) = self.attach()
        user = End()
        self.links.pick(SITE).multiplexer.open_channel(b"direct-tcpip", b"", user)
        self.door.run()
        self.door.registry.delete("con_1")
        self.successResultOf(self.door.attendant.review())
        self.assertIsNone(self.picked())
        self.assertEqual(user.end, (False, REVOKED))
        self.door.run()
        self.assertEqual(self.door.hearer.heard[-1], ("detached", "paris-1", REVOKED))
        self.assertEqual(len(owner.lost), 1)

    def test_a_review_ends_links_of_who_is_gone(self):
        self.attach(1)
        self.attach(2)
        self.door.registry.delete("con_1")
        self.successResultOf(self.door.attendant.review())
        self.door.run()
        self.assertEqual(self.door.hearer.heard[-1], ("detached", "paris-1", REVOKED))
        self.assertEqual(self.picked(), "con_2")

    def test_a_review_ends_links_whose_certificate_has_expired(self):
        self.attach()
        self.door.time += LIFETIME
        self.successResultOf(self.door.attendant.review())
        self.door.run()
        self.assertEqual(
            self.door.hearer.heard[-1],
            ("detached", "paris-1", REVOKED),
        )

    def test_a_review_while_the_store_is_away_ends_nothing(self):
        self.attach()
        self.door.registry.down = RuntimeError("no database")
        self.successResultOf(self.door.attendant.review())
        self.assertEqual(self.picked(), "con_1")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class PickingTests(DoorCase):
    def test_only_within_the_site_and_not_what_was_tried(self):
        self.attach(1)
        self.attach(2, "sit_2")
        self.assertEqual(self.picked(), "con_1")
        self.assertIsNone(self.picked(exclude=frozenset({"con_1"})))

    def test_the_connector_with_the_fewest_channels_then_its_emptiest_link(self):
        self.attach(1, times=2)
        self.attach(2, times=2)
        used = []
        for _ in range(8):
            link = self.links.pick(SITE)
            used.append(link)
            self.open(link)
        self.assertEqual(len(set(used)), 4)
        self.assertEqual({link.load for link in used}, {2})
        self.assertEqual([used[0].connector_id != used[1].connector_id], [True])

    def test_idle_links_take_turns(self):
        self.attach(1, times=2)
        self.assertEqual(len({self.links.pick(SITE) for _ in range(2)}), 2)

    def test_a_connector_that_drains_is_left_alone(self):
        ((protocol, _),) = self.attach(1)
        self.open(self.links.pick(SITE))
        protocol.drain()
        self.door.run()
        self.assertIsNone(self.picked())
        self.assertTrue(self.links.health("con_1").draining)
        self.attach(2)
        self.assertEqual(self.picked(), "con_2")

    def test_a_silent_connector_is_the_last_resort(self):
        self.attach(1)
        self.attach(2)
        self.open(self.links.pick(SITE, exclude=frozenset({"con_1"})))
        self.door.clock.advance(20)
        for link in self.links.of_connector("con_2"):
            link.protocol.dataReceived(b"")
        self.assertEqual(self.picked(), "con_2")
        self.assertEqual(self.picked(exclude=frozenset({"con_2"})), "con_1")

    def test_health(self):
        self.attach(times=2)
        self.open(self.links.pick(SITE))
        self.door.clock.advance(10)
        self.door.run()
        health = self.links.health("con_1")
        self.assertEqual((health.version, health.links, health.channels), ("0.2", 2, 1))
        self.assertEqual((health.draining, health.responsive), (False, True))
        self.assertEqual(health.round_trip, 0)

    def test_draining_the_pod_ends_links_with_their_last_channel(self):
        ((_, owner),) = self.attach()
        self.open(self.links.pick(SITE))
        self.links.drain()
        self.door.run()
        self.assertEqual(owner.lost, [])
        owner.channels[0].close("target: reset")
        self.door.run()
        self.assertEqual(len(owner.lost), 1)


class RenewingTests(DoorCase):
    def setUp(self):
        super().setUp()
        self.key, tls = self.door.enrol()
        self.door.link(tls)
        self.protocol, self.owner = self.door.link(tls)
        self.door.time += LIFETIME * 2 / 3

    def renew(self, csr):
        answers = []
        self.protocol.multiplexer.send_global_request(
            RENEW, b'{"certificate_request": "%s"}' % csr.replace(b"\n", b"\\n"), answers.append
        )
        self.door.run()
        return answers == [b"{}"]

    def test_a_new_certificate_for_the_same_key_keeps_all_links(self):
        self.assertTrue(self.renew(pki.make_request(self.key)))
        name, document = self.owner.requests[-1]
        self.assertEqual(name, RENEW)
        certificate = load_pem_x509_certificate(document["certificate"].encode())
        self.assertEqual(pki.connector_id_of(certificate), "con_1")
        self.assertGreater(certificate.not_valid_after_utc, self.door.time + LIFETIME / 2)
        self.door.time += LIFETIME / 2
        self.successResultOf(self.door.attendant.review())
        self.door.run()
        self.assertEqual(len(self.links.attached), 2)
        self.assertEqual(
            self.door.registry.get("con_1").certificate_serial,
            f"{certificate.serial_number:x}",
        )

    def test_another_key_or_nonsense_is_refused(self):
        self.assertFalse(self.renew(pki.make_request(pki.new_private_key())))
        self.assertFalse(self.renew(b"nonsense"))
        self.assertEqual([name for name, _ in self.owner.requests], [PODS])

    def test_a_certificate_that_can_not_be_recorded_is_not_handed_out(self):
        self.door.registry.down = RuntimeError("no database")
        self.assertTrue(self.renew(pki.make_request(self.key)))
        self.assertEqual([name for name, _ in self.owner.requests], [PODS])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.door.registry.down = None
        self.assertTrue(self.renew(pki.make_request(self.key)))
        self.assertEqual([name for name, _ in self.owner.requests], [PODS, RENEW])

    def test_renewals_are_granted_only_so_often(self):
        self.assertTrue(self.renew(pki.make_request(self.key)))
        self.assertFalse(self.renew(pki.make_request(self.key)))
        self.door.time += LIFETIME / 10
        self.assertTrue(self.renew(pki.make_request(self.key)))


class JoiningTests(DoorCase):
    def setUp(self):
        super().setUp()
        self.door.registry.create(make_connector())
        self.door.registry.create_join_token("con_1", SECRET)

    def join(self, csr, secret=SECRET):
        token = JoinToken(PublicAddress("pod.example", 8443), AUTHORITY.pin, secret)
        request = JoinRequest(secret=secret.hex(), certificate_request=csr.decode(), version="1")
        client = JoinClient(token, request, lambda: self.door.time)
        self.door.connect(JoinTLS(), client)
        return client.answered

    def problem(self, joining):
        return self.failureResultOf(joining, JoinRefused).value.problem

    def test_gives_a_certificate_that_a_link_takes(self):
        key = pki.new_private_key()
        granted, ca = self.successResultOf(self.join(pki.make_request(key)))
        self.assertEqual((granted.connector_id, granted.pods), ("con_1", ("pod.example:8443",)))
        self.assertEqual(ca, AUTHORITY.certificate_pem)
        self.door.link(LinkTLS(ca, granted.certificate.encode(), key))
        self.assertEqual(self.picked(), "con_1")

    def test_again_with_the_same_key_is_the_same_connector(self):
        csr = pki.make_request(pki.new_private_key())
        answers = [self.successResultOf(self.join(csr))[0] for _ in range(2)]
        self.assertEqual([answer.connector_id for answer in answers], ["con_1", "con_1"])

    def test_again_with_another_key_is_refused(self):
        self.successResultOf(self.join(pki.make_request(pki.new_private_key())))
        self.assertEqual(
            self.problem(self.join(pki.make_request(pki.new_private_key()))), JoinProblem.USED
        )

    def test_unknown_expired_and_bad(self):
        csr = pki.make_request(pki.new_private_key())
        self.assertEqual(self.problem(self.join(csr, bytes(20))), JoinProblem.UNKNOWN)
        self.assertEqual(self.problem(self.join(b"nonsense")), JoinProblem.BAD_REQUEST)
        self.door.time += timedelta(hours=25)
        self.assertEqual(self.problem(self.join(csr)), JoinProblem.EXPIRED)

    def test_while_the_store_is_away(self):
        self.door.registry.down = RuntimeError("no database")
        joining = self.join(pki.make_request(pki.new_private_key()))
        self.assertEqual(self.problem(joining), JoinProblem.UNAVAILABLE)
        self.flushLoggedErrors(RuntimeError)


@implementer(IHandshakeListener)
class Silent(Protocol):
    lost = False

    def handshakeCompleted(self):
        self.completed = True

    def connectionLost(self, reason):
        self.lost = True


class DoorTests(DoorCase):
    def test_who_offers_no_protocol_of_ours_is_dropped(self):
        visitor = Silent()
        self.door.connect(AnyClient(), visitor)
        self.assertTrue(visitor.completed)
        self.assertTrue(visitor.lost)

    def test_a_link_without_a_certificate_is_dropped(self):
        visitor = Silent()
        client = AnyClient(lambda context: context.set_alpn_protos([b"tunnelcloud-link/1"]))
        self.door.connect(client, visitor)
        self.assertTrue(visitor.lost)
        self.assertEqual(self.door.hearer.heard, [])

    def test_who_dawdles_is_dropped(self):
        _, tls = self.door.enrol()
        for creator, limit in ((JoinTLS(), DOOR_TIMEOUT), (tls, HANDSHAKE_TIMEOUT)):
            visitor = Silent()
            self.door.connect(creator, visitor)
            self.door.clock.advance(limit - 0.1)
            self.door.run()
            self.assertFalse(visitor.lost)
            self.door.clock.advance(0.1)
            self.door.run()
            self.assertTrue(visitor.lost)

    def test_only_so_many_stand_in_the_door(self):
        visitors = [Silent() for _ in range(MAX_IN_DOOR)]
        creator = JoinTLS()
        for visitor in visitors:
            self.door.connect(creator, visitor)
        self.assertIsNone(self.door.connect(creator, Silent()))
        self.door.clock.advance(DOOR_TIMEOUT)
        self.door.run()
        self.assertIsNotNone(self.door.connect(creator, Silent()))

    def test_a_crowd_keeps_no_other_out(self):
        crowd = [Silent() for _ in range(MAX_IN_DOOR)]
        for visitor in crowd:
            self.door.connect(JoinTLS(), visitor)
        other = Silent()
        self.assertIsNotNone(self.door.connect(JoinTLS(), other, host="192.0.2.2"))
        self.assertIsNone(self.door.connect(JoinTLS(), Silent()))
        self.assertEqual([visitor.lost for visitor in crowd[:2]], [True, False])
        self.assertFalse(other.lost)


class DoorFloodTests(DoorCase):
    """Flood control is the SSH front door's: by source, with penalties that time takes off."""

    def setUp(self):
        self.door = Door(door_limits(40))
        self.links = self.door.links

    def is_let_in(self, host="192.0.2.1"):
        return self.door.connect(JoinTLS(), Silent(), host=host) is not None

    def join(self, secret, host="192.0.2.1"):
        csr = pki.make_request(pki.new_private_key())
        token = JoinToken(PublicAddress("pod.example", 8443), AUTHORITY.pin, secret)
        request = JoinRequest(secret=secret.hex(), certificate_request=csr.decode(), version="1")
        client = JoinClient(token, request, lambda: self.door.time)
        self.door.connect(JoinTLS(), client, host=host)
        return client.answered

    def test_one_source_holds_a_quarter(self):
        self.assertEqual([self.is_let_in() for _ in range(11)], [True] * 10 + [False])
        self.assertTrue(self.is_let_in("192.0.3.1"))
        self.door.clock.advance(DOOR_TIMEOUT)
        self.door.run()
        self.assertTrue(self.is_let_in())

    def test_links_do_not_count(self):
        """A site has as many as it likes behind one address."""
        for number in range(1, 16):
            self.attach(number)
        self.assertEqual(self.door.flood.counters()["starting"], 0)
        self.assertEqual(self.door.flood.counters()["authenticated"], 15)

    def test_guessed_join_tokens(self):
        """They shut their source out for a time, and nobody else."""
        for number in range(4):
            joining = self.join(bytes([number] * 20))
            self.assertEqual(self.failureResultOf(joining).value.problem, JoinProblem.UNKNOWN)
        self.assertFalse(self.is_let_in())
        self.assertTrue(self.is_let_in("192.0.3.1"))
        self.door.clock.advance(6)
        self.assertTrue(self.is_let_in())

    def test_no_certificate_and_no_tls(self):
        """Who shows no connector's certificate is punished, too; who says nothing isn't."""
        client = AnyClient(lambda context: context.set_alpn_protos([b"tunnelcloud-link/1"]))
        for _ in range(4):
            self.door.connect(client, Silent())
        self.assertFalse(self.is_let_in())
        self.assertEqual(self.door.flood.counters()["starting"], 0)
        for garbage, offences in ((b"", 0), (b"GET / HTTP/1.1\r\n\r\n", 1)):
            before = self.door.flood.counters()["offences"]
            server = self.door.factory.buildProtocol(IPv4Address("TCP", "192.0.3.1", 1))
            server.makeConnection(iosim.FakeTransport(server, True))
            if garbage:
                server.dataReceived(garbage)
            server.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(self.door.flood.counters()["offences"] - before, offences)
        self.assertEqual(self.door.flood.counters()["starting"], 0)
