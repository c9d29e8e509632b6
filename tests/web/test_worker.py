"""Long work waits by turns, nobody takes all places, and who is gone costs nothing."""

from collections.abc import Callable
from threading import Event

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.web.support import QueuedReactor
from tunnelcloud.web import worker as module
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.worker import MAX_WAITING, MOST_OF_ONE, Worker


class WorkerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = QueuedReactor()
        self.worker = Worker(self.reactor, "test", "too many", takes_turns=False)
        self.done: list[str] = []
        self.go_on = Event()
        self.addCleanup(self.go_on.set)

    def job(self, name: str) -> Callable[[], str]:
        """Give what says that it was done."""

        def work() -> str:
            self.done.append(name)
            return name

        return work

    def keep_busy(self) -> Deferred[bool]:
        """Let the thread work until it is told to go on."""
        begun = Event()

        def work() -> bool:
            begun.set()
            return self.go_on.wait(30)

        working = self.worker.run(work)
        self.assertTrue(begun.wait(30))
        return working

    def test_what_is_cancelled_before_it_begins_is_not_done(self) -> None:
        self.patch(module, "MAX_WAITING", 3)
        busy = self.keep_busy()
        gone = [self.worker.run(self.job("gone")) for _ in range(2)]
        self.failureResultOf(self.worker.run(self.job("refused")), Problem)
        for one in gone:
            one.cancel()
            self.failureResultOf(one, CancelledError)
            self.reactor.run_one()
        waiting = self.worker.run(self.job("waits"))
        self.go_on.set()
        for _ in range(2):
            self.reactor.run_one()
        self.assertTrue(self.successResultOf(busy))
        self.assertEqual(self.successResultOf(waiting), "waits")
        self.assertEqual(self.done, ["waits"])

    def test_sources_take_turns(self) -> None:
        self.keep_busy()
        flood = [self.worker.run(self.job("flood"), source="a") for _ in range(50)]
        one = self.worker.run(self.job("one"), source="b")
        self.go_on.set()
        for _ in range(52):
            self.reactor.run_one()
        self.assertEqual(self.successResultOf(one), "one")
        self.assertEqual([self.successResultOf(each) for each in flood], ["flood"] * 50)
        self.assertEqual(self.done[:3], ["flood", "one", "flood"])

    def test_the_source_with_the_most_makes_room(self) -> None:
        """One with a hundred connections keeps nobody else from a page."""
        busy = self.keep_busy()
        flood = [self.worker.run(self.job("flood"), source="a") for _ in range(MAX_WAITING)]
        self.failureResultOf(flood.pop(), Problem)
        others = [self.worker.run(self.job("other"), source="b") for _ in range(2)]
        for _ in others:
            self.reactor.run_one()
        for one in flood[: len(others)]:
            problem = self.failureResultOf(one, Problem).value
            self.assertEqual((problem.status, str(problem)), (503, "too many"))
        self.go_on.set()
        for _ in range(MAX_WAITING):
            self.reactor.run_one()
        self.assertTrue(self.successResultOf(busy))
        self.assertEqual([self.successResultOf(one) for one in others], ["other"] * 2)
        left = flood[len(others) :]
        self.assertEqual([self.successResultOf(one) for one in left], ["flood"] * len(left))
        self.assertEqual((self.worker._waiting, self.worker._running), ({}, 0))

    def test_one_user_has_few_places(self) -> None:
        busy = self.keep_busy()
        mine = [self.worker.run(self.job("mine"), "usr_1") for _ in range(MOST_OF_ONE)]
        problem = self.failureResultOf(self.worker.run(self.job("more"), "usr_1"), Problem).value
        self.assertEqual(problem.status, 429)
        self.assertIn("Retry-After", problem.headers)
        theirs = self.worker.run(self.job("theirs"), "usr_2")
        self.go_on.set()
        for _ in range(2 + MOST_OF_ONE):
            self.reactor.run_one()
        self.assertTrue(self.successResultOf(busy))
        self.assertEqual([self.successResultOf(one) for one in [*mine, theirs]],
                         ["mine"] * MOST_OF_ONE + ["theirs"])  # fmt: skip
        again = self.worker.run(self.job("again"), "usr_1")
        self.reactor.run_one()
        self.assertEqual(self.successResultOf(again), "again")

    def test_what_goes_on_without_its_user_counts_until_it_is_over(self) -> None:
        begun = Event()

        def work() -> bool:
            begun.set()
            return self.go_on.wait(30)

        gone = self.worker.run(work, "usr_1")
        self.assertTrue(begun.wait(30))
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        waiting = [self.worker.run(self.job("mine"), "usr_1") for _ in range(MOST_OF_ONE)]
        self.failureResultOf(waiting.pop(), Problem)
        self.go_on.set()
        for _ in range(MOST_OF_ONE):
            self.reactor.run_one()
        self.assertEqual([self.successResultOf(one) for one in waiting], ["mine"])
