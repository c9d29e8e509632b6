from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import grant, policy, tunnel, view
from tests.pod.fakes import World
from tunnelcloud.pod.list_cache import KEPT_SECONDS, WORTH_KEEPING, Listings


def many(**conditions):
    return view(
        *(
            grant(tunnel(f"t{number}", f"10.0.0.{number}"), policies=(policy(**conditions),))
            for number in range(WORTH_KEEPING)
        )
    )


class ListingsTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.listings = Listings(self.clock)
        self.made = []
        self.view = many()

    def make(self):
        self.made.append(Deferred())
        return self.made[-1]

    def get(self, one=None, kind="k"):
        return self.listings.get(one or self.view, kind, self.make)

    def test_made_once_for_who_ask_together_and_soon(self):
        answers = [self.get(), self.get()]
        self.made[0].callback(["rows"])
        answers.append(self.get())
        self.assertEqual([self.successResultOf(one) for one in answers], [["rows"]] * 3)
        self.assertEqual(len(self.made), 1)
        self.clock.advance(KEPT_SECONDS)
        self.get()
        self.assertEqual(len(self.made), 2)

    def test_not_for_another_view_or_another_kind_of_session(self):
        self.get()
        self.get(kind="other")
        self.get(many())
        self.assertEqual(len(self.made), 3)

    def test_a_failure_is_not_kept(self):
        answer = self.get()
        self.made[0].errback(ZeroDivisionError())
        self.failureResultOf(answer, ZeroDivisionError)
        self.get()
        self.assertEqual(len(self.made), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_leaves_takes_nothing_from_others(self):
        gone, stays = self.get(), self.get()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.made[0].callback(["rows"])
        self.assertEqual(self.successResultOf(stays), ["rows"])

    def test_nobody_waits_for_what_is_stopped_then(self):
        """A client that has left keeps nobody's turn."""
        first, second = self.get(), self.get()
        first.cancel()
        self.assertFalse(self.made[0].called)
        second.cancel()
        self.failureResultOf(first, CancelledError)
        self.failureResultOf(second, CancelledError)
        self.assertTrue(self.made[0].called)
        again = self.get()
        self.made[1].callback(["rows"])
        self.assertEqual(self.successResultOf(again), ["rows"])

    def test_few_rows_are_made_anew(self):
        few = view(grant(tunnel()))
        self.listings.get(few, "k", lambda: succeed(["old"]))
        rows = self.listings.get(few, "k", lambda: succeed(["new"]))
        self.assertEqual(self.successResultOf(rows), ["new"])


class SessionListingsTests(SynchronousTestCase):
    def rows_of_two(self, one):
        world = World(one)
        other = world.sessions.begin(evolve(world.session, id="ses_2"))
        return [self.successResultOf(live.information.tunnels()) for live in (world.live, other)]

    def test_shared_where_no_policy_asks_of_the_session(self):
        first, second = self.rows_of_two(many())
        self.assertIs(first, second)
        first, second = self.rows_of_two(many(max_session_seconds=60))
        self.assertIsNot(first, second)
