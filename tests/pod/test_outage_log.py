"""An outage of the database fills no log."""

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.logs import logged
from tunnelcloud.pod.outage_log import QUIET_SECONDS, Outages
from tunnelcloud.store.errors import StoreUnavailable


class OutagesTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.outages = Outages(self.clock.seconds)

    def tell(self, error, what="a link can't be reviewed"):
        return logged(lambda: self.outages.tell(Failure(error), what)).splitlines()

    def test_one_line_a_minute(self):
        [line] = self.tell(StoreUnavailable("away"))
        self.assertIn("a link can't be reviewed: away", line)
        self.assertEqual(self.tell(StoreUnavailable("away")), [])
        self.assertEqual(len(self.tell(StoreUnavailable("away"), "another thing")), 1)
        self.clock.advance(QUIET_SECONDS)
        self.assertEqual(len(self.tell(StoreUnavailable("away"))), 1)

    def test_a_fault_of_the_program_has_its_traceback(self):
        for _ in range(2):
            self.assertIn("ZeroDivisionError", "".join(self.tell(ZeroDivisionError())))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
