from datetime import timedelta

from sqlalchemy import Engine
from twisted.internet.task import Clock

from tests.pod.registries import SECRET, RegistryContract
from tests.store.databases import SQLiteCase
from tests.store.plans import statements_of
from tests.web.support import QueuedReactor
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused, hash_secret
from tunnelcloud.pod.stored_connectors import Registrar
from tunnelcloud.store import audit, connectors, sites
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.refusals import EACH_OF_A_SOURCE, SECONDS, Refusals

HOUR = 3600


class RegistrarTests(RegistryContract, SQLiteCase):
    """The registry that pods use keeps the contract."""

    def setUp(self):
        SQLiteCase.setUp(self)
        RegistryContract.setUp(self)

    def make(self):
        self.store = self.open(lambda _: int(self.time.timestamp() * 1000))
        self.handover = QueuedReactor()
        site = self.store.write(sites.create, name="paris")
        self.first, self.second = (
            self.store.write(connectors.create, name=f"paris-{number}", site_id=site.id).id
            for number in (1, 2)
        )
        self.store.write(
            connectors.add_join_token,
            self.first,
            secret_hash=hash_secret(SECRET),
            lifetime_seconds=HOUR,
        )
        store = AsyncStore(self.store, self.handover)
        self.clock = Clock()
        return Registrar(store, "pod_1", Refusals(store, self.clock))

    def delete(self, connector_id):
        self.store.write(connectors.delete, connector_id)

    def wait(self, deferred):
        over = []

        def ended(outcome):
            over.append(True)
            return outcome

        deferred.addBoth(ended)
        while not over:
            self.handover.run_one()

    def test_many_are_looked_at_by_as_many_statements_as_few(self):
        def review(count):
            keys = {f"key-{number}": self.first for number in range(count)}
            self.assertEqual(len(self.outcome(self.registry.active_connectors(keys))), count)
            ids = [f"con_{number}" for number in range(count)]
            self.outcome(self.registry.seen(dict.fromkeys(ids, "1"), self.time))

        for number in range(6):
            self.record(f"{number}", f"key-{number}", self.first)
        few = statements_of(Engine, review, 3)
        self.assertGreater(few, 1)
        self.assertEqual(statements_of(Engine, review, 6), few)

    def test_the_audit_says_that_another_key_joined(self):
        """It may be another machine: that is no renewal."""
        self.record("01", "old key")
        self.outcome(self.redeem("new key"))
        self.record("02", "new key")
        self.record("03", "new key")
        found = [one.event.event for one in self.store.read(audit.list_page).items]
        self.assertEqual(found[:2], ["connector.renewed", "connector.joined"])

    def test_the_audit_says_where_a_certificate_was_asked_for(self):
        for serial, source in (("01", "192.0.2.7"), ("02", "192.0.2.8")):
            self.wait(
                self.registry.record_certificate(self.first, serial, "key", self.time, source)
            )
        found = [one.event for one in self.store.read(audit.list_page, event="connector.").items]
        self.assertEqual(
            [(one.event, one.source_ip) for one in found[:2]],
            [("connector.renewed", "192.0.2.8"), ("connector.joined", "192.0.2.7")],
        )

    def test_a_late_renewal_is_told_with_the_end_before_it_and_so_is_a_refused_one(self):
        self.record("01", days=1)
        ended = self.time + timedelta(days=1)
        self.time += timedelta(days=3)
        self.assertEqual(
            self.problem(self.renew_late("02", shown="01", grace=1)), JoinProblem.ENDED
        )
        self.outcome(self.renew_late("02", shown="01", grace=9))
        found = [one.event for one in self.store.read(audit.list_page, event="connector.").items]
        self.assertEqual(
            [(one.event, one.source_ip) for one in found[:2]],
            [("connector.renewed", "192.0.2.7"), ("connector.renewal_refused", "192.0.2.7")],
        )
        self.assertEqual(found[0].data["ended_at"], ended.isoformat())
        self.assertEqual(found[1].data["connector_id"], self.first)

    def test_the_audit_says_that_a_copy_was_shown(self):
        for serial in ("01", "02"):
            self.record(serial, days=1)
            self.time += timedelta(hours=16)
        late = self.registry.check_late(self.late("01"), "192.0.2.7")
        self.assertEqual(self.problem(late), JoinProblem.REVOKED)
        told = self.store.read(audit.list_page, event="connector.").items[0].event
        self.assertEqual((told.event, told.source_ip), ("connector.renewal_refused", "192.0.2.7"))
        self.assertEqual(told.data["connector_id"], self.first)
        self.assertIn("a copy of an old certificate", told.data["reason"])

    def test_refusals_name_their_source_and_are_summed_up(self):
        for _ in range(EACH_OF_A_SOURCE + 7):
            refused = self.registry.redeem_join_token("0" * 64, "key", "192.0.2.7")
            self.wait(refused)
            self.failureResultOf(refused, JoinRefused)
        self.assertEqual(len(self.refusals()), EACH_OF_A_SOURCE)
        self.clock.advance(SECONDS)
        self.handover.run_one()
        *each, summed = self.refusals()
        self.assertEqual({event.source_ip for event in [*each, summed]}, {"192.0.2.7"})
        self.assertEqual(summed.data["count"], 7)

    def refusals(self):
        page = self.store.read(audit.list_page, limit=100)
        found = [one.event for one in page.items]
        return [one for one in reversed(found) if one.event == "connector.join_refused"]
