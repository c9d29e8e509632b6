"""Periodic work goes on, whatever becomes of one run."""

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.logs import logged
from tunnelcloud.pod.periodic_work import LONGEST_DELAY, PATIENCE, Supervisor
from tunnelcloud.store.errors import StoreUnavailable


class SupervisorTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.supervisor = Supervisor(self.clock)
        self.runs = []
        self.outcomes = []

    def work(self):
        self.runs.append(self.clock.seconds())
        if self.outcomes:
            return self.outcomes.pop(0)()
        return None

    def run_task(self, seconds=5.0):
        self.supervisor.run("work", self.work, seconds)

    def report(self):
        [report] = self.supervisor.reports()
        return report

    def test_at_once_and_then_every_period(self):
        self.run_task()
        self.clock.pump([5, 5])
        self.assertEqual(self.runs, [0, 5, 10])
        self.assertEqual(self.report().failures, 0)

    def test_a_failure_is_no_end(self):
        self.outcomes = [lambda: 1 / 0, lambda: fail(ZeroDivisionError())]
        self.run_task(1.0)
        self.clock.pump([1] * 8)
        self.assertEqual(self.runs, [0, 2, 6, 7, 8])
        self.assertEqual(self.report().failures, 2)
        self.assertEqual(self.report().since_success, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_it_never_waits_for_long(self):
        self.outcomes = [lambda: fail(StoreUnavailable("away"))] * 20
        self.run_task(1.0)
        self.clock.pump([1] * 100)
        gaps = [later - earlier for earlier, later in zip(self.runs, self.runs[1:], strict=False)]
        self.assertEqual(max(gaps), LONGEST_DELAY)
        self.assertEqual(gaps[:3], [2, 4, 8])

    def test_one_line_however_often_it_fails_alike(self):
        self.outcomes = [lambda: fail(StoreUnavailable("away"))] * 5

        def run():
            self.run_task(1.0)
            self.clock.pump([1] * 60)

        [failed, works] = logged(run).splitlines()
        self.assertIn("work failed, and is tried again: away", failed)
        self.assertIn("work works again, after 5 failures", works)

    def test_a_run_that_never_ends_is_given_up(self):
        self.outcomes = [Deferred]
        self.run_task()
        self.clock.pump([5, 5])
        self.assertEqual(self.runs, [0])
        self.clock.pump([PATIENCE - 10, 10])
        self.assertEqual(len(self.runs), 2)
        self.assertEqual(self.report().failures, 1)

    def test_after_its_end_nothing_runs(self):
        self.outcomes = [lambda: None, Deferred]
        self.run_task()
        self.clock.advance(5)
        self.supervisor.stop()
        self.clock.pump([5, PATIENCE])
        self.assertEqual(self.runs, [0, 5])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.report().failures, 0)
