"""Searches that users keep: each their own, under a name, a bounded number."""

from __future__ import annotations

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.records import RecordCase
from tunnelcloud.store import saved_searches, users
from tunnelcloud.store.errors import Conflict, NotFound


class SavedSearchContract(RecordCase):
    def keep(self, name, user=None, **filters):
        user = user or self.world.alice
        self.store.write(saved_searches.keep, user.id, name, filters)

    def kept(self, user=None):
        user = user or self.world.alice
        found = self.store.read(saved_searches.of_user, user.id)
        return {one.name: dict(one.filters) for one in found}

    def test_kept_until_removed(self):
        self.keep("Refused", event="login.refused", q="שלום")
        self.keep("Changes", event="policy.")
        self.assertEqual(list(self.kept()), ["Changes", "Refused"])
        self.assertEqual(self.kept()["Refused"], {"event": "login.refused", "q": "שלום"})
        self.assertEqual(self.kept(self.world.bob), {})
        self.keep("Refused", q="other")
        self.assertEqual(self.kept()["Refused"], {"q": "other"})
        for _ in range(2):
            self.store.write(saved_searches.forget, self.world.alice.id, "Refused")
            self.assertEqual(list(self.kept()), ["Changes"])

    def test_a_bounded_number(self):
        for number in range(saved_searches.MOST):
            self.keep(f"{number}", q="x")
        error = self.assertRaises(Conflict, self.keep, "one more", q="x")
        self.assertIn("remove one first", str(error))
        self.keep("0", q="replaced")
        self.assertEqual(len(self.kept()), saved_searches.MOST)
        self.keep("one more", self.world.bob, q="x")

    def test_they_go_with_their_user(self):
        self.keep("mine", self.world.bob, q="x")
        self.store.write(users.delete, self.world.bob.id)
        self.assertEqual(self.kept(self.world.bob), {})
        self.assertRaises(NotFound, self.keep, "mine", self.world.bob, q="x")


class SQLiteSavedSearchTests(SavedSearchContract, SQLiteCase):
    pass


class PostgresSavedSearchTests(SavedSearchContract, PostgresCase):
    pass
