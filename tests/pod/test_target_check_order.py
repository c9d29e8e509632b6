"""Sites take turns with the checks of their targets."""

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import tunnel as make_tunnel
from tunnelcloud.pod.target_check_order import AT_ONCE, QUICK_SECONDS, CheckOrder


class CheckOrderTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.begun, self.under_way = [], {}
        self.at_once = False
        self.turns = CheckOrder(self.clock, self.begin)

    def begin(self, tunnel):
        self.begun.append(tunnel.name)
        done = self.under_way[tunnel.name] = Deferred()
        if self.at_once:
            self.end(tunnel.name)
        return done

    def end(self, name):
        self.under_way.pop(name).callback(None)

    def add(self, site, number, **options):
        name = f"{site}{number}"
        one = evolve(make_tunnel(name), id=name, site_id=site)
        self.turns.add(one, **options)

    def took(self):
        begun, self.begun = self.begun, []
        return begun

    def test_a_site_that_never_answers_holds_up_no_other(self):
        for number in range(1000):
            self.add("hung", number)
        for number in range(50):
            self.add("well", number)
        self.assertEqual(len(self.took()), AT_ONCE)
        self.clock.advance(QUICK_SECONDS)
        for number in range(50):
            self.assertIn(f"well{number}", self.under_way)
            self.end(f"well{number}")
        self.assertEqual(len(self.took()), 50)
        self.assertEqual(len(self.under_way), AT_ONCE, "of the one that doesn't answer")

    def test_few_begin_at_a_time_however_many_sites_there_are(self):
        for site in range(100):
            self.add(f"site{site}-", 1)
        self.assertEqual(len(self.took()), AT_ONCE)
        self.end("site0-1")
        self.assertEqual(self.took(), [f"site{AT_ONCE}-1"])

    def test_those_that_end_at_once(self):
        self.at_once = True
        for number in range(3000):
            self.add("a", number)
        self.assertEqual(len(self.took()), 3000)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sites_take_turns(self):
        for number in range(AT_ONCE):
            self.add("first", number)
        for number in range(2):
            self.add("a", number)
            self.add("b", number)
        self.took()
        for number in range(AT_ONCE):
            self.end(f"first{number}")
        self.assertEqual(self.took(), ["a0", "b0", "a1", "b1"])

    def test_what_waits_is_checked_once_as_it_is_then(self):
        for number in range(AT_ONCE + 1):
            self.add("a", number)
        self.add("a", AT_ONCE)
        self.add("a", 9, first=True)
        self.add("a", 8)
        self.turns.keep({f"a{AT_ONCE}", "a9"})
        for number in range(AT_ONCE):
            self.end(f"a{number}")
        self.assertEqual(self.took()[AT_ONCE:], ["a9", f"a{AT_ONCE}"])
