"""When a connection is tried again, and when it isn't any more."""

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.cli import retrying
from tunnelcloud.cli.client import Failed, Refused, Unreachable
from tunnelcloud.cli.retrying import Pace, Sleep, lasts, refusal_in


class PaceTests(SynchronousTestCase):
    def setUp(self):
        self.pace = Pace(lambda: 1.0)

    def test_pauses_grow_up_to_four_seconds(self):
        pauses = [self.pace.next_try(0.0) for _ in range(40)]
        self.assertEqual(pauses[:5], [0.2, 0.5, 1.0, 2.0, 4.0])
        self.assertEqual(set(pauses[5:]), {4.0})

    def test_a_connection_that_lasted_is_tried_again_at_once(self):
        for _ in range(9):
            self.pace.next_try(0.0)
        self.pace.is_up(100.0)
        self.assertEqual(self.pace.next_try(101.0), 105.0)  # it ended at once
        self.pace.is_up(200.0)
        self.assertEqual(self.pace.next_try(300.0), 300.2)

    def test_a_first_refusal_is_the_last(self):
        self.assertTrue(self.pace.is_hopeless(0.0))

    def test_one_after_it_stood_is_tried_for_a_while(self):
        self.pace.is_up(0.0)
        self.assertEqual([self.pace.is_hopeless(at) for at in (10.0, 99.0, 100.0)], [0, 0, 1])
        self.pace.is_up(101.0)
        self.assertFalse(self.pace.is_hopeless(200.0))


class ReasonTests(SynchronousTestCase):
    def test_what_the_api_says(self):
        for error, expected in (
            (Refused("the API token is wrong or over", 401), True),
            (Refused("user alice is blocked", 409), True),
            (Refused("too many requests", 429), False),
            (Refused("a fault of the pod", 500), False),
            (Unreachable("can't reach it"), False),
            (Failed("not JSON"), False),
        ):
            self.assertEqual(lasts(error), expected, error)

    def test_what_ssh_says(self):
        denied = "alice@pod: Permission denied (publickey)."
        self.assertEqual(refusal_in(["Warning: x", denied]), denied)
        self.assertEqual(refusal_in(["ssh: connect to host pod port 2222: Connection refused"]), "")


class SleepTests(SynchronousTestCase):
    def test_only_a_long_one_counts(self):
        asleep = [0.0]
        self.patch(retrying, "_asleep_so_far", lambda: asleep[0])
        sleep = Sleep()
        found = []
        for asleep[0] in (0.0, 29.0, 29.0, 70.0, 70.0):
            found.append(sleep.is_over())
        self.assertEqual(found, [False, False, False, True, False])

    def test_this_machine_is_awake(self):
        self.assertFalse(Sleep().is_over())
