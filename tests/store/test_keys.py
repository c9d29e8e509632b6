"""Keys: found by their exact bytes, used while they last."""

from __future__ import annotations

from datetime import timedelta

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import login, public_key
from tests.store.plans import plans_of
from tests.store.records import RecordCase
from tunnelcloud.store import keys, sessions, users
from tunnelcloud.store.errors import Conflict, InvalidReference


class KeyContract(RecordCase):
    def add_key(self, seed="one", **fields):
        text, _ = public_key(seed)
        given = {"user_id": self.world.alice.id, "public_key": text, **fields}
        return self.store.write(keys.create, **given)

    def test_a_user_has_so_many_at_most(self):
        self.patch(keys, "MOST_KEYS", 2)
        key = self.add_key("one")
        self.add_key("two")
        error = self.assertRaises(Conflict, self.add_key, "three")
        self.assertEqual(str(error), "the user has 2 SSH keys: delete those that nobody uses")
        self.add_key("bobs", user_id=self.world.bob.id)
        self.store.write(keys.delete, key.id)
        self.add_key("three")

    def test_a_key_is_found_by_its_blob(self):
        key = self.add_key(title="laptop")
        _, blob = public_key("one")
        self.assertEqual(self.store.read(keys.find_by_blob, blob), key)
        self.assertIsNone(self.store.read(keys.find_by_blob, public_key("two")[1]))
        self.assertIsNone(self.store.read(keys.find_by_blob, b""))

    def test_a_key_belongs_to_one_user(self):
        self.add_key()
        error = self.assertRaises(Conflict, self.add_key, user_id=self.world.bob.id)
        self.assertEqual(error.field, "public_key")
        self.assertIn("another user's", str(error))
        self.assertNotIn("alice", str(error))
        self.assertRaises(Conflict, self.add_key)

    def test_a_key_of_nobody(self):
        error = self.assertRaises(InvalidReference, self.add_key, user_id="usr_none")
        self.assertEqual(error.field, "user_id")

    def test_an_expired_key_begins_nothing(self):
        key = self.add_key(expires_at=self.clock.moment + timedelta(seconds=5))
        _, blob = public_key("one")
        self.clock.advance(5)
        # Whoever offers it is told that it expired.
        self.assertEqual(self.store.read(keys.find_by_blob, blob), key)
        self.assertIsNone(self.store.write(keys.use, key.id, login()))

    def test_what_has_expired_since_a_look(self):
        first = self.store.read(keys.expired_since, None)
        self.assertEqual((first.looked_at, first.key_ids), (self.clock.moment, frozenset()))
        soon = self.add_key("one", expires_at=self.clock.moment + timedelta(seconds=5))
        self.add_key("two", expires_at=self.clock.moment + timedelta(seconds=60))
        self.add_key("three")
        self.clock.advance(5)
        second = self.store.read(keys.expired_since, first.looked_at)
        self.assertEqual(second.key_ids, {soon.id})
        third = self.store.read(keys.expired_since, second.looked_at)
        self.assertEqual(third.key_ids, frozenset())

    def test_using_a_key_begins_a_session_and_is_shown(self):
        key = self.add_key()
        session = self.store.write(keys.use, key.id, login("198.51.100.7"))
        self.assertEqual(session.key_id, key.id)
        found = self.store.read(keys.get, key.id)
        self.assertEqual(found.last_used_at, self.clock.moment)
        self.assertEqual(found.last_used_from, "198.51.100.7")
        [event] = self.events("login.succeeded")
        self.assertEqual(event.data["key_fingerprint"], key.fingerprint)

    def test_a_deleted_key_or_blocked_user_begins_nothing(self):
        key, other = self.add_key(), self.add_key("two", user_id=self.world.bob.id)
        self.store.write(keys.delete, key.id)
        self.store.write(users.update, self.world.bob.id, {"blocked": True})
        self.assertIsNone(self.store.write(keys.use, key.id, login()))
        self.assertIsNone(self.store.write(keys.use, other.id, login()))
        self.assertEqual(self.store.read(sessions.count), 0)


class SQLiteKeyTests(KeyContract, SQLiteCase):
    def test_no_other_keys_are_looked_at(self):
        engine = self.store.backend._readers
        [plan] = plans_of(engine, self.store.read, keys.expired_since, self.clock.moment)
        self.assertIn("ix_keys_expires_at", plan)


class PostgresKeyTests(KeyContract, PostgresCase):
    pass
