"""A user waits for their own, and for nobody else's."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.places_of_users import PlacesOfUsers

MOST = 3


class PlacesTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.users = PlacesOfUsers(self.clock, MOST)
        self.begun = []

    def begin(self, user_id):
        """Begin a request, which lasts until what is kept in ``begun`` fires."""

        async def work():
            lasting = Deferred()
            self.begun.append(lasting)
            return await lasting

        return Deferred.fromCoroutine(self.users.run(user_id, work))

    def test_a_user_waits_for_their_own(self):
        asked = [self.begin("alice") for _ in range(MOST + 2)]
        self.assertEqual(len(self.begun), MOST)
        self.begin("bob")
        self.assertEqual(len(self.begun), MOST + 1)
        self.begun[0].callback("a page")
        self.assertEqual(self.successResultOf(asked[0]), "a page")
        self.assertEqual(len(self.begun), MOST + 1, "the reactor turns before")
        self.clock.advance(0)
        self.assertEqual(len(self.begun), MOST + 2)
        self.begun[1].errback(ValueError())
        self.failureResultOf(asked[1], ValueError)
        self.clock.advance(0)
        self.assertEqual(len(self.begun), MOST + 3)

    def test_who_comes_while_a_place_is_passed_on_is_behind(self):
        for _ in range(MOST):
            self.begin("alice")
        first = self.begin("alice")
        self.begun[0].callback(None)
        second = self.begin("alice")
        self.clock.advance(0)
        self.begun[-1].callback("first")
        self.assertEqual(self.successResultOf(first), "first")
        self.assertNoResult(second)

    def test_who_gives_up_waits_no_more(self):
        """Also between the end of a request and the next one's beginning."""
        for _ in range(MOST):
            self.begin("alice")
        early, late = self.begin("alice"), self.begin("alice")
        early.cancel()
        self.failureResultOf(early, CancelledError)
        self.begun[0].callback(None)
        late.cancel()
        self.failureResultOf(late, CancelledError)
        self.clock.advance(0)
        self.assertEqual(len(self.begun), MOST)
        self.begin("alice")
        self.assertEqual(len(self.begun), MOST + 1)

    def test_nothing_is_kept_of_who_is_done(self):
        asked = [self.begin("alice") for _ in range(3 * MOST)]
        for number in range(len(asked)):
            self.begun[number].callback(None)
            self.clock.advance(0)
        for one in asked:
            self.successResultOf(one)
        self.assertEqual((self.users._counts, self.users._waiting), ({}, {}))

    def test_what_was_made_may_last_longer(self):
        lasts = Deferred()

        async def work():
            return "a list"

        made = Deferred.fromCoroutine(self.users.run("alice", work, lambda _: lasts))
        self.assertEqual(self.successResultOf(made), "a list")
        self.assertEqual(self.users._counts, {"alice": 1})
        lasts.callback(None)
        self.assertEqual(self.users._counts, {})
