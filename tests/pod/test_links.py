from datetime import timedelta

from twisted.internet.defer import Deferred

from tests.channels.wires import End
from tests.pod.connectors import LIFETIME, SITE, DoorCase
from tests.pod.registries import SECRET, make_connector
from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.requests import DISMISS, PODS
from tunnelcloud.pod.link_owner import CLONED, LINKS_AT_ONCE, RIVAL_SECONDS
from tunnelcloud.pod.links import AttachedLink
from tunnelcloud.pod.lost_connectors import LostConnectors

REVOKED = "the connector was deleted, or its certificate revoked or expired"


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

    def test_one_that_comes_and_goes_without_end_is_kept_out_for_a_time(self):
        """Each time costs the pod a handshake, rows of the audit and lines of the log."""
        _, tls = self.door.enrol()
        self.attach(2)
        for _ in range(LINKS_AT_ONCE * 2 + 20):
            link, _ = self.door.link(tls)
            link.disconnect("over")
            self.door.run()
        heard = [what for what, name, _ in self.door.hearer.heard if name == "paris-1"]
        self.assertEqual(heard.count("attached"), 2 * LINKS_AT_ONCE)
        self.assertEqual(len(self.links.attached), 1)
        self.door.clock.advance(600)
        self.assertTrue(self.door.link(tls)[0].ready)

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
        self.door.registry.active_connectors = lambda keys: answer.addCallback(
            lambda connector: dict.fromkeys(keys, connector)
        )
        protocol, _ = self.door.link(tls)
        protocol.disconnect("bored")
        self.door.run()
        answer.callback(make_connector())
        self.assertEqual(self.door.hearer.heard, [])
        self.assertEqual(self.links.attached, ())

    def test_one_that_is_revoked_while_it_is_looked_up_is_not_attached(self):
        _, tls = self.door.enrol()
        ask, waiting = self.door.registry.active_connectors, []

        def ask_and_wait(keys):
            found = self.successResultOf(ask(keys))
            waiting.append((Deferred(), found))
            return waiting[-1][0]

        self.door.registry.active_connectors = ask_and_wait
        protocol, owner = self.door.link(tls)
        self.door.registry.delete("con_1")
        self.door.attendant.review({"con_1"})
        for _ in range(2):
            answer, found = waiting.pop(0)
            answer.callback(found)
            self.door.run()
        self.assertFalse(protocol.ready)
        self.assertEqual(owner.requests, [(DISMISS, {"reason": REVOKED})])
        self.assertEqual(self.links.attached, ())

    def test_nor_one_that_is_revoked_while_an_earlier_process_is_waited_for(self):
        _, tls = self.door.enrol()
        self.door.link(tls, instance="1-a")
        self.door.silence()
        after, _ = self.door.link(tls, instance="2-b")
        self.door.registry.delete("con_1")
        self.successResultOf(self.door.attendant.review({"con_1"}))
        self.door.clock.advance(RIVAL_SECONDS)
        self.door.run()
        self.assertFalse(after.ready)
        self.assertNotIn("2-b", [one.instance for one in self.links.attached])

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

    def test_links_that_end_while_another_thread_reads_their_health(self):
        """Long lists of connectors are shown away from the reactor."""
        self.attach(times=2)
        real = AttachedLink.load.fget

        def load(link):
            self.links.remove(link.protocol, "over")
            return real(link)

        self.patch(AttachedLink, "load", property(load))
        self.assertEqual(self.links.health("con_1").links, 2)
        self.assertIsNone(self.links.health("con_1"))

    def test_draining_the_pod_ends_links_with_their_last_channel(self):
        ((_, owner),) = self.attach()
        self.open(self.links.pick(SITE))
        self.links.drain()
        self.door.run()
        self.assertEqual(owner.lost, [])
        owner.channels[0].close("target: reset")
        self.door.run()
        self.assertEqual(len(owner.lost), 1)
