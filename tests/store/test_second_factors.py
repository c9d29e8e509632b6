"""Second factors: a code is taken once, guesses are slowed, and half-done sign-ins end."""

from __future__ import annotations

import threading
from datetime import timedelta

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, make_world
from tunnelcloud.store import audit, second_factors, sign_in_steps, users
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.sign_in_steps import MAX_OF_A_USER


class SecondFactorContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.alice = self.world.alice.id

    def events(self):
        found = self.store.read(audit.list_page, event="user.", sort="created_at").items
        return [one.event.event for one in found if "factor" in one.event.event]

    def add(self, step=100):
        self.store.write(second_factors.begin, self.alice, b"sealed")
        return self.store.write(second_factors.confirm, self.alice, step, [b"one", b"two"])

    def test_it_counts_once_confirmed(self):
        self.store.write(second_factors.begin, self.alice, b"first")
        self.assertFalse(self.store.read(second_factors.is_confirmed, self.alice))
        self.assertFalse(self.store.write(second_factors.spend_step, self.alice, 5))
        self.assertTrue(self.add())
        self.assertEqual(self.store.read(second_factors.find, self.alice).sealed_secret, b"sealed")
        self.assertFalse(self.store.write(second_factors.confirm, self.alice, 101, []))
        with self.assertRaises(Conflict):
            self.store.write(second_factors.begin, self.alice, b"other")
        self.assertTrue(self.store.write(second_factors.remove, self.alice))
        self.assertFalse(self.store.write(second_factors.remove, self.alice))
        self.assertEqual(self.events(), ["user.second_factor_added", "user.second_factor_removed"])
        self.assertEqual(self.store.read(second_factors.recovery_codes_left, self.alice), 0)

    def test_a_step_is_taken_once_and_none_before_it_later(self):
        self.add(step=100)
        spend = second_factors.spend_step
        self.assertFalse(self.store.write(spend, self.alice, 100))
        self.assertTrue(self.store.write(spend, self.alice, 102))
        self.assertFalse(self.store.write(spend, self.alice, 102))
        self.assertFalse(self.store.write(spend, self.alice, 101))

    def test_of_many_at_once_one_gets_in(self):
        self.add()
        took = []

        def spend():
            took.append(self.store.write(second_factors.spend_step, self.alice, 200))

        threads = [threading.Thread(target=spend) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(20)
        self.assertEqual(sorted(took), [False] * 7 + [True])

    def test_a_recovery_code_is_taken_once(self):
        self.add()
        spend = second_factors.spend_recovery_code
        self.assertFalse(self.store.write(spend, self.world.bob.id, b"one"))
        self.assertTrue(self.store.write(spend, self.alice, b"one"))
        self.assertFalse(self.store.write(spend, self.alice, b"one"))
        self.assertEqual(self.store.read(second_factors.recovery_codes_left, self.alice), 1)
        self.store.write(second_factors.renew_recovery_codes, self.alice, [b"three"])
        self.assertFalse(self.store.write(spend, self.alice, b"two"))
        self.assertTrue(self.store.write(spend, self.alice, b"three"))

    def test_wrong_codes_make_the_next_ones_wait(self):
        self.add()

        def pause():
            factor = self.store.read(second_factors.find, self.alice)
            return factor.pause(self.clock.moment)

        for _ in range(second_factors.FREE_FAILURES):
            self.assertEqual(pause(), timedelta(0))
            self.store.write(second_factors.failed, self.alice)
        self.assertEqual(pause(), timedelta(seconds=1))
        self.store.write(second_factors.failed, self.alice)
        self.assertEqual(pause(), timedelta(seconds=2))
        for _ in range(30):
            self.store.write(second_factors.failed, self.alice)
        self.assertEqual(pause(), second_factors.LONGEST_PAUSE)
        self.clock.advance(3600)
        self.assertEqual(pause(), timedelta(0))
        self.assertTrue(self.store.write(second_factors.spend_step, self.alice, 200))
        self.assertEqual(self.store.read(second_factors.find, self.alice).failures, 0)

    def begin(self, secret=b"a", user_id=None):
        self.store.write(
            sign_in_steps.begin,
            secret_hash=secret,
            lifetime_seconds=60,
            source="192.0.2.1",
            user_id=user_id or self.alice,
            content={"next": "/"},
        )

    def test_a_step_ends_when_it_is_taken(self):
        self.begin()
        peek, take = sign_in_steps.peek, sign_in_steps.take
        self.assertEqual(self.store.read(peek, b"a").user_id, self.alice)
        self.assertEqual(self.store.write(take, b"a").content, {"next": "/"})
        self.assertIsNone(self.store.write(take, b"a"))

    def test_a_step_ends_in_time_and_with_the_password_it_is_half_of(self):
        self.begin(b"a")
        self.clock.advance(60)
        self.assertIsNone(self.store.read(sign_in_steps.peek, b"a"))
        self.assertIsNone(self.store.write(sign_in_steps.take, b"a"))
        self.begin(b"b")
        self.store.write(users.set_password, self.alice, "$argon2id$x")
        self.assertIsNone(self.store.read(sign_in_steps.peek, b"b"))

    def test_a_user_makes_room_for_nobody_but_themselves(self):
        bob = self.store.write(users.create, name="carol").id
        self.begin(b"other", bob)
        for number in range(MAX_OF_A_USER + 2):
            self.clock.advance(0.01)
            self.begin(str(number).encode())
        found = [
            self.store.read(sign_in_steps.peek, secret) is not None
            for secret in (b"other", b"0", b"1", b"2")
        ]
        self.assertEqual(found, [True, False, False, True])


class SQLiteSecondFactorTests(SecondFactorContract, SQLiteCase):
    pass


class PostgresSecondFactorTests(SecondFactorContract, PostgresCase):
    pass
