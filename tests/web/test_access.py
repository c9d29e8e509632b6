"""Credentials, sessions, explanations, and what users do for themselves."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from tests.web.support import KEY, NOW, ApiTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.target_certificates import SeenCertificate
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store import channels, connectors, schema, sessions, tokens, tunnels, users
from tunnelcloud.store.sessions import LoginRecord
from tunnelcloud.web.interfaces import (
    ConnectorHealth,
    LastCheck,
    LiveChannel,
    LiveSession,
    Usage,
)

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


class SessionTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user, self.tunnel = self.make_user(), self.make_tunnel()
        secret = self.api("POST", "/tokens", {"user_id": self.user["id"]})["token"]
        self.session = self.store.write(tokens.spend, hash_secret(secret), LOGIN).session
        tunnel = self.store.read(tunnels.get, self.tunnel["id"])
        self.channel = self.store.write(
            channels.open, self.session, tunnel, destination="db", port=5432
        )

    def test_live_bytes(self):
        site = self.tunnel["site_id"]
        connector = self.api("POST", "/connectors", {"name": "paris-1", "site_id": site})
        live = LiveChannel(self.channel.id, 10, 20, connector["id"], 1.5, 2.5)
        self.live.sessions = [LiveSession(self.session.id, 11, 22, 3.5, 4.5)]
        self.live.channels = {self.session.id: [live]}
        (shown,) = self.api("GET", f"/sessions?live=true&user_id={self.user['id']}")["items"]
        self.assertEqual((shown["bytes_to_target"], shown["bytes_from_target"]), (11, 22))
        (channel,) = self.api("GET", f"/sessions/{self.session.id}/channels")["items"]
        self.assertEqual((channel["bytes_to_target"], channel["bytes_from_target"]), (10, 20))
        self.assertEqual((channel["destination"], channel["port"]), ("db", 5432))
        self.assertEqual(channel["connector_id"], live.connector_id)
        self.assertEqual((shown["rate_to_target"], shown["rate_from_target"]), (3.5, 4.5))
        self.assertEqual((shown["user_name"], shown["tunnel_name"]), ("alice", None))
        self.assertEqual(self.api("GET", f"/sessions/{self.session.id}"), shown)
        names = {"user_name": "alice", "tunnel_name": "db", "connector_name": "paris-1"}
        rates = {"source_ip": "192.0.2.7", "rate_to_target": 1.5, "rate_from_target": 2.5}
        self.assertEqual({**channel, **names, **rates}, channel)
        self.assertEqual(self.api("GET", "/sessions?live=false")["items"], [])

    def test_what_is_open_elsewhere_or_over_has_no_rate(self):
        for path in ("/sessions", f"/sessions/{self.session.id}/channels"):
            (shown,) = self.api("GET", path)["items"]
            self.assertIsNone(shown["rate_to_target"])
        self.store.write(sessions.end, self.session.id, reason="done")
        self.live.sessions = [LiveSession(self.session.id, 11, 22, 3.5, 4.5)]
        (shown,) = self.api("GET", "/sessions")["items"]
        self.assertIsNone(shown["rate_from_target"])
        # Who is gone is still called what they were.
        self.api("DELETE", f"/users/{self.user['id']}")
        self.assertEqual(self.api("GET", "/sessions")["items"][0]["user_name"], "alice")

    def test_ending(self):
        path = f"/sessions/{self.session.id}"
        self.api("DELETE", f"{path}/channels/{self.channel.id}")
        self.api("DELETE", path)
        reason = "ended by administrator the-admin"
        self.assertEqual(self.live.ended, [(self.channel.id, reason), (self.session.id, reason)])
        found = self.api("GET", "/audit?limit=2")["items"]
        self.assertEqual(
            [one["event"] for one in found], ["session.end_requested", "channel.end_requested"]
        )
        self.assertEqual({one["actor_id"] for one in found}, {self.people[Role.ADMIN].id})
        self.assertEqual({one["session_id"] for one in found}, {self.session.id})
        self.store.write(sessions.end, self.session.id, reason="done")
        self.api("DELETE", path)
        self.assertEqual(len(self.live.ended), 2)

    def test_a_tokens_title_reads_like_nobody(self):
        made = self.api("POST", "/api-tokens", {"title": "alice", "role": "admin"})
        self.secrets["ci"] = made["token"]
        self.api("DELETE", f"/sessions/{self.session.id}", role="ci")
        self.assertEqual(self.live.ended, [(self.session.id, 'ended by API token "alice"')])
        (event,) = self.api("GET", "/audit?event=session.end_requested")["items"]
        self.assertEqual((event["actor_kind"], event["actor_id"]), ("api_token", made["id"]))

    def test_others_sessions_are_not_ones_own(self):
        for method, path in [
            ("GET", f"/me/sessions/{self.session.id}"),
            ("DELETE", f"/me/sessions/{self.session.id}"),
            ("GET", f"/me/sessions/{self.session.id}/channels"),
            ("DELETE", f"/me/sessions/{self.session.id}/channels/{self.channel.id}"),
        ]:
            self.api(method, path, role=Role.USER, expect=404)
        self.assertEqual(self.api("GET", "/me/sessions", role=Role.USER)["items"], [])
        self.assertEqual(self.live.ended, [])

    def test_the_audit_of_a_session(self):
        found = self.api("GET", f"/audit?session_id={self.session.id}")["items"]
        self.assertEqual([one["event"] for one in found], ["login.succeeded"])
        self.store.write(sessions.end, self.session.id, reason="done")
        found = self.api("GET", f"/audit?session_id={self.session.id}")["items"]
        self.assertEqual(
            [one["event"] for one in found], ["session.ended", "channel.closed", "login.succeeded"]
        )
        self.assertEqual(found[1]["data"]["port"], 5432)

    def test_what_was_when(self):
        started = self.api("GET", f"/sessions/{self.session.id}")["started_at"]
        for path in ["/audit", "/sessions", "/me/sessions"]:
            for query in [f"since={LATER}", "until=2020-01-01T00:00:00Z"]:
                self.assertEqual(self.api("GET", f"{path}?{query}")["items"], [], path)
        found = self.api("GET", f"/sessions?since={started}&until={LATER}")["items"]
        self.assertEqual([one["id"] for one in found], [self.session.id])
        found = self.api("GET", f"/audit?since={started}&event=login.succeeded")["items"]
        self.assertEqual([one["session_id"] for one in found], [self.session.id])


class DecisionTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user, self.tunnel = self.make_user(), self.make_tunnel()

    def explain(self, **question):
        return self.api("POST", "/explain", {"user": "alice", "tunnel": "db", **question})

    def test_allowed(self):
        self.assign(self.tunnel, self.user)
        found = self.explain(port=5432, method="token")
        self.assertEqual((found["allowed"], found["reason"]), (True, ""))
        self.assertTrue(all(rule["passed"] for rule in found["rules"]))
        self.assertEqual(
            set(found["rules"][0]), {"rule", "passed", "text", "policy_id", "policy_name"}
        )

    def test_refused_in_the_words_of_the_wire(self):
        self.assign(self.tunnel, self.user, ["token"])
        for question, reason in [
            ({"port": 5433}, "db: port 5433 is not published (5432 is)"),
            ({"method": "key"}, "db: needs a one-time token, this session used a key"),
        ]:
            found = self.explain(**question)
            self.assertEqual((found["allowed"], found["reason"]), (False, reason))
            self.assertIs(found["rules"][-1]["passed"], False)

    def test_what_is_not_assigned_is_said_to_whom_it_may_be_said(self):
        found = self.explain()
        self.assertIn("db is not assigned to alice, neither directly nor", found["reason"])
        self.assertEqual(found["rules"][-1]["text"], found["reason"])
        self.assertNotIn("you", found["reason"])
        self.api("PATCH", f"/users/{self.user['id']}", {"blocked": True})
        self.assertIn("user alice is blocked", self.explain()["reason"])

    def test_limits_count_what_is_open(self):
        policy = self.api("POST", "/policies", {"name": "few", "max_channels": 2})
        self.assign(self.tunnel, self.user, policy_id=policy["id"])
        self.live.used = Usage(sessions=1, channels={self.tunnel["id"]: 2})
        self.assertEqual(self.explain()["reason"], "db: 2 of 2 connections are open")

    def test_at_a_time_from_an_address(self):
        body = {
            "name": "office",
            "source_networks": ["10.0.0.0/8"],
            "windows": ["Mon-Fri 09:00-18:00 Europe/Paris"],
        }
        policy = self.api("POST", "/policies", body)
        self.assign(self.tunnel, self.user, policy_id=policy["id"])
        at = {"at": "2026-03-02T09:00:00Z", "source_ip": "10.1.2.3"}
        self.assertTrue(self.explain(**at)["allowed"])
        self.assertFalse(self.explain(**{**at, "source_ip": "192.0.2.1"})["allowed"])
        sunday = self.explain(**{**at, "at": "2026-03-01T09:00:00Z"})
        self.assertEqual(sunday["reason"], "db: opens Mon 09:00 Europe/Paris")
        of_policy = [
            (rule["rule"], rule["policy_name"])
            for rule in sunday["rules"]
            if rule["policy_id"] == policy["id"]
        ]
        self.assertEqual(of_policy, [("source", "office"), ("window", "office")])
        self.assertIsNone(sunday["rules"][0]["policy_id"])

    def test_at_an_age_of_the_session(self):
        policy = self.api("POST", "/policies", {"name": "day", "max_session_seconds": 60})
        self.assign(self.tunnel, self.user, policy_id=policy["id"])
        self.assertTrue(self.explain(session_seconds=59)["allowed"])
        self.assertEqual(
            self.explain(session_seconds=60)["reason"], "db: sessions may last 1 minute"
        )

    def test_nobody_and_nothing(self):
        for question, fault in [({"user": "bob"}, "user"), ({"tunnel": "nope"}, "tunnel")]:
            body = {"user": "alice", "tunnel": "db", **question}
            answer = self.ask("POST", "/api/v1/explain", body)
            self.assertEqual((answer.status, answer.faults), (409, [fault]))

    def test_a_check(self):
        found = self.api("POST", f"/tunnels/{self.tunnel['id']}/check")
        step = {
            "name": "connect",
            "ok": True,
            "milliseconds": 1.5,
            "text": "10.0.0.5:5432 answers",
            "warning": "",
            "certificate": None,
        }
        self.assertEqual(found, {"ok": True, "steps": [step]})
        answer = self.ask("POST", f"/api/v1/tunnels/{self.tunnel['id']}/check?port=1")
        self.assertEqual((answer.status, answer.faults), (409, ["port"]))

    def test_the_last_check(self):
        path = f"/tunnels/{self.tunnel['id']}/check"
        nothing = {"checked_at": None, "ok": None, "steps": []}
        self.assertEqual(self.api("GET", path), nothing)
        step = DoctorStep("connect", False, 1.5, "connect to 10.0.0.5:5432: refused")
        at = datetime.fromtimestamp(NOW, UTC)
        self.live.checked[self.tunnel["id"]] = LastCheck(at, False, (step,))
        found = self.api("GET", path, role=Role.AUDITOR)
        self.assertEqual((found["ok"], found["steps"][0]["text"]), (False, step.text))
        self.assertEqual(found["checked_at"], "2027-01-15T08:00:00.000Z")
        self.api("GET", f"/tunnels/tun_{'0' * 26}/check", expect=404)

    def test_the_last_check_in_the_tunnel(self):
        path = f"/tunnels/{self.tunnel['id']}"
        self.assertIsNone(self.api("GET", path)["last_check"])
        version = self.ask("GET", f"/api/v1{path}").headers["etag"]
        at = datetime.fromtimestamp(NOW, UTC)
        seen = SeenCertificate("db", "CA", at - timedelta(days=1), at + timedelta(days=3))
        step = DoctorStep("tls", True, 1.5, seen.text(at), seen.warning(at), seen)
        self.live.checked[self.tunnel["id"]] = LastCheck(at, True, (step,))
        shown = {
            "checked_at": "2027-01-15T08:00:00.000Z",
            "ok": True,
            "text": step.text,
            "warning": "ends in 3 days",
            "certificate_ends_at": "2027-01-18T08:00:00.000Z",
        }
        self.assertEqual(self.api("GET", path)["last_check"], shown)
        self.assertEqual(self.api("GET", "/tunnels")["items"][0]["last_check"], shown)
        found = self.api("GET", f"{path}/check")["steps"][0]["certificate"]
        self.assertEqual((found["subject"], found["issuer"]), ("db", "CA"))
        # It is no part of what is changed: nobody's change is refused for a check.
        self.assertEqual(self.ask("GET", f"/api/v1{path}").headers["etag"], version)

    def test_own_tunnels(self):
        me = self.store.read(users.get, self.people[Role.USER].id)
        self.assign(self.tunnel, {"id": me.id}, ["key"])
        self.assign(self.make_tunnel("web"), {"id": me.id}, ["token"])
        self.make_tunnel("other")
        first = self.api("GET", "/me/tunnels?limit=1", role=Role.USER)
        (tunnel,) = first["items"]
        # How checks of it go is the administrators'.
        del self.tunnel["last_check"]
        self.assertEqual({**self.tunnel, **tunnel}, tunnel)
        self.assertEqual(tunnel["methods"], ["key"])
        # Two of the user's tunnels have one target address: only the names tell them apart.
        self.assertIn("-L 127.0.0.1:5432:db:5432 -p 2222 the-user@pod.", tunnel["command"])
        path = f"/me/tunnels?cursor={first['next_cursor']}"
        rest = self.api("GET", path, role=Role.USER)
        self.assertEqual([one["name"] for one in rest["items"]], ["web"])
        self.assertIsNone(rest["next_cursor"])

    def test_now_is_the_pods_clock(self):
        self.assertEqual(self.context.now().timestamp(), NOW)
