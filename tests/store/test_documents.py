"""A configuration as a document: what it says is so afterwards, and nothing else is touched."""

from datetime import UTC, datetime

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import BOTH, MovingClock, events_of, make_world, public_key
from tests.store.plans import statements_of
from tunnelcloud.domain import objects
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.schedule import parse_window
from tunnelcloud.store import (
    approvals,
    documents,
    emergencies,
    groups,
    keys,
    policies,
    sites,
    timed_grants,
    tunnels,
    users,
)
from tunnelcloud.store.errors import BadDocument


def entry(kind, **values):
    """Complete an entry of a document by the kind's defaults."""
    defaults = {one.name_in_document: one.default for one in kind.fields if one.name != "name"}
    return {**defaults, **values}


TUNNEL = entry(
    objects.TUNNEL,
    site="paris",
    target_address="10.0.0.5",
    target_ports=(PortRange(5432, 5432), PortRange(8000, 8010)),
)
USER = entry(objects.USER)
POLICY = entry(
    objects.POLICY,
    source_networks=("10.0.0.0/8",),
    windows=(parse_window("Mon-Fri 09:00-18:00 Europe/Paris"),),
    valid_until=datetime(2027, 1, 1, tzinfo=UTC),
    idle_seconds=600,
    max_token_sessions=4,
)


class DocumentContract:
    def setUp(self):
        super().setUp()
        self.store = self.open(MovingClock())
        self.world = self.store.write(make_world)

    def apply(self, **document):
        return [(step.action, step.path) for step in self.store.write(documents.apply, document)]

    def refused(self, **document):
        error = self.assertRaises(BadDocument, self.store.write, documents.apply, document)
        return dict(error.faults)

    def test_what_is_written_is_nothing_new(self):
        before = self.store.read(documents.export)
        self.assertEqual(self.apply(**before), [])
        self.assertEqual(before["groups"]["dba"]["members"], ("alice",))

    def test_a_policy_that_says_less_shortens_what_was_granted_by_it(self):
        asks = {"approval": Approval.OTHERS, "approvers": "dba", "emergency_seconds": 600}
        self.apply(policies={"ask": entry(objects.POLICY, **asks, approval_seconds=3600)})
        (policy,) = self.store.read(policies.list_page, name="ask").items
        asked = self.world.bob, self.world.tunnel, policy
        request = self.store.write(approvals.ask, *asked, source_ip="192.0.2.1")
        emergency = self.store.write(
            emergencies.begin, *asked, source_ip="192.0.2.1", reason="an outage"
        )
        grant = self.store.write(approvals.approve, request.id, self.world.alice)
        asks["emergency_seconds"] = None
        self.apply(policies={"ask": entry(objects.POLICY, **asks, approval_seconds=60)})
        for one, seconds in ((grant, 60), (emergency, 0)):
            now = self.store.read(timed_grants.get, one.id)
            self.assertEqual((now.ends_at - now.starts_at).total_seconds(), seconds)

    def test_reading_all_takes_as_many_statements_for_many_objects_as_for_few(self):
        def counted():
            return statements_of(self.store.backend._readers, self.store.read, documents.export)

        few = counted()
        self.apply(
            users={f"u{one}": USER for one in range(20)},
            groups={f"g{one}": {"title": "", "members": [f"u{one}"]} for one in range(20)},
            tunnels={
                f"t{one}": {
                    **TUNNEL,
                    "assignments": ({"user": f"u{one}", "methods": frozenset({Method.KEY})},),
                }
                for one in range(20)
            },
        )
        self.assertEqual(counted(), few)
        self.assertLess(few, 12)

    def test_onto_nothing_it_makes_all_there_was(self):
        self.store.write(
            keys.create, user_id=self.world.alice.id, public_key=public_key("a")[0], title="laptop"
        )
        self.apply(policies={"office": POLICY})
        whole = self.store.read(documents.export)
        self.store.write(sites.delete, self.world.site.id)
        self.store.write(groups.delete, self.world.dba.id)
        for person in (self.world.alice, self.world.bob):
            self.store.write(users.delete, person.id)
        self.assertGreater(len(self.apply(**whole)), 5)
        self.assertEqual(self.store.read(documents.export), whole)
        self.assertEqual(self.apply(**whole), [])

    def test_only_what_differs_is_done_and_audited(self):
        events = len(self.store.read(events_of))
        done = self.store.write(
            documents.apply, {"tunnels": {"db": {**TUNNEL, "title": "The database"}}}
        )
        self.assertEqual(
            done,
            [
                documents.Step(
                    "change",
                    "tunnels.db",
                    (documents.FieldChange("title", "", "The database"),),
                )
            ],
        )
        self.assertEqual(self.store.read(events_of)[events:], ["tunnel.changed"])
        # Without a word about its assignments they stay.
        whole = self.store.read(documents.export)
        self.assertEqual(whole["tunnels"]["db"]["assignments"][0]["group"], "dba")

    def test_lists_are_whole(self):
        assigned = [{"user": "bob", "methods": frozenset({Method.KEY}), "policy": "office"}]
        self.assertEqual(
            self.apply(
                policies={"office": POLICY},
                groups={"dba": {"title": "", "members": ("bob",)}},
                tunnels={"db": {**TUNNEL, "assignments": assigned}},
            ),
            [
                ("create", "groups.dba.members.bob"),
                ("delete", "groups.dba.members.alice"),
                ("create", "policies.office"),
                ("create", "tunnels.db.assignments.user bob"),
                ("delete", "tunnels.db.assignments.group dba"),
            ],
        )
        wider = [{**assigned[0], "methods": BOTH, "policy": None}]
        self.assertEqual(
            self.apply(tunnels={"db": {**TUNNEL, "assignments": wider}}),
            [("change", "tunnels.db.assignments.user bob")],
        )

    def test_keys(self):
        one, other = public_key("one")[0], public_key("other")[0]
        entry = {"public_key": one, "title": "", "expires_at": None}
        made = self.apply(users={"alice": {**USER, "email": "alice@example.com", "keys": (entry,)}})
        self.assertEqual([action for action, _ in made], ["create"])
        swapped = {**entry, "public_key": other}
        done = self.apply(
            users={"alice": {**USER, "email": "alice@example.com", "keys": (swapped,)}}
        )
        self.assertEqual([action for action, _ in done], ["create", "delete"])
        self.assertEqual(self.apply(users={"alice": {**USER, "email": "alice@example.com"}}), [])
        fault = self.refused(users={"bob": {**USER, "keys": (swapped,)}})
        self.assertEqual(list(fault), ["users.bob.keys.0.public_key"])

    def test_every_fault_at_once_and_nothing_done(self):
        before = self.store.read(documents.export)
        assigned = ({"user": "nobody", "methods": BOTH}, {"group": "dba", "methods": BOTH},
                    {"group": "dba", "methods": BOTH})  # fmt: skip
        faults = self.refused(
            sites={"rome": {"title": ""}},
            connectors={"rome-1": {"site": "romme", "title": ""}},
            users={"carol": {**USER, "email": "ALICE@example.com".lower()}},
            groups={"dba": {"title": "", "members": ("nobody",)}},
            tunnels={"db": {**TUNNEL, "assignments": assigned}},
        )
        self.assertEqual(
            faults,
            {
                "connectors.rome-1.site": "there is no site 'romme'",
                "users.carol.email":
                    "alice@example.com is taken by user alice: choose another",
                "groups.dba.members.0": "there is no user 'nobody'",
                "tunnels.db.assignments.0.user": "there is no user 'nobody'",
                "tunnels.db.assignments.2":
                    "group dba is there twice: name both methods in one assignment",
            },
        )  # fmt: skip
        self.assertEqual(self.store.read(documents.export), before)

    def test_a_connector_stays_in_its_site(self):
        self.apply(
            sites={"rome": {"title": ""}},
            connectors={"one": {"site": "paris", "title": ""}},
        )
        fault = self.refused(connectors={"one": {"site": "rome", "title": ""}})
        self.assertEqual(list(fault), ["connectors.one.site"])

    def test_a_reference_may_be_made_by_the_document(self):
        made = self.apply(
            sites={"rome": {"title": ""}},
            tunnels={"web": {**TUNNEL, "site": "rome", "external_address": "web.example.com"}},
        )
        self.assertEqual(made, [("create", "sites.rome"), ("create", "tunnels.web")])
        taken = self.refused(tunnels={"db": {**TUNNEL, "external_address": "web.example.com"}})
        self.assertEqual(list(taken), ["tunnels.db.external_address"])
        self.assertEqual(self.store.read(tunnels.external_addresses), ["web.example.com"])

    def test_the_last_administrator_stays_one(self):
        root = self.store.write(users.create, name="root", role=Role.ADMIN)
        before = self.store.read(documents.export)
        admin = {**USER, "role": Role.ADMIN}
        for field, wanted in (
            ("role", USER),
            ("blocked", {**admin, "blocked": True}),
            ("service", {**admin, "service": True}),
        ):
            fault = self.refused(users={"root": wanted, "carol": USER})
            self.assertEqual(list(fault), [f"users.root.{field}"])
            self.assertIn("this is the last administrator", fault[f"users.root.{field}"])
        self.assertEqual(self.store.read(documents.export), before)
        # One of two may go, in the order of the document, and the other one stays.
        self.store.write(users.create, name="toor", role=Role.ADMIN)
        fault = self.refused(users={"toor": USER, "root": {**admin, "blocked": True}})
        self.assertEqual(list(fault), ["users.root.blocked"])
        self.assertEqual(self.apply(users={"toor": USER}), [("change", "users.toor")])
        self.assertEqual(self.store.read(users.get, root.id), root)
        # A document that names no administrator removes none.
        self.assertEqual(self.apply(users={"carol": USER}), [("create", "users.carol")])
        self.assertEqual(self.store.read(users.get, root.id), root)

    def test_a_block_is_lifted_only_where_that_is_said(self):
        self.store.write(users.update, self.world.bob.id, {"blocked": True})
        silent = {**USER, "title": "Bob", "blocked": None}
        self.assertEqual(self.apply(users={"bob": silent}), [("change", "users.bob")])
        self.assertTrue(self.store.read(users.get, self.world.bob.id).blocked)
        self.apply(groups={"dba": {"title": "", "members": ("alice", "bob")}})
        self.assertTrue(self.store.read(users.get, self.world.bob.id).blocked)
        self.apply(users={"bob": {**silent, "blocked": False}})
        self.assertFalse(self.store.read(users.get, self.world.bob.id).blocked)


class SQLiteDocumentTests(DocumentContract, SQLiteCase):
    pass


class PostgresDocumentTests(DocumentContract, PostgresCase):
    pass
