"""A CA takes another's place, once nobody is under that one."""

from datetime import timedelta

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import events_of
from tests.store.records import RecordCase
from tunnelcloud.domain.key_rotation import AUTHORITY, NEW_AUTHORITY
from tunnelcloud.store import authority_rotation, connectors, sites, stored_secrets
from tunnelcloud.store.errors import Conflict

VERSION = "2"


class AuthorityContract(RecordCase):
    def setUp(self):
        super().setUp()
        self.store.write(stored_secrets.keep_first, AUTHORITY, b"first")
        self.site = self.store.read(sites.list_page).items[0]

    def connector(self, name, pin="", days=30):
        made = self.store.write(connectors.create, name=name, site_id=self.site.id)
        self.store.write(
            connectors.record_certificate,
            made.id,
            serial=name,
            key_fingerprint=name,
            expires_at=self.store.read(lambda transaction: transaction.now())
            + timedelta(days=days),
            renewal=False,
        )
        self.seen(made, pin)
        return made

    def seen(self, connector, pin=None):
        self.store.write(connectors.record_seen, {connector.id: "1"}, pin)

    def rotate(self):
        self.store.write(authority_rotation.add, b"second", "second", version=VERSION)

    def retire(self, *, force=False):
        def rename(content, name, other):
            return content

        def pin_of(content, name):
            return content.decode()

        self.store.write(authority_rotation.retire, rename, pin_of, force=force)

    def kept(self):
        return self.store.read(stored_secrets.load_all)

    def test_it_goes_when_all_have_moved(self):
        one, other = self.connector("one", "first"), self.connector("other")
        self.connector("over", "first", days=0)
        self.rotate()
        found = self.store.read(authority_rotation.progress, "second")
        self.assertEqual((found.moved, found.left, found.names), (0, 2, ("one", "other")))
        self.seen(one, "second")
        self.seen(one)
        error = self.assertRaises(Conflict, self.retire)
        self.assertIn("no certificate of the new CA yet: other", str(error))
        self.assertEqual(set(self.kept()), {AUTHORITY, NEW_AUTHORITY})
        self.seen(other, "second")
        self.assertEqual(self.store.read(authority_rotation.progress, "second").moved, 2)
        self.retire()
        self.assertEqual(self.kept(), {AUTHORITY: b"second"})
        found = [one for one in self.store.read(events_of) if one.startswith("authority")]
        self.assertEqual(found, ["authority.created", "authority.deleted"])

    def test_join_tokens_of_before_are_in_the_way_and_void_after(self):
        one = self.connector("one", "first")
        self.rotate()
        self.seen(one, "second")
        self.store.write(
            connectors.add_join_token, one.id, secret_hash="hash", lifetime_seconds=3600
        )
        error = self.assertRaises(Conflict, self.retire)
        self.assertIn("join tokens of before are unspent: 1", str(error))
        self.retire(force=True)
        self.assertEqual(self.store.read(authority_rotation.progress, "second").join_tokens, 0)

    def test_out_of_turn(self):
        self.assertIn("authority rotate", str(self.assertRaises(Conflict, self.retire)))
        self.rotate()
        with self.assertRaises(Conflict):
            self.store.write(authority_rotation.add, b"third", "third", version=VERSION)
        self.assertEqual(self.kept()[NEW_AUTHORITY], b"second")

    def test_what_ends_soon_is_named(self):
        self.connector("soon", days=5)
        self.connector("later", days=50)
        self.connector("over", days=0)
        until = self.store.read(lambda transaction: transaction.now()) + timedelta(days=10)
        found = self.store.read(connectors.ending, until)
        self.assertEqual((found.count, found.names), (1, ("soon",)))


class SQLiteAuthorityTests(AuthorityContract, SQLiteCase):
    pass


class PostgresAuthorityTests(AuthorityContract, PostgresCase):
    pass
