"""A join token lets one key in, and certificates end with what they were issued for."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, events_of, make_world
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused
from tunnelcloud.store import connectors
from tunnelcloud.store.errors import InvalidReference, NotFound
from tunnelcloud.store.transaction import Change


class JoiningContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.connector = self.store.write(
            connectors.create, name="paris-1", site_id=self.world.site.id
        )
        self.add_token("hash")

    def add_token(self, secret_hash, lifetime_seconds=86400):
        return self.store.write(
            connectors.add_join_token,
            self.connector.id,
            secret_hash=secret_hash,
            lifetime_seconds=lifetime_seconds,
        )

    def redeem(self, key="key-1", secret_hash="hash"):
        return self.store.write(connectors.redeem_join_token, secret_hash, key_fingerprint=key)

    def problem(self, **fields):
        return self.assertRaises(JoinRefused, self.redeem, **fields).problem

    def certify(self, serial, key="key-1", renewal=False):
        return self.store.write(
            connectors.record_certificate,
            self.connector.id,
            serial=serial,
            key_fingerprint=key,
            expires_at=self.clock.moment + timedelta(days=30),
            renewal=renewal,
        )

    def owner(self, key):
        found = self.store.read(connectors.find_by_certificates, [key]).get(key)
        return None if found is None else found.id

    def test_one_key_joins_and_may_ask_again(self):
        joined = self.redeem()
        self.assertEqual(joined.id, self.connector.id)
        self.assertEqual(joined.joined_at, self.clock.moment)
        self.redeem()
        self.assertIs(self.problem(key="key-2"), JoinProblem.USED)

    def test_a_token_ends(self):
        self.clock.advance(86400)
        self.assertIs(self.problem(), JoinProblem.EXPIRED)
        self.clock.advance(-1)
        self.redeem()
        self.clock.advance(1)
        self.assertIs(self.problem(), JoinProblem.EXPIRED)
        self.assertIs(self.problem(key="key-2"), JoinProblem.USED)

    def test_an_unknown_token(self):
        self.assertIs(self.problem(secret_hash="other"), JoinProblem.UNKNOWN)

    def test_a_new_token_ends_the_one_before(self):
        self.add_token("second")
        self.assertIs(self.problem(), JoinProblem.EXPIRED)
        self.redeem(secret_hash="second")

    def test_of_eight_keys_one_joins(self):
        def attempt(number):
            try:
                return self.redeem(key=f"key-{number}").id
            except JoinRefused as refused:
                return refused.problem

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(attempt, range(8)))
        self.assertEqual(found.count(self.connector.id), 1)
        self.assertEqual(found.count(JoinProblem.USED), 7)

    def test_a_certificate_is_written_down(self):
        self.redeem()
        after = self.certify("01")
        self.assertEqual(after.certificate_serial, "01")
        self.assertEqual(after.certificate_expires_at, self.clock.moment + timedelta(days=30))
        self.assertEqual(self.owner("key-1"), self.connector.id)
        self.assertIsNone(self.owner("key-2"))
        self.certify("02", renewal=True)
        self.assertEqual(self.owner("key-1"), self.connector.id)
        self.assertEqual(self.store.read(events_of)[-2:], ["connector.joined", "connector.renewed"])

    def test_a_key_is_good_as_long_as_its_last_certificate(self):
        self.certify("01")
        self.clock.advance(10 * 86400)
        self.certify("02", renewal=True)
        self.clock.advance(20 * 86400)
        self.assertEqual(self.owner("key-1"), self.connector.id)
        self.clock.advance(10 * 86400)
        self.assertIsNone(self.owner("key-1"))

    def test_joining_anew_ends_the_old_keys_certificates(self):
        self.redeem()
        self.certify("01")
        self.add_token("second")
        heard = []
        self.store.listen(lambda committed: heard.extend(committed.changes))
        self.redeem(key="key-2", secret_hash="second")
        self.assertIsNone(self.owner("key-1"))
        self.assertEqual(heard, [Change("connector", self.connector.id)])

    def test_a_key_that_was_replaced_gets_no_further_certificate(self):
        """Its renewal, or the answer to its joining, may be under way meanwhile."""
        self.redeem()
        self.certify("01")
        self.add_token("second")
        self.redeem(key="key-2", secret_hash="second")
        refused = self.assertRaises(JoinRefused, self.certify, "02", renewal=True)
        self.assertIs(refused.problem, JoinProblem.REVOKED)
        self.assertIsNone(self.owner("key-1"))
        self.certify("03", key="key-2")
        self.add_token("third")
        self.redeem(secret_hash="third")
        self.certify("04")
        self.assertEqual(self.owner("key-1"), self.connector.id)
        self.assertIsNone(self.owner("key-2"))
        self.assertRaises(JoinRefused, self.certify, "05", key="key-2")

    def test_the_token_of_a_key_that_was_replaced_is_no_other_keys(self):
        self.redeem()
        self.add_token("second")
        self.redeem(key="key-2", secret_hash="second")
        self.assertIs(self.problem(key="key-3"), JoinProblem.EXPIRED)
        self.assertIs(self.problem(), JoinProblem.EXPIRED)

    def test_a_deleted_connector_has_no_way_in(self):
        self.redeem()
        self.certify("01")
        self.store.write(connectors.delete, self.connector.id)
        self.assertIsNone(self.owner("key-1"))
        self.assertIs(self.problem(), JoinProblem.UNKNOWN)
        self.assertRaises(JoinRefused, self.certify, "02")
        self.assertRaises(NotFound, self.add_token, "third")

    def test_a_connector_needs_a_site(self):
        error = self.assertRaises(
            InvalidReference, self.store.write, connectors.create, name="x", site_id="sit_none"
        )
        self.assertEqual(error.field, "site_id")


class SQLiteJoiningTests(JoiningContract, SQLiteCase):
    pass


class PostgresJoiningTests(JoiningContract, PostgresCase):
    def test_a_certificate_that_is_written_down_while_another_key_joins_ends_with_it(self):
        self.redeem()
        self.add_token("second")

        def waits(transaction):
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return transaction.connection.exec_driver_sql(query).scalar() > 0

        def certify(transaction):
            connectors.record_certificate(
                transaction,
                self.connector.id,
                serial="01",
                key_fingerprint="key-1",
                expires_at=self.clock.moment + timedelta(days=30),
                renewal=True,
            )
            soon = self.store.write_soon(
                connectors.redeem_join_token, "second", key_fingerprint="key-2"
            )
            self.assertTrue(any(waits(transaction) or time.sleep(0.01) for _ in range(6000)))
            return soon

        self.store.write(certify).result()
        self.assertIsNone(self.owner("key-1"))

    def test_who_is_changed_meanwhile_holds_up_nobody(self):
        """Pods note many at once that they are there; an `apply` may hold some for long."""
        other = self.store.write(connectors.create, name="other", site_id=self.world.site.id)
        begun, go_on = Event(), Event()

        def change(transaction):
            connectors.record_seen(transaction, {self.connector.id: "1"}, "pin")
            begun.set()
            go_on.wait(60)

        changing = self.store.write_soon(change)
        self.addCleanup(go_on.set)
        self.assertTrue(begun.wait(60))
        self.store.write(connectors.record_seen, {self.connector.id: "2", other.id: "2"})
        self.assertEqual(self.store.read(connectors.get, other.id).version, "2")
        go_on.set()
        changing.result()
        found = self.store.read(connectors.get, self.connector.id)
        self.assertEqual((found.version, found.authority), ("1", "pin"))
