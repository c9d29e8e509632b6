"""Keys that expire: their sessions end, for no notice tells of what only the clock ends."""

from datetime import timedelta

from tests.pod.acme.test_keeper import StoreAtOnce
from tests.store.databases import SQLiteCase
from tests.store.material import MovingClock, make_world, public_key
from tunnelcloud.pod.expired_keys import EXPIRED_KEYS_SECONDS, ExpiredKeys
from tunnelcloud.store import keys


class ExpiredKeyTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.alice = self.store.write(make_world).alice.id
        self.told = []
        self.keys = ExpiredKeys(StoreAtOnce(self.store), self.told.append)
        self.look()

    def add(self, seed, seconds):
        expires_at = self.clock.moment + timedelta(seconds=seconds)
        text, _ = public_key(seed)
        return self.store.write(
            keys.create, user_id=self.alice, public_key=text, expires_at=expires_at
        ).id

    def look(self):
        del self.told[:]
        self.successResultOf(self.keys.look())
        return set().union(*self.told)

    def later(self, seconds):
        self.clock.advance(seconds)
        return self.look()

    def test_a_key_is_told_of_when_it_has_expired(self):
        first, second = self.add("one", 10), self.add("two", 100)
        self.assertEqual(self.later(9), set())
        self.assertEqual(self.later(EXPIRED_KEYS_SECONDS), {first})
        self.assertEqual(self.later(60), {first})
        self.assertEqual(self.later(40), {second})

    def test_a_session_whose_login_took_longer_than_its_key_lasted_is_found(self):
        key = self.add("one", 10)
        self.assertEqual(self.later(10), {key})
        self.assertEqual(self.later(EXPIRED_KEYS_SECONDS), {key})
        self.assertEqual(self.later(60), {key})
        self.assertEqual(self.later(EXPIRED_KEYS_SECONDS), set())

    def test_a_clock_that_jumps_forward_or_goes_back(self):
        first = self.add("one", 3600)
        self.assertEqual(self.later(86400), {first})
        self.assertEqual(self.later(-86400), set())
        second = self.add("two", 10)
        self.assertEqual(self.later(10), {second})
        self.assertEqual(self.later(3590), {first, second})
