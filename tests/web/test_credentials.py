"""Keys, tokens, API tokens and invitations: made, shown once, used up and revoked."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from tests.web.support import KEY, NOW, ApiTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import connectors, schema, tokens, user_views, users
from tunnelcloud.store.sessions import LoginRecord
from tunnelcloud.web.interfaces import ConnectorHealth

LOGIN = LoginRecord("alice", "192.0.2.7", "OpenSSH_9.2", "pod_" + "0" * 26)
LATER = "2127-01-01T00:00:00.000Z"


class KeyTests(ApiTestCase):
    def test_the_life_of_a_key(self):
        user = self.make_user()
        below = f"/users/{user['id']}/keys"
        key = self.api("POST", below, {"public_key": f"{KEY} alice@laptop\n", "title": "laptop"})
        self.assertEqual(key["public_key"], KEY)
        self.assertRegex(key["fingerprint"], r"^SHA256:[A-Za-z0-9+/]{43}$")
        self.assertEqual(self.api("GET", below)["items"], [key])
        changed = self.api("PATCH", f"{below}/{key['id']}", {"expires_at": LATER})
        self.assertEqual(changed["expires_at"], LATER)
        other = self.make_user("bob")
        self.api("GET", f"/users/{other['id']}/keys/{key['id']}", expect=404)
        again = self.ask("POST", f"/api/v1/users/{other['id']}/keys", {"public_key": KEY})
        self.assertEqual((again.status, again.faults), (409, ["public_key"]))
        self.api("DELETE", f"{below}/{key['id']}")
        self.assertEqual(self.api("GET", below)["items"], [])

    def test_an_expiry_that_is_over(self):
        below = f"/api/v1/users/{self.make_user()['id']}/keys"
        body = {"public_key": KEY, "expires_at": "2020-01-01T00:00:00Z"}
        self.assertEqual(self.ask("POST", below, body).faults, ["expires_at"])

    def test_own_keys(self):
        key = self.api("POST", "/me/keys", {"public_key": KEY}, role=Role.USER)
        self.assertEqual(key["user_id"], self.people[Role.USER].id)
        self.assertEqual(self.api("GET", "/me/keys", role=Role.AUDITOR)["items"], [])
        self.api("DELETE", f"/me/keys/{key['id']}", role=Role.ADMIN, expect=404)
        self.api("DELETE", f"/me/keys/{key['id']}", role=Role.USER)


class TokenTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        site = self.make_site()
        self.connector = self.store.write(connectors.create, name="c", site_id=site["id"])
        self.live.health = {self.connector.id: ConnectorHealth(1.0, 0, "1")}

    def make_token(self, **body):
        return self.api("POST", "/tokens", body)

    def test_a_token_with_its_command(self):
        tunnel, user = self.make_tunnel(), self.make_user()
        self.assign(tunnel, user)
        made = self.make_token(user_id=user["id"], tunnel_id=tunnel["id"])
        self.assertEqual(set(made), {"id", "token", "expires_at", "command", "warnings"})
        self.assertEqual(made["warnings"], [])
        self.assertEqual(
            made["command"],
            "ssh -N -o ExitOnForwardFailure=yes -o ServerAliveInterval=30 -o ControlPath=none "
            "-o PubkeyAuthentication=no -o BatchMode=no -L 127.0.0.1:5432:10.0.0.5:5432 "
            "-p 2222 alice@pod.example.com",
        )
        self.assertNotIn(made["token"], made["command"])
        spending = self.store.write(tokens.spend, hash_secret(made["token"]), LOGIN)
        self.assertEqual(spending.outcome, tokens.Outcome.SPENT)
        (listed,) = self.api("GET", f"/tokens?user_id={user['id']}")["items"]
        self.assertNotIn(made["token"], str(listed))
        self.assertEqual((listed["sessions_used"], listed["used_from"]), (1, "192.0.2.7"))

    def test_one_that_opens_nothing_now(self):
        """It is made all the same: the tunnel may open before the token expires."""
        user = self.make_user()
        shut = "the token opens nothing now: "
        nothing = f"{shut}no tunnel that opens with a one-time token is assigned to alice"
        self.assertEqual(self.make_token(user_id=user["id"])["warnings"], [nothing])
        tunnel = self.make_tunnel(enabled=False)
        policy = self.api(
            "POST", "/policies", {"name": "old", "valid_until": "2020-01-01T00:00:00Z"}
        )
        self.assign(tunnel, user, policy_id=policy["id"])
        body = {"user_id": user["id"], "tunnel_id": tunnel["id"]}
        for change, said in [
            ({}, "db: disabled; an administrator can enable it"),
            ({"enabled": True}, "db: closed 2020-01-01 00:00 UTC"),
        ]:
            self.api("PATCH", f"/tunnels/{tunnel['id']}", change)
            for asked in (body, {"user_id": user["id"]}):
                made = self.make_token(**asked)
                self.assertEqual(made["warnings"], [f"{shut}{said}"])
        other = self.make_tunnel("web")
        self.assign(other, user)
        self.assertEqual(self.make_token(user_id=user["id"])["warnings"], [])
        self.assertEqual(len(self.make_token(**body)["warnings"]), 1)

    def test_one_whose_site_has_no_connector_attached(self):
        user, tunnel = self.make_user(), self.make_tunnel()
        self.assign(tunnel, user)
        self.live.health = {}
        told = "the token opens nothing now: db: "
        body = {"user_id": user["id"], "tunnel_id": tunnel["id"]}
        for asked in (body, {"user_id": user["id"]}):
            warnings = self.make_token(**asked)["warnings"]
            self.assertEqual(warnings, [f"{told}no connector of site paris has joined yet"])
        seen = datetime.fromtimestamp(NOW, UTC) - timedelta(days=2)
        self.store.write(
            lambda transaction: transaction.connection.execute(
                update(schema.connectors).values(last_seen_at=seen)
            )
        )
        warnings = self.make_token(**body)["warnings"]
        self.assertEqual(warnings, [f"{told}site offline since {seen:%Y-%m-%d %H:%M} UTC"])
        # A token for everything has another way.
        site = self.api("POST", "/sites", {"name": "rome"})
        other = self.store.write(connectors.create, name="r", site_id=site["id"])
        self.live.health = {other.id: ConnectorHealth(1.0, 0, "1")}
        self.assign(self.make_tunnel("web", site_id=site["id"]), user)
        self.assertEqual(self.make_token(user_id=user["id"])["warnings"], [])
        self.assertEqual(self.make_token(**body)["warnings"], warnings)

    def test_without_a_tunnel(self):
        user = self.make_user()
        made = self.make_token(user_id=user["id"])
        options = "-o ControlPath=none -o PubkeyAuthentication=no -o BatchMode=no"
        shell = f"ssh {options} -p 2222 alice@pod.example.com"
        self.assertEqual(made["command"], shell)
        self.assign(self.make_tunnel(), user)
        self.assertIn("-L 127.0.0.1:5432:", self.make_token(user_id=user["id"])["command"])
        self.assign(self.make_tunnel("web"), user)
        self.assertEqual(self.make_token(user_id=user["id"])["command"], shell)

    def test_what_it_opens_is_read_beside_the_writes(self):
        """A user may have thousands of tunnels, and logins wait behind each write."""
        readers, load = self.store.backend._readers, user_views.load_view

        def reads(transaction, user_id):
            self.assertIs(transaction.connection.engine, readers)
            return load(transaction, user_id)

        self.patch(user_views, "load_view", reads)
        self.api("POST", "/me/tokens", {}, role=Role.USER)

    def test_a_revoked_token_opens_nothing(self):
        made = self.make_token(user_id=self.make_user()["id"])
        self.api("DELETE", f"/tokens/{made['id']}")
        spending = self.store.write(tokens.spend, hash_secret(made["token"]), LOGIN)
        self.assertEqual(spending.outcome, tokens.Outcome.REVOKED)
        self.assertIsNotNone(self.api("GET", f"/tokens/{made['id']}")["revoked_at"])

    def refused(self, **body):
        answer = self.ask("POST", "/api/v1/tokens", body)
        return answer.status, answer.faults

    def test_what_is_refused(self):
        tunnel, user = self.make_tunnel(), self.make_user()
        mine = {"user_id": user["id"], "tunnel_id": tunnel["id"]}
        self.assertEqual(self.refused(user_id="usr_" + "0" * 26), (409, ["user_id"]))
        self.assertEqual(self.refused(**mine), (409, ["tunnel_id"]))
        self.assign(tunnel, user, ["key"])
        self.assertEqual(self.refused(**mine), (409, ["tunnel_id"]))
        self.assertEqual(self.refused(user_id=user["id"], sessions=2), (409, ["sessions"]))
        self.assertEqual(self.refused(user_id=user["id"], sessions=9), (422, ["sessions"]))
        self.api("PATCH", f"/users/{user['id']}", {"blocked": True})
        self.assertEqual(self.refused(user_id=user["id"]), (409, ["user_id"]))
        self.assertEqual(self.api("GET", "/tokens")["items"], [])

    def test_several_sessions_where_the_policy_allows(self):
        tunnel, user = self.make_tunnel(), self.make_user()
        policy = self.api("POST", "/policies", {"name": "gui", "max_token_sessions": 3})
        self.assign(tunnel, user, policy_id=policy["id"])
        mine = {"user_id": user["id"], "tunnel_id": tunnel["id"]}
        self.assertEqual(self.refused(**mine, sessions=4), (409, ["sessions"]))
        self.make_token(**mine, sessions=3)

    def test_own_tokens(self):
        made = self.api("POST", "/me/tokens", {}, role=Role.USER)
        (listed,) = self.api("GET", "/me/tokens", role=Role.USER)["items"]
        self.assertEqual(listed["id"], made["id"])
        self.assertEqual(self.api("GET", "/me/tokens", role=Role.AUDITOR)["items"], [])
        self.api("DELETE", f"/me/tokens/{made['id']}", role=Role.AUDITOR, expect=404)
        self.api("DELETE", f"/me/tokens/{made['id']}", role=Role.USER)


class ApiTokenTests(ApiTestCase):
    def test_the_life_of_an_api_token(self):
        made = self.api("POST", "/api-tokens", {"title": "ci", "role": "auditor"})
        self.secrets["ci"] = made["token"]
        self.assertEqual(self.ask("GET", "/api/v1/sites", role="ci").status, 200)
        self.assertEqual(self.ask("GET", "/api/v1/me/tunnels", role="ci").status, 403)
        self.assertEqual(self.api("GET", "/me", role="ci"), {"role": "auditor", "user": None})
        # The use is written down beside the answers; writes wait for those before them.
        self.store.write(lambda transaction: transaction.now())
        shown = self.api("GET", f"/api-tokens/{made['id']}")
        self.assertNotIn("token", shown)
        self.assertIsNotNone(shown["last_used_at"])
        self.api("DELETE", f"/api-tokens/{made['id']}")
        self.assertEqual(self.ask("GET", "/api/v1/sites", role="ci").status, 401)

    def test_no_more_than_its_user(self):
        user = self.make_user()
        for body, fault in [
            ({"role": "admin", "user_id": user["id"]}, "role"),
            ({"role": "user"}, "user_id"),
            ({"role": "user", "user_id": "usr_" + "0" * 26}, "user_id"),
            ({"role": "admin", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ]:
            answer = self.ask("POST", "/api/v1/api-tokens", body)
            self.assertEqual((answer.status, answer.faults), (409, [fault]))

    def test_whose_deed_it_is(self):
        """A person's token that somebody else made, and has seen, doesn't act in their name."""
        person, robot = self.people[Role.USER], self.make_user("robot", service=True)
        for user_id, kind in ((person.id, "api_token"), (robot["id"], "user")):
            body = {"title": "alice", "role": "user", "user_id": user_id}
            made = self.api("POST", "/api-tokens", body)
            self.secrets["made"] = made["token"]
            self.assertEqual(self.api("GET", "/me", role="made")["user"]["id"], user_id)
            self.api("POST", "/me/tokens", {}, role="made")
            (event, *_) = self.api("GET", "/audit?event=token.created")["items"]
            self.assertEqual((event["user_id"], event["actor_kind"]), (user_id, kind))
            self.assertEqual(event["actor_id"], made["id"] if kind == "api_token" else user_id)

    def test_what_others_have_seen_makes_no_further_secret(self):
        """Nobody could tell with whose rights it has to end."""
        admin = self.store.write(users.create, name="boss", role=Role.ADMIN)
        body = {"title": "x", "role": "admin", "user_id": admin.id}
        self.secrets["made"] = self.api("POST", "/api-tokens", body)["token"]
        self.api("POST", "/sites", {"name": "rome"}, role="made")
        for path, given in (("/api-tokens", body), (f"/users/{admin.id}/invitations", None)):
            problem = self.api("POST", path, given, role="made", expect=403)
            self.assertIn("somebody else created this API token", problem["detail"])

    def test_an_invitation(self):
        made = self.api("POST", f"/users/{self.make_user()['id']}/invitations")
        self.assertRegex(made["url"], r"^https://portal\.example\.com/invitation/tcl_[a-z2-7]{26}$")
