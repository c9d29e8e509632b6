"""How a pod takes its name among others."""

import shutil
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.store.databases import SQLiteCase
from tests.store.material import MovingClock
from tunnelcloud.daemon import CannotServe
from tunnelcloud.pod.name_claim import HOME_FILE, take_home, take_seat
from tunnelcloud.store import pods
from tunnelcloud.store.pods import Registration

MINE = Registration("pod-1", "1", "one:2222", "one:8443", home="here")


class HomeTests(SynchronousTestCase):
    def test_a_directory_keeps_its_name_and_a_copy_has_another(self):
        directory, copy = Path(self.mktemp()), Path(self.mktemp())
        directory.mkdir()
        first = take_home(directory)
        error = self.assertRaises(CannotServe, take_home, directory)
        self.assertIn("in use by another pod", str(error))
        copy.mkdir()
        shutil.copy(directory / HOME_FILE, copy / HOME_FILE)
        self.assertNotEqual(take_home(copy), first)


class SeatTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.slept = 0
        self.living = None

    def sleep(self, seconds):
        self.slept += seconds
        self.clock.advance(seconds)
        if self.living is not None:
            self.store.write(pods.renew, self.living.pod_id, self.living.registration.incarnation)

    def take(self, **changes):
        return take_seat(self.store, evolve(MINE, **changes), shared=True, sleep=self.sleep)

    def test_started_again_from_its_directory_it_has_its_place_at_once(self):
        first, second = self.take(), self.take()
        self.assertEqual(first.pod_id, second.pod_id)
        self.assertNotEqual(first.registration.incarnation, second.registration.incarnation)
        self.assertEqual(self.slept, 0)

    def test_a_dead_pods_name_is_taken_after_a_look(self):
        first, second = self.take(), self.take(home="elsewhere")
        self.assertNotEqual(first.pod_id, second.pod_id)
        self.assertTrue(0 < self.slept < 15)

    def test_a_living_pod_keeps_its_name(self):
        self.living = self.take()
        error = self.assertRaises(CannotServe, self.take, home="elsewhere")
        self.assertIn("the name 'pod-1' is in use by the pod at one:8443", str(error))
