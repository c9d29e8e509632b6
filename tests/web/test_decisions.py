"""Explanations, checks, and a user's own tunnels."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from tests.web.support import NOW, ApiTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.target_certificates import SeenCertificate
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store import schema, users
from tunnelcloud.web.interfaces import LastCheck, Usage


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

    def test_hours_in_a_zone_that_this_machine_has_lost(self):
        policy = self.api("POST", "/policies", {"name": "p", "windows": ["Mon 09:00-18:00 GB"]})
        self.assign(self.tunnel, self.user, policy_id=policy["id"])
        change = update(schema.policies).values(windows=["Mon 09:00-18:00 US/Gone"])
        self.store.write(lambda transaction: transaction.connection.execute(change))
        zone = "db: closed, since the pod doesn't know the time zone of its hours: US/Gone"
        self.assertEqual(self.explain()["reason"], zone)
        [shown] = self.api("GET", "/policies")["items"]
        self.assertEqual(shown["windows"], ["Mon 09:00-18:00 US/Gone"])
        self.assertIn("US/Gone", self.ask("GET", "/api/v1/export").body.decode())
        self.api("PATCH", f"/policies/{policy['id']}", {"title": "Hours"})

    def test_limits_count_what_is_open(self):
        policy = self.api("POST", "/policies", {"name": "few", "max_channels": 2})
        self.assign(self.tunnel, self.user, policy_id=policy["id"])
        self.live.used = Usage(sessions=1, channels={self.tunnel["id"]: 2})
        self.assertEqual(self.explain()["reason"], "db: 2 of 2 connections are open")

    def test_a_time_at_the_edge_of_what_there_is(self):
        """The hours of a policy are looked for some days before and after it."""
        windows = ["Mon-Sun 00:00-24:00 Pacific/Auckland", "Fri 22:00-06:00 America/New_York"]
        policy = self.api("POST", "/policies", {"name": "hours", "windows": windows})
        self.assign(self.tunnel, self.user, policy_id=policy["id"])
        question = {"user": "alice", "tunnel": "db"}
        for at in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-20T00:00:00-23:00"]:
            answer = self.ask("POST", "/api/v1/explain", {**question, "at": at})
            self.assertEqual((answer.status, answer.faults), (422, ["at"]), at)
        for at in ["1970-01-01T00:00:00Z", "9998-12-31T23:59:59Z"]:
            self.assertEqual(self.explain(at=at)["allowed"], True, at)

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
