"""Who causes much work makes room for who causes little."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.fair_work import FairWork, TooMuchWork


class FairWorkTests(SynchronousTestCase):
    def setUp(self):
        self.work = FairWork(4)

    def begin(self, source):
        """Begin what lasts until its Deferred fires; give that, and what the causer waits for."""
        inner = Deferred()

        async def last():
            return await inner

        return inner, Deferred.fromCoroutine(self.work.run(source, last()))

    def test_one_source_takes_no_others_place(self):
        mine = [self.begin("192.0.2.1") for _ in range(4)]
        self.failureResultOf(self.begin("192.0.2.1")[1], TooMuchWork)
        other, waiting = self.begin("192.0.2.2")
        self.failureResultOf(mine[0][1], TooMuchWork)
        self.assertTrue(mine[0][0].called, "the work itself is given up")
        self.assertEqual(len(self.work), 4)
        other.callback("done")
        self.assertEqual(self.successResultOf(waiting), "done")
        for inner, waits in mine[1:]:
            inner.errback(ValueError())
            self.failureResultOf(waits, ValueError)
        self.assertEqual(len(self.work), 0)

    def test_who_waits_no_more_makes_room(self):
        _, waiting = self.begin("192.0.2.1")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(len(self.work), 0)
