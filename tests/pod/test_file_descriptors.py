"""What each door may hold of a small and of a large number of descriptors."""

import resource

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.logs import logged
from tunnelcloud.pod import file_descriptors
from tunnelcloud.pod.file_descriptors import divide, raise_limit
from tunnelcloud.pod.user_shares import SESSIONS


class DivisionTests(SynchronousTestCase):
    def test_what_a_usual_machine_gives(self):
        doors = divide(65536)
        self.assertEqual(doors.sessions, SESSIONS)
        self.assertEqual((doors.web, doors.before_login), (4096, 512))
        self.assertEqual((doors.joining, doors.undecided), (512, 512))
        self.assertEqual(doors.flood_limits.per_source, 24)

    @given(st.integers(128, 1 << 20))
    def test_all_doors_full_leave_room_for_the_pods_own_and_for_links(self, limit):
        doors = divide(limit)
        used = doors.before_login + doors.sessions + doors.web + doors.joining + doors.undecided
        self.assertLess(used + 48, limit)
        for number in (doors.before_login, doors.sessions, doors.web, doors.joining):
            self.assertGreater(number, 0)
        limits = doors.flood_limits
        self.assertTrue(0 < limits.start <= limits.full)
        self.assertLess(limits.per_source, limits.full)

    def test_a_small_number_is_said(self):
        lines = logged(lambda: divide(1024))
        self.assertIn("this pod may open 1024 files, which is few", lines)
        self.assertIn("LimitNOFILE=65536", lines)
        self.assertEqual(logged(lambda: divide(65536)), "")


class RaisingTests(SynchronousTestCase):
    def limits(self, soft, hard):
        self.set = []
        self.patch(file_descriptors.resource, "getrlimit", lambda _: (soft, hard))
        self.patch(file_descriptors.resource, "setrlimit", lambda _, both: self.set.append(both))

    def test_as_high_as_it_goes(self):
        self.limits(1024, 4096)
        self.assertEqual(raise_limit(), 4096)
        self.assertEqual(self.set, [(4096, 4096)])

    def test_without_a_bound(self):
        self.limits(1024, resource.RLIM_INFINITY)
        self.assertEqual(raise_limit(), 1_048_576)

    def test_one_that_is_high_already(self):
        self.limits(4096, 4096)
        self.assertEqual(raise_limit(), 4096)
        self.assertEqual(self.set, [])

    def test_where_the_system_says_no(self):
        self.limits(1024, 4096)

        def refuse(*_):
            raise OSError("no")

        self.patch(file_descriptors.resource, "setrlimit", refuse)
        self.assertEqual(raise_limit(), 1024)
