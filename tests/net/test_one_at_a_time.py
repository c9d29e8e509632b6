"""One piece of work at a time; nobody waits for all that another one asks for."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.one_at_a_time import OneAtATime


class OneAtATimeTests(SynchronousTestCase):
    def setUp(self):
        self.place = OneAtATime()
        self.begun, self.working = [], []
        self.addCleanup(self.finish)

    def finish(self):
        """Let all work end, one after the other."""
        for one in self.working:
            if not one.called:
                one.callback(None)

    def ask(self, source):
        async def work():
            self.begun.append(source)
            self.working.append(Deferred())
            return await self.working[-1]

        return Deferred.fromCoroutine(self.place.run(source, work))

    def test_sources_take_turns(self):
        many = [self.ask("many") for _ in range(5)]
        one = self.ask("one")
        self.assertEqual(self.begun, ["many"])
        self.working[-1].callback("first")
        self.assertEqual(self.successResultOf(many[0]), "first")
        self.working[-1].callback("second")
        self.working[-1].callback("third")
        self.assertEqual(self.successResultOf(one), "third")
        self.assertEqual(self.begun, ["many", "many", "one", "many"])

    def test_what_fails_or_is_given_up_holds_nobody_up(self):
        failing, waiting, last = self.ask("a"), self.ask("b"), self.ask("c")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.working[-1].errback(ValueError())
        self.failureResultOf(failing, ValueError)
        self.assertEqual(self.begun, ["a", "c"])
        last.cancel()
        self.failureResultOf(last, CancelledError)
        self.ask("d")
        self.assertEqual(self.begun, ["a", "c", "d"])
