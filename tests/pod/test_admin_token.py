"""The token of the first start: made while nobody else can administer, deleted when not needed."""

from datetime import timedelta
from pathlib import Path

from twisted.internet.defer import Deferred

from tests.logs import logged
from tests.pod.acme.test_keeper import StoreAtOnce
from tests.store.databases import SQLiteCase
from tests.store.material import MovingClock
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.pod.admin_token import FILE_NAME, UNUSED, Retirement, ensure
from tunnelcloud.store import api_tokens, audit, identities, identity_providers, users

DAY = timedelta(days=1).total_seconds()


class AdminTokenTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.file = self.state / FILE_NAME
        ensure(self.store, self.state)

    def token(self):
        secret = self.file.read_text().strip()
        return self.store.read(api_tokens.authenticate, hash_secret(secret))

    def administrator(self, name="root", **values):
        user = self.store.write(users.create, name=name, role=Role.ADMIN, **values)
        self.store.write(users.set_password, user.id, "a hash")
        return user

    def look(self):
        looking = Retirement(StoreAtOnce(self.store), self.state).look()
        return logged(lambda: self.successResultOf(Deferred.fromCoroutine(looking)))

    def test_it_goes_a_day_after_the_first_administrator_came(self):
        token = self.token()
        self.clock.advance(2 * DAY)
        self.look()
        self.administrator()
        self.look()
        self.clock.advance(DAY - 1)
        self.look()
        self.assertEqual(self.token(), token)
        self.clock.advance(1)
        self.assertIn("is retired", self.look())
        self.assertFalse(self.file.exists())
        self.assertEqual(self.store.read(api_tokens.list_page).items, ())
        (event,) = self.store.read(audit.list_page, event="api_token.deleted").items
        self.assertEqual(event.event.data["object_id"], token.id)
        self.assertEqual(self.look(), "")

    def test_it_stays_while_somebody_uses_it(self):
        self.administrator()
        for _ in range(3):
            self.clock.advance(DAY - 1)
            self.store.write(api_tokens.record_use, self.token().id)
            self.look()
            self.assertTrue(self.file.exists())
        self.clock.advance(UNUSED.total_seconds())
        self.look()
        self.assertFalse(self.file.exists())

    def test_who_cannot_sign_in_is_no_administrator(self):
        self.store.write(users.create, name="invited", role=Role.ADMIN)
        user = self.administrator("blocked")
        self.administrator("other")
        self.store.write(users.update, user.id, {"blocked": True})
        other = self.store.read(users.find, "other")
        self.store.write(users.update, other.id, {"role": Role.AUDITOR})
        self.clock.advance(2 * DAY)
        self.look()
        self.assertTrue(self.file.exists())

    def test_who_signs_in_through_a_disabled_provider_can_not(self):
        provider = self.store.write(
            identity_providers.create, name="idp", issuer="https://idp.example", client_id="x"
        )
        root = self.store.write(users.create, name="root", role=Role.ADMIN)
        person = identities.Person("1", "root", "", None, None)
        self.store.write(identities._link, provider, person, root, "test")
        self.store.write(identity_providers.update, provider.id, {"enabled": False})
        self.clock.advance(2 * DAY)
        self.look()
        self.assertTrue(self.file.exists())
        self.store.write(identity_providers.update, provider.id, {"enabled": True})
        self.look()
        self.assertFalse(self.file.exists())

    def test_it_is_not_made_again(self):
        self.administrator()
        self.clock.advance(2 * DAY)
        self.look()
        ensure(self.store, self.state)
        self.assertFalse(self.file.exists())

    def test_it_is_not_made_again_because_the_clock_went_back(self):
        self.administrator()
        self.clock.advance(2 * DAY)
        self.look()
        self.clock.advance(-30 * DAY)
        ensure(self.store, self.state)
        self.assertFalse(self.file.exists())

    def test_a_file_of_somebody_else(self):
        self.administrator()
        self.clock.advance(2 * DAY)
        for content in (b"another token\n", b"\xff\n"):
            self.file.write_bytes(content)
            self.assertEqual(self.look(), "")
            self.assertEqual(self.file.read_bytes(), content)
