"""SSH logins that are confirmed in a browser: who is offered a link, and what comes of it."""

from attrs import evolve
from twisted.internet.task import Clock

from tests.pod.test_login_attempts import SEAT, LoginWorld
from tests.store.databases import SQLiteCase
from tunnelcloud.domain.entities import Method
from tunnelcloud.pod import browser_logins as module
from tunnelcloud.pod import logins
from tunnelcloud.pod.browser_logins import BrowserLogins
from tunnelcloud.pod.login_attempts import Access
from tunnelcloud.ssh.interfaces import BrowserOffer, LoginAttempt, LoginRefused
from tunnelcloud.store import (
    assignments,
    audit,
    browser_logins,
    device_logins,
    sessions,
    user_views,
    users,
)
from tunnelcloud.store.asynchronous import AsyncStore

ATTEMPT = LoginAttempt(b"alice", "192.0.2.1", 50000, "OpenSSH_9.2")


class BrowserLoginTests(LoginWorld, SQLiteCase):
    def setUp(self):
        super().setUp()
        self.time = Clock()
        self.drained = ""
        self.browsers = BrowserLogins(
            AsyncStore(self.store, self.reactor), self.time, "https://portal.example.com"
        )
        self.access = Access(
            AsyncStore(self.store, self.reactor),
            SEAT.pod_id,
            self.views,
            self.ring,
            lambda user_id: self.room,
            lambda: self.drained,
            browsers=self.browsers,
        )

    def settle(self):
        """Let the store answer what it was asked."""
        self.reactor.run_one()

    def offered(self, attempt=ATTEMPT):
        """Offer a link, and wait for so long that it is written down."""
        offer = self.access.offer_browser(attempt)
        self.time.advance(1)
        self.settle()
        return offer

    def code(self, offer):
        return offer.url.rpartition("/")[2]

    def decide(self, offer, allowed=True, user=None):
        user = user or self.world.alice
        return self.store.write(browser_logins.decide, self.code(offer), user.id, allowed=allowed)

    def answer(self, offer, attempt=ATTEMPT):
        """Press Return; give what comes of it so far."""
        outcome = []
        self.access.login_by_browser(attempt, offer).addBoth(outcome.append)
        return outcome

    def log_in_by(self, offer, attempt=ATTEMPT):
        outcome = self.answer(offer, attempt)
        while not outcome:
            self.settle()
        return outcome[0]

    def refusal(self, failure):
        failure.trap(LoginRefused)
        self.assertFalse(failure.value.offence)
        return failure.value.text

    def test_it_is_confirmed_and_logs_this_one_session_in(self):
        offer = self.offered()
        self.assertRegex(offer.url, r"^https://portal\.example\.com/l/[A-Z]{4}-[A-Z]{4}$")
        found = self.store.read(browser_logins.find, self.code(offer))
        self.assertEqual(
            (found.client, found.source_ip, found.login_name), ("OpenSSH_9.2", "192.0.2.1", "alice")
        )
        self.assertTrue(self.decide(offer))
        session = self.store.read(sessions.get, self.log_in_by(offer))
        self.assertEqual((session.method, session.user_id), ("browser", self.world.alice.id))
        self.assertIs(session.method.opens, Method.TOKEN)
        (event,) = self.store.read(audit.list_page, event="login.succeeded").items
        self.assertEqual(event.event.data["method"], "browser")
        (event,) = self.store.read(audit.list_page, event="browser_login.allowed").items
        self.assertEqual((event.event.user_name, event.event.data["from"]), ("alice", "192.0.2.1"))

    def test_it_is_good_once(self):
        offer = self.offered()
        self.decide(offer)
        self.assertIsInstance(self.log_in_by(offer), str)
        self.assertIn("refused in the browser", self.refusal(self.log_in_by(offer)))

    def test_return_may_come_before_the_confirmation(self):
        offer = self.offered()
        outcome = self.answer(offer)
        self.settle()
        self.assertEqual(outcome, [])
        self.decide(offer)
        self.time.advance(1)
        while not outcome:
            self.settle()
        self.assertIsInstance(outcome[0], str)

    def test_it_is_waited_for_a_while_only(self):
        offer = self.offered()
        outcome = self.answer(offer)
        for _ in range(21):
            self.settle()
            self.time.advance(1)
        self.assertIn("not confirmed yet", self.refusal(outcome[0]))
        self.decide(offer)
        self.assertIsInstance(self.log_in_by(offer), str)

    def test_a_pod_that_is_drained_meanwhile_takes_none(self):
        offer = self.offered()
        outcome = self.answer(offer)
        self.settle()
        self.decide(offer)
        self.drained = "this pod is drained"
        self.time.advance(1)
        while not outcome:
            self.settle()
        self.assertEqual(self.refusal(outcome[0]), "this pod is drained")

    def test_it_is_refused(self):
        offer = self.offered()
        self.decide(offer, allowed=False)
        self.assertIn("refused in the browser", self.refusal(self.log_in_by(offer)))
        self.assertFalse(self.decide(offer))
        self.assertEqual(
            len(self.store.read(audit.list_page, event="browser_login.denied").items), 1
        )

    def test_a_tool_that_answers_with_nothing_at_once_is_not_kept(self):
        offer = self.access.offer_browser(ATTEMPT)
        (outcome,) = self.answer(offer)
        self.assertEqual(self.refusal(outcome), "")

    def test_nothing_is_written_for_who_answers_with_a_token(self):
        self.access.withdraw_browser(self.access.offer_browser(ATTEMPT))
        self.assertEqual(self.time.getDelayedCalls(), [])

    def test_what_was_confirmed_is_what_logs_in(self):
        """Neither another name, nor anything else that the page showed, may stand in its place."""
        narrow = evolve(ATTEMPT, login_name=b"tcptunnel@db")
        for change in (
            {"login_name": b"tcptunnel"},
            {"login_name": b"alice"},
            {"client_version": "OpenSSH_9.9"},
            {"source": "192.0.2.2"},
        ):
            with self.subTest(change):
                offer = self.offered(narrow)
                self.decide(offer)
                attempt = evolve(narrow, **change)
                self.assertIn("this link has expired", self.refusal(self.log_in_by(offer, attempt)))
                verdict = self.judged(offer, attempt)
                self.assertIn("another login than was confirmed", verdict.reason)
                session = self.store.read(sessions.get, self.log_in_by(offer, narrow))
                self.assertEqual(session.tunnel_id, self.world.tunnel.id)

    def judged(self, offer, attempt):
        """Judge a login in the transaction alone, without what the pod remembers."""
        rules = logins.Rules(SEAT.pod_id, lambda user_id: True, records=True)
        view = self.store.read(user_views.load_view, self.world.alice.id)
        return self.store.write(logins.login_by_browser, attempt, rules, offer.secret_hash, view)

    def test_a_name_that_the_page_could_not_show_in_full(self):
        """What looks like a secret is hidden there, so nobody can have confirmed it."""
        attempt = evolve(ATTEMPT, login_name=b"tcptunnel@abcdefghijklmnopqrstuvwxyz")
        offer = self.offered(attempt)
        self.decide(offer)
        self.assertIn("another login than was confirmed", self.judged(offer, attempt).reason)

    def test_another_name_is_another_offer(self):
        offer = self.offered()
        self.assertIs(self.access.offer_browser(ATTEMPT, offer), offer)
        other = self.access.offer_browser(evolve(ATTEMPT, login_name=b"tcptunnel"), offer)
        self.assertNotEqual(other.url, offer.url)
        self.settle()
        self.assertIn("this link has expired", self.refusal(self.log_in_by(offer)))

    def test_somebody_else_confirms_it(self):
        """It was sent to bob, who confirms what says that it is alice."""
        bob = self.store.read(users.find, "bob")
        offer = self.offered()
        self.decide(offer, user=bob)
        self.assertIn("can open nothing", self.refusal(self.log_in_by(offer)))
        (event,) = self.store.read(audit.list_page, event="login.refused").items
        self.assertEqual(event.event.data["method"], "browser")

    def test_who_is_blocked_or_has_nothing(self):
        attempt = evolve(ATTEMPT, login_name=b"tcptunnel")
        bob = self.store.read(users.find, "bob")
        offer = self.offered(attempt)
        self.decide(offer, user=bob)
        self.assertIn("can open nothing", self.refusal(self.log_in_by(offer, attempt)))
        offer = self.offered()
        self.decide(offer)
        self.store.write(users.update, self.world.alice.id, {"blocked": True})
        self.assertIn("refused in the browser", self.refusal(self.log_in_by(offer)))

    def test_keys_alone_are_not_enough(self):
        self.store.write(assignments.update, self.world.assignment.id, {"methods": {Method.KEY}})
        offer = self.offered()
        self.decide(offer)
        self.assertIn("can open nothing", self.refusal(self.log_in_by(offer)))

    def test_another_users_name_is_no_oracle(self):
        """Whoever is named, there is a link; nothing is asked of the store before."""
        for name in (b"alice", b"nobody", b"\x00\xff", b"x" * 70_000):
            self.assertIsNotNone(self.access.offer_browser(evolve(ATTEMPT, login_name=name)))

    def test_a_token_for_a_name_is_not_kept(self):
        secret = b"abcdefghijklmnopqrstuvwxyz"[:26].replace(b"0", b"a")
        offer = self.offered(evolve(ATTEMPT, login_name=secret))
        found = self.store.read(browser_logins.find, self.code(offer))
        self.assertNotIn(secret.decode(), found.login_name)

    def test_a_command_line_is_not_confirmed_here_nor_this_there(self):
        offer = self.offered()
        code = self.code(offer)
        self.assertIsNone(self.store.read(device_logins.find, code))
        alice = self.world.alice.id
        self.assertFalse(self.store.write(device_logins.decide, code, alice, allowed=True))
        self.assertIsNotNone(self.store.read(browser_logins.find, code))

    def test_it_ends_after_its_time(self):
        offer = self.offered()
        self.clock.advance(browser_logins.LIFETIME_SECONDS + 1)
        self.assertFalse(self.decide(offer))
        self.assertIn("nobody confirmed it in time", self.refusal(self.log_in_by(offer)))


class RoomTests(LoginWorld, SQLiteCase):
    """What a stranger may cause is bounded, and others have theirs."""

    def setUp(self):
        super().setUp()
        self.time = Clock()
        store = AsyncStore(self.store, self.reactor)
        self.browsers = BrowserLogins(store, self.time, "https://portal.example.com")

    def offer(self, source="192.0.2.1"):
        return self.browsers.offer(evolve(ATTEMPT, source=source))

    def test_of_a_source(self):
        offers = [self.offer() for _ in range(module.MOST_OF_A_SOURCE)]
        self.assertNotIn(None, offers)
        self.assertIsNone(self.offer())
        self.assertIsNotNone(self.offer("198.51.100.1"))
        self.browsers.withdraw(offers[0])
        self.browsers.withdraw(offers[0])
        self.assertIsNotNone(self.offer())
        self.assertIsNone(self.offer())

    def test_of_all(self):
        offers = [self.offer(f"10.0.{net}.1") for net in range(module.MOST_WAITING)]
        self.assertNotIn(None, offers)
        self.assertIsNone(self.offer("10.1.0.1"))
        for offer in offers:
            self.browsers.withdraw(offer)
        more = module.MOST_A_MINUTE - module.MOST_WAITING
        self.assertNotIn(None, [self.offer(f"10.2.{net}.1") for net in range(more)])
        self.assertIsNone(self.offer("10.1.0.1"), "so many in a minute are enough")
        self.time.advance(60)
        self.assertIsNotNone(self.offer("10.1.0.1"))

    def come_and_go(self, source, rounds=module.MOST_A_MINUTE + 10):
        """Ask for links and give each back; tell how many there were."""
        offers = [self.offer(source) for _ in range(rounds) if not self.give_back()]
        return sum(offer is not None for offer in offers)

    def give_back(self):
        for secret_hash in list(self.browsers._waiting):
            self.browsers.withdraw(BrowserOffer("", secret_hash))

    def test_who_comes_and_goes_uses_up_nobody_elses_minute(self):
        self.assertEqual(self.come_and_go("10.0.0.1"), module.MOST_A_MINUTE)
        self.assertIsNotNone(self.offer("10.1.0.1"))

    def test_all_together_have_few_more_in_a_minute(self):
        """Room that is made for others is room for a fair share only."""
        offers = sum(self.come_and_go(f"10.0.{number % 8}.1", 40) for number in range(40))
        self.assertLess(offers, 3 * module.MOST_A_MINUTE)
        self.time.advance(60)
        self.offer()
        self.assertEqual(len(self.browsers._minute), 1)

    def test_the_source_with_the_most_makes_room(self):
        full, each = module.MOST_WAITING, module.MOST_OF_A_SOURCE
        offers = [self.offer(f"10.0.{number // each}.1") for number in range(full)]
        self.assertNotIn(None, offers)
        self.assertIsNotNone(self.offer("10.1.0.1"))
        self.assertEqual([one for one in offers if self.is_over(one)], [offers[0]])
        self.assertNotIn(None, [self.offer(f"10.1.{net}.1") for net in range(1, 20)])

    def is_over(self, offer):
        """Tell whether a link leads nowhere, as its connection hears."""
        waiting = self.browsers._waiting.get(offer.secret_hash)
        outcome = []
        asked = self.browsers.confirmed(waiting.attempt if waiting else ATTEMPT, offer)
        asked.addBoth(outcome.append)
        return [failure.value.text for failure in outcome] == [module.OVER]

    def test_what_is_held_fairly_is_kept(self):
        offers = [self.offer(f"10.0.{net}.1") for net in range(module.MOST_WAITING)]
        self.assertIsNone(self.offer("10.1.0.1"))
        self.assertEqual([one for one in offers if self.is_over(one)], [])

    def test_the_networks_of_one_site_are_one(self):
        """Whoever has many networks of IPv6 doesn't count as many."""
        for net in range(module.MOST_WAITING):
            self.assertIsNotNone(self.offer(f"2001:db8:0:{net:x}::1"))
        self.assertIsNotNone(self.offer("10.1.0.1"))

    def written(self, offer):
        return self.store.read(browser_logins.find, offer.url.rpartition("/")[2])

    def wait_a_second(self, answers=1):
        self.time.advance(1)
        self.settle(answers)

    def settle(self, answers=1):
        for _ in range(answers):
            self.reactor.run_one()

    def test_whoever_leaves_takes_no_room_of_those_who_come(self):
        """An office behind one address."""
        for number in range(browser_logins.MAX_OF_A_SOURCE + 1):
            if not number % 20:
                self.time.advance(60)
            offer = self.offer()
            self.wait_a_second()
            self.assertIsNotNone(self.written(offer))
            self.browsers.withdraw(offer)
            self.settle()
            self.assertIsNone(self.written(offer))

    def test_who_leaves_while_it_is_written(self):
        offer = self.offer()
        self.time.advance(1)
        self.browsers.withdraw(offer)
        self.settle(answers=2)
        self.assertIsNone(self.written(offer))

    def test_a_link_that_could_not_be_kept_is_over(self):
        """Other pods have what the source may have: the next prompt has another link, or none."""
        self.patch(browser_logins, "MAX_OF_A_SOURCE", 1)
        offers = [self.offer(), self.offer()]
        self.wait_a_second(answers=2)
        kept, over = sorted(offers, key=self.is_over)
        self.assertIsNotNone(self.written(kept))
        self.assertTrue(self.is_over(over))
        self.assertNotEqual(self.browsers.offer(ATTEMPT, over).url, over.url)

    def test_no_portal_no_link(self):
        store = AsyncStore(self.store, self.reactor)
        self.assertIsNone(BrowserLogins(store, self.time, "").offer(ATTEMPT))
