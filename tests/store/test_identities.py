"""Identity providers and their people, alike on both databases."""

from __future__ import annotations

from itertools import product

from attrs import evolve
from sqlalchemy import select

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, make_world
from tests.store.plans import statements_of
from tunnelcloud.domain.names import read_user_name
from tunnelcloud.domain.objects.identity_providers import LinkBy
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.slugs import name_of
from tunnelcloud.store import (
    api_tokens,
    audit,
    groups,
    identities,
    identity_links,
    identity_providers,
    users,
    web_sessions,
)
from tunnelcloud.store.errors import Conflict, InvalidReference
from tunnelcloud.store.identities import NotLetIn, Person
from tunnelcloud.store.schema import identities as table
from tunnelcloud.store.transaction import Actor


class IdentityContract:
    def setUp(self):
        super().setUp()
        self.store = self.open(MovingClock())
        self.world = self.store.write(make_world)
        self.person = Person("sub-1", "carol", "Carol", "carol@example.com", {"db"})

    def make(self, name="corp", **fields):
        given = {"issuer": "https://login.example.com", "client_id": "tc", **fields}
        return self.store.write(identity_providers.create, name=name, **given)

    def enter(self, provider, **changes):
        person = evolve(self.person, **changes)
        return self.store.write(identities.enter, provider, person)

    def subjects(self, user):
        query = select(table.c.subject).where(table.c.user_id == user.id)
        return self.store.read(
            lambda transaction: list(transaction.connection.execute(query).scalars())
        )

    def test_a_provider_and_its_secret(self):
        made = self.make(seal_secret=lambda object_id: object_id.encode())
        self.assertIs(made.has_client_secret, True)
        found = self.store.read(identity_providers.sealed_client_secret, made.id)
        self.assertEqual(found, made.id.encode())
        changed = self.store.write(
            identity_providers.update, made.id, {"seal_secret": None, "title": "Corp"}
        )
        self.assertEqual((changed.title, changed.has_client_secret), ("Corp", False))
        self.assertIs(self.make("public").has_client_secret, False)
        self.assertIsNone(self.store.read(identity_providers.find_offered, "corp"))
        failed = self.store.write(identity_providers.note_check, made.id, "it is away")
        self.assertEqual((failed.check_fault, failed.checked_at), ("it is away", None))
        self.assertIsNone(self.store.read(identity_providers.find_offered, "corp"))
        checked = self.store.write(identity_providers.note_check, made.id, "")
        self.assertEqual(self.store.read(identity_providers.find_offered, "corp"), checked)
        failed = self.store.write(identity_providers.note_check, made.id, "it is away")
        self.assertEqual(failed.checked_at, checked.checked_at)
        self.assertEqual(self.store.read(identity_providers.find_offered, "corp"), failed)
        events = self.store.read(audit.list_page, event="identity_provider.checked").items
        self.assertEqual(len(events), 3)
        with self.assertRaises(Conflict):
            self.make()
        with self.assertRaises(Conflict):
            self.store.write(identity_providers.update, made.id, {"issuer": "https://x"})
        with self.assertRaises(InvalidReference):
            self.make("other", group_map={"x": "nobody"})

    def test_a_newcomer_and_their_groups(self):
        provider = self.make(create_users=True, group_map={"db": "dba", "x": "dba"})
        carol = self.enter(provider)
        members = self.store.read(groups.list_members, self.world.dba.id).items
        self.assertIn(carol, members)
        self.assertEqual(self.enter(provider, name="other", groups=frozenset()), carol)
        members = self.store.read(groups.list_members, self.world.dba.id).items
        self.assertEqual(members, (self.world.alice,))
        self.assertEqual(self.subjects(carol), ["sub-1"])
        (event,) = self.store.read(audit.list_page, event="identity.linked").items
        self.assertEqual(event.event.data["by"], "created")

    def test_who_leaves_at_the_provider_leaves_a_group_with_a_new_name(self):
        provider = self.make(create_users=True, group_map={"db": "dba", "x": "dba"})
        carol = self.enter(provider)
        self.store.write(groups.update, self.world.dba.id, {"name": "databases"})
        found = self.store.read(identity_providers.get, provider.id)
        self.assertEqual(found.group_map, {"db": "databases", "x": "databases"})
        events = self.store.read(audit.list_page, event="identity_provider.changed").items
        self.assertEqual(len(events), 1)
        self.enter(found, groups=frozenset())
        members = self.store.read(groups.list_members, self.world.dba.id).items
        self.assertNotIn(carol, members)

    def test_a_new_group_with_an_old_name_is_another_group(self):
        other = self.store.write(groups.create, name="ops")
        provider = self.make(create_users=True, group_map={"db": "dba", "x": "ops"})
        self.store.write(groups.update, self.world.dba.id, {"name": "databases"})
        self.store.write(groups.delete, other.id)
        new = [self.store.write(groups.create, name=name) for name in ("dba", "ops")]
        found = self.store.read(identity_providers.get, provider.id)
        carol = self.enter(found, groups=frozenset({"db", "x"}))
        for one in new:
            self.assertEqual(self.store.read(groups.list_members, one.id).items, ())
        members = self.store.read(groups.list_members, self.world.dba.id).items
        self.assertIn(carol, members)

    def test_nobody_is_called_as_no_user_may_be(self):
        """Whoever chooses their name at the provider acts neither as the system nor by an id."""
        provider = self.make(create_users=True)
        for number, wanted in enumerate(["system", "System", "tcptunnel", self.world.alice.id]):
            name, made = name_of([wanted])
            found = self.enter(provider, subject=f"sub-{number}", name=name, made=made, email=None)
            self.assertEqual(read_user_name(found.name), found.name)
        self.assertEqual(self.store.read(users.find, self.world.alice.id), self.world.alice)

    def test_an_id_means_whose_it_is(self):
        """Also where a user of an older version has it for a name."""
        self.store.write(users.create, name=self.world.alice.id)
        self.assertEqual(self.store.read(users.find, self.world.alice.id), self.world.alice)

    def test_who_is_found(self):
        provider = self.make(link_by=LinkBy.EMAIL)
        email = self.world.alice.email
        self.assertEqual(self.enter(provider, email=email), self.world.alice)
        with self.assertRaises(NotLetIn):
            self.enter(provider, subject="sub-2", email=email)
        with self.assertRaises(NotLetIn):
            self.enter(provider, subject="sub-2", email=None, name="bob")
        by_name = self.make("names", link_by=LinkBy.NAME)
        self.assertEqual(self.enter(by_name, name="Bob"), self.world.bob)
        with self.assertRaises(NotLetIn):
            self.enter(by_name, subject="sub-2", name=email)

    def test_what_ends_with_a_provider(self):
        provider = self.make(create_users=True)
        carol, dora = self.enter(provider), self.world.alice
        for who in (carol, dora):
            self.let_a_command_line_in(who)
        for secret, provider_id in [(b"theirs", provider.id), (b"own", None)]:
            self.store.write(
                web_sessions.create,
                user_id=carol.id,
                secret_hash=secret,
                lifetime_seconds=60,
                method="x",
                source_ip="192.0.2.1",
                user_agent="",
                provider_id=provider_id,
            )
        self.store.write(identity_providers.update, provider.id, {"enabled": False})
        self.assertIsNone(self.store.read(web_sessions.authenticate, b"theirs"))
        self.assertIsNotNone(self.store.read(web_sessions.authenticate, b"own"))
        self.assertEqual(self.command_lines(), [dora.id], "of carol's nobody knows how she came")
        self.let_a_command_line_in(carol)
        self.store.write(identity_providers.update, provider.id, {"title": "still disabled"})
        self.assertEqual(self.command_lines(), [dora.id, carol.id])
        self.store.write(identity_providers.update, provider.id, {"enabled": True})
        self.assertIsNone(self.store.read(identity_providers.find_offered, "corp"))
        self.store.write(identity_providers.delete, provider.id)
        self.assertEqual(self.store.read(users.get, carol.id), carol)
        self.assertEqual(self.subjects(carol), [])
        self.assertEqual(self.command_lines(), [dora.id])

    def test_ending_many_takes_as_many_statements_as_ending_few(self):
        """Others' logins wait for it: of 4,000 people it took twelve seconds."""
        backend = self.store.backend
        engine = backend._writer if self.url == "sqlite" else backend._writers
        ways = (identity_providers.update, {"enabled": False}), (identity_providers.delete,)
        counts = []
        for number, (people, (way, *rest)) in enumerate(product((3, 6), ways)):
            provider = self.make(
                f"corp-{number}", issuer=f"https://{number}.example.com", create_users=True
            )
            for person in range(people):
                name = f"person-{number}-{person}"
                who = self.enter(provider, subject=name, name=name, email=None, groups=None)
                self.let_a_command_line_in(who)
                for sign_in in range(2):
                    self.store.write(
                        web_sessions.create,
                        user_id=who.id,
                        secret_hash=f"{name} {sign_in}".encode(),
                        lifetime_seconds=600,
                        method="corp",
                        source_ip="192.0.2.1",
                        user_agent="x",
                        provider_id=provider.id,
                    )
            counts.append(statements_of(engine, self.store.write, way, provider.id, *rest))
            for event, wanted in (("web_login.ended", 2), ("user.access_ended", 1)):
                found = self.store.read(audit.list_page, event=event, limit=200).items
                of_these = [
                    one
                    for one in found
                    if (one.event.user_name or "").startswith(f"person-{number}-")
                ]
                self.assertEqual(len(of_these), wanted * people)
        self.assertEqual(counts[:2], counts[2:])
        self.assertEqual(self.command_lines(), [])

    def let_a_command_line_in(self, user):
        self.store.acting(Actor(user.name, user.id)).write(
            api_tokens.create,
            title="laptop",
            role=Role.USER,
            secret_hash=f"{user.name} {len(self.command_lines())}".encode(),
            user_id=user.id,
        )

    def command_lines(self):
        return [one.user_id for one in self.store.read(api_tokens.list_page).items]

    def test_unlinking_ends_command_lines(self):
        provider = self.make(create_users=True)
        carol = self.enter(provider, groups=None)
        self.let_a_command_line_in(carol)
        self.store.write(identity_links.unlink, carol.id, provider.id)
        self.assertEqual(self.command_lines(), [])


class SQLiteIdentityTests(IdentityContract, SQLiteCase):
    pass


class PostgresIdentityTests(IdentityContract, PostgresCase):
    pass
