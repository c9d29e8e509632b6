"""Bearer tokens, one-time links, passwords and portal sign-ins: good while they last."""

from __future__ import annotations

from datetime import timedelta

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, make_world
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import (
    api_tokens,
    audit,
    invitations,
    preferences,
    stored_secrets,
    users,
    web_sessions,
)
from tunnelcloud.store.errors import Conflict, InvalidReference, NotFound


class CredentialContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)

    def events(self, name):
        return [one.event for one in self.store.read(audit.list_page, event=name).items]

    def add_api_token(self, secret=b"api", **fields):
        given = {"title": "ci", "role": Role.AUDITOR, **fields}
        return self.store.write(api_tokens.create, secret_hash=secret, **given)

    def test_an_api_token_authenticates_until_it_ends(self):
        token = self.add_api_token(expires_at=self.clock.moment + timedelta(seconds=10))
        self.assertEqual(self.store.read(api_tokens.authenticate, b"api"), token)
        self.assertIsNone(self.store.read(api_tokens.authenticate, b"other"))
        self.clock.advance(10)
        self.assertIsNone(self.store.read(api_tokens.authenticate, b"api"))

    def test_an_api_token_of_a_blocked_user_is_none(self):
        self.add_api_token(user_id=self.world.alice.id)
        self.assertIsNotNone(self.store.read(api_tokens.authenticate, b"api"))
        self.store.write(users.update, self.world.alice.id, {"blocked": True})
        self.assertIsNone(self.store.read(api_tokens.authenticate, b"api"))
        self.store.write(users.delete, self.world.alice.id)
        self.assertEqual(self.store.read(api_tokens.API_TOKENS.count), 0)

    def test_the_use_of_an_api_token_is_recorded_now_and_then(self):
        token = self.add_api_token()
        self.assertTrue(api_tokens.needs_recording(token, self.clock.moment))
        self.store.write(api_tokens.record_use, token.id)
        token = self.store.read(api_tokens.get, token.id)
        self.assertEqual(token.last_used_at, self.clock.moment)
        self.clock.advance(59)
        self.assertFalse(api_tokens.needs_recording(token, self.clock.moment))
        self.clock.advance(1)
        self.assertTrue(api_tokens.needs_recording(token, self.clock.moment))

    def test_an_api_token_is_audited_without_its_secret(self):
        token = self.add_api_token(user_id=self.world.alice.id)
        self.store.write(api_tokens.delete, token.id)
        [event] = self.events("api_token.created")
        self.assertEqual(event.data["object_name"], "ci")
        self.assertEqual(event.user_name, "alice")
        self.assertNotIn("secret", repr(event))
        self.assertEqual(len(self.events("api_token.deleted")), 1)
        self.assertRaises(InvalidReference, self.add_api_token, user_id="usr_none")

    def invite(self, secret=b"link", user_id=None):
        return self.store.write(
            invitations.create, user_id=user_id, secret_hash=secret, lifetime_seconds=100
        )

    def test_a_link_is_good_once(self):
        link = self.invite(user_id=self.world.alice.id)
        self.assertEqual(self.store.read(invitations.peek, b"link"), link)
        redeemed = self.store.write(invitations.redeem, b"link")
        self.assertEqual(redeemed.user_id, self.world.alice.id)
        self.assertEqual(redeemed.redeemed_at, self.clock.moment)
        self.assertIsNone(self.store.write(invitations.redeem, b"link"))
        self.assertIsNone(self.store.read(invitations.peek, b"link"))
        self.assertIsNone(self.store.write(invitations.redeem, b"other"))
        [event] = self.events("user.invited")
        self.assertEqual(event.user_name, "alice")

    def test_a_link_ends_in_time(self):
        self.invite()
        self.clock.advance(100)
        self.assertIsNone(self.store.read(invitations.peek, b"link"))
        self.assertIsNone(self.store.write(invitations.redeem, b"link"))

    def test_a_new_link_ends_the_users_last_and_no_others(self):
        self.invite(b"first", self.world.alice.id)
        self.invite(b"bob", self.world.bob.id)
        self.invite(b"admin")
        self.invite(b"second", self.world.alice.id)
        self.assertIsNone(self.store.read(invitations.peek, b"first"))
        for secret in (b"bob", b"admin", b"second"):
            self.assertIsNotNone(self.store.read(invitations.peek, secret))
        self.invite(b"admin-2")
        self.assertIsNone(self.store.read(invitations.peek, b"admin"))
        self.assertRaises(NotFound, self.invite, b"x", "usr_none")

    def sign_in(self, secret=b"cookie"):
        return self.store.write(
            web_sessions.create,
            user_id=self.world.alice.id,
            secret_hash=secret,
            lifetime_seconds=100,
            method="password",
            source_ip="192.0.2.1",
            user_agent="Firefox",
        )

    def test_a_sign_in_lasts_while_it_is_used(self):
        session = self.sign_in()
        found = self.store.read(web_sessions.authenticate, b"cookie")
        self.assertEqual(found, (session, self.world.alice))
        self.clock.advance(99)
        self.store.write(web_sessions.touch, session.id, lifetime_seconds=100)
        self.clock.advance(99)
        self.assertIsNotNone(self.store.read(web_sessions.authenticate, b"cookie"))
        self.assertEqual(self.store.write(web_sessions.forget_expired), 0)
        self.clock.advance(1)
        self.assertIsNone(self.store.read(web_sessions.authenticate, b"cookie"))
        self.assertEqual(self.store.write(web_sessions.forget_expired), 1)

    def test_a_sign_in_can_be_ended(self):
        session = self.sign_in()
        self.sign_in(b"other")
        self.assertTrue(self.store.write(web_sessions.end, session.id, reason="signed out"))
        self.assertFalse(self.store.write(web_sessions.end, session.id, reason="signed out"))
        self.assertIsNone(self.store.read(web_sessions.authenticate, b"cookie"))
        self.assertIsNotNone(self.store.read(web_sessions.authenticate, b"other"))
        [event] = self.events("web_login.ended")
        self.assertEqual(event.data, {"reason": "signed out"})

    def test_a_blocked_user_is_signed_in_nowhere(self):
        self.sign_in()
        self.store.write(users.update, self.world.alice.id, {"blocked": True})
        self.assertIsNone(self.store.read(web_sessions.authenticate, b"cookie"))

    def test_a_new_password_signs_the_user_out(self):
        alice = self.world.alice.id
        self.assertIsNone(self.store.read(users.password_hash, alice))
        self.sign_in()
        self.store.write(users.set_password, alice, "$argon2id$canary")
        self.assertEqual(self.store.read(users.password_hash, alice), "$argon2id$canary")
        self.assertIsNone(self.store.read(web_sessions.authenticate, b"cookie"))
        self.assertIsNone(self.store.read(users.password_hash, self.world.bob.id))
        for record in self.store.read(audit.list_page).items:
            self.assertNotIn("canary", repr(record))

    def test_of_two_password_changes_at_once_one_counts(self):
        alice = self.world.alice.id
        self.store.write(users.set_password, alice, "$old")
        self.store.write(users.set_password, alice, "$reset")
        error = self.assertRaises(
            Conflict, self.store.write, users.set_password, alice, "$mine", instead_of="$old"
        )
        self.assertEqual(error.field, "current")
        self.assertEqual(self.store.read(users.password_hash, alice), "$reset")
        self.store.write(users.set_password, alice, "$mine", instead_of="$reset")
        self.assertEqual(self.store.read(users.password_hash, alice), "$mine")

    def test_of_authorities_the_first_counts(self):
        self.assertIsNone(self.store.read(stored_secrets.load, "ca"))
        self.assertEqual(self.store.write(stored_secrets.keep_first, "ca", b"one\x00"), b"one\x00")
        self.assertEqual(self.store.write(stored_secrets.keep_first, "ca", b"two"), b"one\x00")
        self.assertEqual(self.store.read(stored_secrets.load, "ca"), b"one\x00")

    def test_a_preference_is_what_was_set_last(self):
        self.assertEqual(self.store.read(preferences.load, "audit"), {})
        self.store.write(preferences.keep, "audit", {"days": 90})
        self.store.write(preferences.keep, "audit", {"days": 30})
        self.assertEqual(self.store.read(preferences.load, "audit"), {"days": 30})

    def test_a_user_has_so_many_api_tokens(self):
        self.patch(api_tokens, "MOST_OF_A_USER", 3)

        def make(number, **given):
            return self.store.write(
                api_tokens.create, title="x", role=Role.USER, secret_hash=b"%d" % number, **given
            )

        alice, bob = self.world.alice.id, self.world.bob.id
        soon = self.store.read(lambda transaction: transaction.now()) + timedelta(seconds=60)
        for number in range(3):
            made = make(number, user_id=alice, expires_at=soon if number else None)
        error = self.assertRaises(Conflict, make, 3, user_id=alice)
        self.assertIn("has 3 API tokens and terminal logins", str(error))
        self.store.write(api_tokens.delete, made.id)
        make(4, user_id=alice)
        # Another's, and those of nobody, are counted apart; what has expired isn't any more.
        make(5, user_id=bob)
        make(6)
        self.clock.advance(60)
        make(7, user_id=alice)

    def test_of_too_many_sign_ins_those_end_that_were_not_used_for_longest(self):
        self.patch(web_sessions, "MOST_OF_A_USER", 3)
        made = []
        for number in range(5):
            self.clock.advance(1)
            if number == 4:
                self.store.write(web_sessions.touch, made[1].id, lifetime_seconds=600)
                self.clock.advance(1)
            made.append(
                self.store.write(
                    web_sessions.create, user_id=self.world.alice.id, secret_hash=b"%d" % number,
                    lifetime_seconds=600, method="password", source_ip="192.0.2.1", user_agent="x",
                )
            )  # fmt: skip
        left = {one.id for one in self.store.read(web_sessions.list_page).items}
        self.assertEqual(left, {made[1].id, made[3].id, made[4].id})
        ended = self.events("web_login.ended")
        self.assertEqual([one.data["reason"] for one in ended], ["too many sign-ins"] * 2)


class SQLiteCredentialTests(CredentialContract, SQLiteCase):
    pass


class PostgresCredentialTests(CredentialContract, PostgresCase):
    pass
