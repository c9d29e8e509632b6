"""A registry of connectors in memory, and what any registry must do.

The store's own has to pass ``RegistryContract`` too.
"""

from datetime import UTC, datetime, timedelta

from attrs import evolve
from twisted.internet.defer import execute, fail, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tunnelcloud.domain.join_tokens import MOST_CERTIFICATES, JoinProblem, JoinRefused, hash_secret
from tunnelcloud.domain.late_renewals import Issued, LateRenewal, end_of_shown
from tunnelcloud.domain.objects.sites import Connector
from tunnelcloud.pod.connector_registry import IConnectorRegistry

SECRET = bytes(range(20))
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def make_connector(number=1, site_id="sit_1"):
    name = f"paris-{number}"
    return Connector(
        id=f"con_{number}", name=name, title=name, created_at=BEGINNING, site_id=site_id
    )


@implementer(IConnectorRegistry)
class MemoryRegistry:
    """Keeps connectors in a dictionary.

    :ivar down: the exception all methods fail with, if any.
    """

    def __init__(self, now):
        self._now = now
        self._connectors = {}
        self._tokens = {}
        self._certificates = {}
        self.down = None

    # What an admin does.

    def create(self, connector):
        self._connectors[connector.id] = connector

    def create_join_token(self, connector_id, secret, lifetime=timedelta(hours=24)):
        self._tokens[hash_secret(secret)] = [
            connector_id,
            self._now() + lifetime,
            None,
            self._now(),
        ]

    def delete(self, connector_id):
        del self._connectors[connector_id]

    def get(self, connector_id):
        return self._connectors[connector_id]

    # IConnectorRegistry.

    def redeem_join_token(self, secret_hash, key_fingerprint, source=""):
        if self.down:
            return fail(self.down)
        token = self._tokens.get(secret_hash)
        if token is None or token[0] not in self._connectors:
            return fail(JoinRefused(JoinProblem.UNKNOWN))
        connector_id, expires_at, redeemed_key, _ = token
        if redeemed_key not in (None, key_fingerprint):
            return fail(JoinRefused(JoinProblem.USED))
        if self._now() >= expires_at:
            return fail(JoinRefused(JoinProblem.EXPIRED))
        issued = [kept for kept in self._certificates.values() if kept[3] >= token[3]]
        if len([kept for kept in issued if kept[0] == connector_id]) >= MOST_CERTIFICATES:
            return fail(JoinRefused(JoinProblem.USED))
        for other in self._tokens.values():
            if other[0] == connector_id:
                other[2] = None
        token[2] = key_fingerprint
        self._certificates = {
            serial: kept
            for serial, kept in self._certificates.items()
            if kept[0] != connector_id or kept[1] == key_fingerprint
        }
        return succeed(self._connectors[connector_id])

    def record_certificate(self, connector_id, serial, key_fingerprint, not_after, source=""):
        if self.down:
            return fail(self.down)
        joined = [token[2] for token in self._tokens.values() if token[0] == connector_id]
        is_replaced = any(joined) and key_fingerprint not in joined
        if is_replaced or connector_id not in self._connectors:
            return fail(JoinRefused(JoinProblem.REVOKED))
        self._certificates[serial] = (connector_id, key_fingerprint, not_after, self._now())
        self._connectors[connector_id] = evolve(
            self._connectors[connector_id],
            certificate_serial=serial,
            certificate_expires_at=not_after,
        )
        return succeed(None)

    def check_late(self, asked, source=""):
        if self.down:
            return fail(self.down)
        issued = [
            Issued(serial, kept[0], kept[3], kept[2])
            for serial, kept in self._certificates.items()
            if kept[1] == asked.key_fingerprint and kept[0] in self._connectors
        ]
        return execute(end_of_shown, asked, issued, self._now())

    def renew_late(self, asked, serial, not_after, source=""):
        def record(_):
            recording = self.record_certificate(
                asked.connector_id, serial, asked.key_fingerprint, not_after
            )
            return recording.addCallback(lambda _: self._connectors[asked.connector_id])

        return self.check_late(asked).addCallback(record)

    def active_connectors(self, keys):
        if self.down:
            return fail(self.down)
        return succeed(
            {
                key: self._connectors[connector_id]
                for key, connector_id in keys.items()
                if connector_id in self._connectors and self._is_good(connector_id, key)
            }
        )

    def _is_good(self, connector_id, key):
        newest = [kept for kept in self._certificates.values() if kept[1] == key][-1:]
        return newest and newest[0][0] == connector_id and self._now() < newest[0][2]

    def seen(self, versions, at, authority=None):
        if self.down:
            return fail(self.down)
        for connector_id in versions.keys() & self._connectors.keys():
            before = self._connectors[connector_id]
            self._connectors[connector_id] = evolve(
                before,
                version=versions[connector_id],
                last_seen_at=at,
                authority=before.authority if authority is None else authority,
            )
        return succeed(None)


class RegistryContract:
    """What a registry must do.

    A subclass gives ``make()``: a registry whose time is ``self.time``, with two connectors, whose
    ids it puts into ``first`` and ``second``, and a join token of an hour for the first whose
    secret is ``SECRET``; and ``delete(connector_id)``.
    """

    time = BEGINNING
    HASH = hash_secret(SECRET)

    def setUp(self):
        self.registry = self.make()

    def wait(self, deferred):
        """Let a registry that takes its time come to an end."""

    def outcome(self, deferred):
        self.wait(deferred)
        return self.successResultOf(deferred)

    def problem(self, deferred):
        self.wait(deferred)
        return self.failureResultOf(deferred, JoinRefused).value.problem

    def record(self, serial, key="key", connector_id=None, days=30):
        later = self.time + timedelta(days=days)
        connector_id = connector_id or self.first
        self.outcome(self.registry.record_certificate(connector_id, serial, key, later))

    def active(self, key="key", connector_id=None):
        connector_id = connector_id or self.first
        found = self.outcome(self.registry.active_connectors({key: connector_id}))
        return found[key].id if key in found else None

    def redeem(self, key="key", secret_hash=HASH):
        return self.registry.redeem_join_token(secret_hash, key)

    def test_provides_its_interface(self):
        verifyObject(IConnectorRegistry, self.registry)

    def test_a_token_is_good_for_one_key(self):
        for _ in range(2):
            self.assertEqual(self.outcome(self.redeem()).id, self.first)
        self.assertEqual(self.problem(self.redeem("other")), JoinProblem.USED)

    def test_a_token_brings_so_many_certificates_and_no_more(self):
        """A lost answer may be asked for again, but not without end."""
        for number in range(MOST_CERTIFICATES):
            self.outcome(self.redeem())
            self.record(f"a{number}")
        self.assertEqual(self.problem(self.redeem()), JoinProblem.USED)
        self.assertEqual(self.active(), self.first)

    def test_an_unknown_token(self):
        self.assertEqual(
            self.problem(self.redeem(secret_hash=hash_secret(bytes(20)))), JoinProblem.UNKNOWN
        )

    def test_an_expired_token(self):
        self.outcome(self.redeem())
        self.time += timedelta(hours=2)
        self.assertEqual(self.problem(self.redeem()), JoinProblem.EXPIRED)

    def test_certificates_are_active_until_their_connector_is_deleted(self):
        self.record("a1")
        self.assertEqual(self.active(), self.first)
        self.assertIsNone(self.active("another key"))
        self.assertIsNone(self.active("key", self.second))
        self.delete(self.first)
        self.assertIsNone(self.active())

    def test_a_key_is_active_as_long_as_its_newest_certificate(self):
        self.record("a1", days=30)
        self.time += timedelta(days=20)
        self.record("a2", days=30)
        self.time += timedelta(days=20)
        self.assertEqual(self.active(), self.first)
        self.time += timedelta(days=20)
        self.assertIsNone(self.active())

    def test_a_key_that_joined_twice_is_the_later_connectors(self):
        self.record("a1")
        self.time += timedelta(seconds=1)
        self.record("b1", connector_id=self.second)
        self.assertIsNone(self.active())
        self.assertEqual(self.active("key", self.second), self.second)

    def test_joining_with_another_key_revokes_what_went_before(self):
        self.record("a1", "old key")
        self.record("b1", "their key", self.second)
        self.outcome(self.redeem("key"))
        self.record("a2", "key")
        self.assertIsNone(self.active("old key"))
        self.assertEqual(self.active("key"), self.first)
        self.assertEqual(self.active("their key", self.second), self.second)

    def test_what_was_replaced_or_deleted_gets_no_further_certificate(self):
        """A renewal may be under way meanwhile."""
        self.record("a1", "old key")
        self.record("b1", "their key", self.second)
        self.outcome(self.redeem("key"))
        self.delete(self.second)
        later = self.time + timedelta(days=30)
        for key, connector_id in (("old key", self.first), ("their key", self.second)):
            recording = self.registry.record_certificate(connector_id, "a2", key, later)
            self.assertEqual(self.problem(recording), JoinProblem.REVOKED)
        self.assertIsNone(self.active("old key"))
        self.record("a3", "key")
        self.assertEqual(self.active("key"), self.first)

    def late(self, shown="a1", key="key", connector_id=None, grace=10):
        return LateRenewal(connector_id or self.first, shown, key, timedelta(days=grace))

    def renew_late(self, serial="a9", **shown):
        later = self.time + timedelta(days=30)
        return self.registry.renew_late(self.late(**shown), serial, later, "192.0.2.7")

    def test_a_certificate_that_ended_is_renewed_for_its_own_key_and_connector_within_the_grace(
        self,
    ):
        self.record("a1")
        self.record("b1", "their key", self.second)
        self.assertEqual(self.problem(self.renew_late()), JoinProblem.UNAVAILABLE)
        self.time += timedelta(days=39)
        self.assertIsNone(self.active())
        for wrong in (
            {"key": "another key"},
            {"key": "their key"},
            {"connector_id": self.second},
            {"connector_id": "con_none"},
            {"shown": "b1"},
            {"shown": "none"},
        ):
            self.assertEqual(self.problem(self.renew_late(**wrong)), JoinProblem.REVOKED)
        self.assertEqual(self.problem(self.renew_late(grace=9)), JoinProblem.ENDED)
        self.assertEqual(self.problem(self.renew_late(grace=0)), JoinProblem.ENDED)
        self.outcome(self.registry.check_late(self.late()))
        self.assertIsNone(self.active(), "a check writes nothing")
        self.assertEqual(self.outcome(self.renew_late()).id, self.first)
        self.assertEqual(self.active(), self.first)

    def test_what_joined_with_another_key_or_was_deleted_renews_nothing(self):
        self.record("a1", "old key")
        self.record("b1", "their key", self.second)
        self.outcome(self.redeem("key"))
        self.delete(self.second)
        self.time += timedelta(days=31)
        for one in (
            self.renew_late(key="old key"),
            self.renew_late("b2", shown="b1", key="their key", connector_id=self.second),
        ):
            self.assertEqual(self.problem(one), JoinProblem.REVOKED)

    def test_a_copy_of_one_that_was_renewed_in_time_brings_nothing(self):
        for serial in ("a1", "a2", "a3"):
            self.record(serial, days=30)
            self.time += timedelta(days=20)
        self.record("a4", days=30)
        self.time += timedelta(seconds=90)
        for shown in ("a1", "a2"):
            late = self.late(shown, grace=90)
            self.assertEqual(self.problem(self.registry.check_late(late)), JoinProblem.REVOKED)
            renewing = self.renew_late(shown=shown, grace=90)
            self.assertEqual(self.problem(renewing), JoinProblem.REVOKED)
        self.assertEqual(self.problem(self.renew_late(shown="a4")), JoinProblem.UNAVAILABLE)

    def test_a_lost_answer_may_be_asked_for_again_once_a_minute_for_an_hour_from_the_first(self):
        self.record("a1", days=1)
        self.time += timedelta(days=2)
        self.outcome(self.renew_late("b0"))
        self.time += timedelta(seconds=59)
        self.assertEqual(self.problem(self.renew_late("b1")), JoinProblem.UNAVAILABLE)
        self.time += timedelta(seconds=1)
        self.outcome(self.renew_late("b1"))
        self.assertEqual(self.problem(self.renew_late("b2")), JoinProblem.UNAVAILABLE)
        self.time += timedelta(seconds=3540)
        self.outcome(self.renew_late("b2"))
        self.time += timedelta(seconds=60)
        self.assertEqual(self.problem(self.renew_late("b3")), JoinProblem.REVOKED)
        self.time += timedelta(days=31)
        self.assertEqual(self.problem(self.renew_late("b3", grace=90)), JoinProblem.REVOKED)
        self.outcome(self.renew_late("b3", shown="b2"))

    def test_notes_who_was_seen(self):
        self.record("a1")
        self.record("b1", "other", self.second)
        keys = {"key": self.first, "other": self.second, "third": self.first}
        self.outcome(self.registry.seen({self.first: "1.2", self.second: "1.4"}, self.time))
        found = self.outcome(self.registry.active_connectors(keys))
        self.assertEqual(
            {key: (one.version, one.last_seen_at) for key, one in found.items()},
            {"key": ("1.2", self.time), "other": ("1.4", self.time)},
        )
        self.outcome(self.registry.seen({self.first: "1.2"}, self.time, "ab"))
        self.outcome(self.registry.seen({self.first: "1.3"}, self.time))
        found = self.outcome(self.registry.active_connectors(keys))
        self.assertEqual((found["key"].version, found["key"].authority), ("1.3", "ab"))
        self.assertFalse(found["other"].authority)
        self.outcome(self.registry.seen({"nobody": "1.2"}, self.time))
