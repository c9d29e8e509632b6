"""Requests and grants over the API: who sees, who decides, who is told what."""

from sqlalchemy import Engine

from tests.store.plans import statements_of
from tests.web.support import ApiTestCase
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import api_tokens, approvals, policies, tunnels, users
from tunnelcloud.store.transaction import Actor


class ApprovalTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.tokens = []
        self.alice, self.bob = self.make_user("alice"), self.make_user("bob")
        self.bosses = self.api("POST", "/groups", {"name": "bosses"})
        self.api("PUT", f"/groups/{self.bosses['id']}/members/{self.bob['id']}")
        self.policy = self.api(
            "POST",
            "/policies",
            {"name": "ask", "approval": "others", "approvers_id": self.bosses["id"]},
        )
        self.tunnel = self.make_tunnel("db")
        self.api(
            "POST",
            f"/tunnels/{self.tunnel['id']}/assignments",
            {
                "user_id": self.alice["id"],
                "methods": ["key"],
                "policy_id": self.policy["id"],
            },
        )

    def as_user(self, user, method, path, body=None, maker=None):
        """Ask by an API token of a user, which they created unless somebody else did."""
        maker = maker or user
        secret = f"tca_{len(self.tokens)}"
        self.tokens.append(
            self.store.acting(Actor(maker["name"], maker["id"])).write(
                api_tokens.create,
                title="some",
                role=Role.USER,
                secret_hash=hash_secret(secret),
                user_id=user["id"],
            )
        )
        headers = [("Authorization", f"Bearer {secret}")]
        return self.ask(method, f"/api/v1{path}", body, role=None, headers=headers)

    def asked(self, approval=Approval.OTHERS):
        """Have a channel of alice's ask, as a pod does."""

        def work(transaction):
            policy = policies.get(transaction, self.policy["id"])
            return approvals.ask(
                transaction,
                users.get(transaction, self.alice["id"]),
                tunnels.get(transaction, self.tunnel["id"]),
                policy,
                source_ip="192.0.2.1",
                client="OpenSSH_9.2",
            )

        self.api("PATCH", f"/policies/{self.policy['id']}", {"approval": str(approval)})
        return self.store.write(work)

    def test_asked_approved_used_and_ended(self):
        body = {"tunnel_id": self.tunnel["id"], "reason": "an <b>outage</b>", "seconds": 600}
        made = self.as_user(self.alice, "POST", "/requests", body)
        self.assertEqual((made.status, made.json["status"]), (201, "pending"))
        [seen] = self.as_user(self.bob, "GET", "/requests").json["items"]
        self.assertEqual((seen["id"], seen["reason"]), (made.json["id"], "an <b>outage</b>"))
        path = f"/requests/{seen['id']}"
        grant = self.as_user(self.bob, "POST", f"{path}/approve", {"answer": "go on"}).json
        self.assertEqual((grant["user_name"], grant["allowed_by"]), ("alice", "bob"))
        self.assertEqual(self.as_user(self.alice, "GET", path).json["answer"], "go on")
        [own] = self.as_user(self.alice, "GET", "/grants").json["items"]
        self.assertEqual(own["id"], grant["id"])
        explained = self.api(
            "POST",
            "/explain",
            {
                "user": "alice",
                "tunnel": "db",
                "port": 5432,
                "method": "key",
                "at": grant["starts_at"],
            },
        )
        [rule] = [one for one in explained["rules"] if one["rule"] == "approval"]
        self.assertTrue(rule["passed"])
        self.assertIn("approved by bob until", rule["text"])
        self.assertEqual(self.as_user(self.bob, "DELETE", f"/grants/{grant['id']}").status, 204)
        [ended] = self.api("GET", "/grants")["items"]
        self.assertIsNotNone(ended["ended_at"])

    def test_the_second_decision_is_told_of_the_first(self):
        path = f"/requests/{self.asked().id}"
        self.as_user(self.bob, "POST", f"{path}/refuse", {})
        answer = self.as_user(self.bob, "POST", f"{path}/approve", {})
        self.assertEqual(answer.status, 409)
        self.assertIn("bob has refused this request already", answer.body.decode())

    def test_nobody_approves_their_own_for_others(self):
        self.api("PUT", f"/groups/{self.bosses['id']}/members/{self.alice['id']}")
        path = f"/requests/{self.asked().id}/approve"
        answer = self.as_user(self.alice, "POST", path, {})
        self.assertEqual(answer.status, 403)
        self.assertIn("your own request", answer.body.decode())

    def test_explained_before_anybody_asks(self):
        question = {"user": "alice", "tunnel": "db", "method": "key"}

        def explained(**changes):
            self.api("PATCH", f"/policies/{self.policy['id']}", changes)
            answer = self.api("POST", "/explain", question)
            return answer["allowed"], answer["held"], answer["reason"]

        waits = "db: a connection waits, for 1 minute at most"
        by = "until a member of group bosses other than alice approves it"
        self.assertEqual(explained(approval="others"), (False, True, f"{waits}, {by}"))
        at_once = "in an emergency, alice may open it at once"
        self.assertEqual(explained(emergency_seconds=600)[2], f"{waits}, {by}; {at_once}")
        oneself = f"{waits}, until alice confirms it in the portal"
        self.assertEqual(explained(approval="self", emergency_seconds=None), (False, True, oneself))
        self.assertEqual(explained(approval="none"), (True, False, ""))
        question["port"] = 1
        self.assertIs(explained(approval="others")[1], False, "an approval alone doesn't help")

    def test_an_api_token_confirms_nothing(self):
        path = f"/requests/{self.asked(Approval.SELF).id}/approve"
        answer = self.as_user(self.alice, "POST", path, {})
        self.assertEqual(answer.status, 403)
        self.assertIn("in the portal", answer.body.decode())

    def emergency(self, **more):
        self.api("PATCH", f"/policies/{self.policy['id']}", {"emergency_seconds": 600})
        body = {"tunnel_id": self.tunnel["id"], "reason": "an <b>outage</b>", **more}
        return self.as_user(self.alice, "POST", "/grants", body)

    def explained(self, at):
        question = {"user": "alice", "tunnel": "db", "port": 5432, "method": "key", "at": at}
        rules = self.api("POST", "/explain", question)["rules"]
        return next(one for one in rules if one["rule"] == "approval")

    def test_an_emergency_begun_reviewed_and_explained(self):
        made = self.emergency(seconds=120)
        self.assertEqual((made.status, made.json["emergency"]), (201, True), made.body)
        path = f"/grants/{made.json['id']}"
        rule = self.explained(made.json["starts_at"])
        self.assertTrue(rule["passed"])
        self.assertIn("opened by alice in an emergency (not reviewed yet)", rule["text"])
        for who in (self.bob, None):
            listing = "/grants?unreviewed=true"
            seen = self.as_user(who, "GET", listing).json if who else self.api("GET", listing)
            self.assertEqual([one["id"] for one in seen["items"]], [made.json["id"]])
        own = self.as_user(self.alice, "POST", f"{path}/review", {})
        self.assertEqual(own.status, 403)
        self.assertIn("for somebody else to review", own.body.decode())
        reviewed = self.as_user(self.bob, "POST", f"{path}/review", {"answer": "well done"}).json
        self.assertEqual((reviewed["reviewed_by"], reviewed["review"]), ("bob", "well done"))
        again = self.as_user(self.bob, "POST", f"{path}/review", {})
        self.assertEqual(again.status, 409)
        self.assertIn("reviewed by bob", self.explained(made.json["starts_at"])["text"])
        self.assertEqual(self.api("GET", "/grants?unreviewed=true")["items"], [])
        events = [one["event"] for one in self.api("GET", "/audit?q=emergency.")["items"]]
        self.assertEqual(sorted(events), ["emergency.begun", "emergency.reviewed"])

    def test_an_emergency_needs_a_reason(self):
        for reason in ("", " \t", None):
            answer = self.emergency(reason=reason)
            self.assertEqual(answer.status, 422, answer.body)

    def test_no_emergency_where_the_policy_knows_none(self):
        body = {"tunnel_id": self.tunnel["id"], "reason": "why not"}
        answer = self.as_user(self.alice, "POST", "/grants", body)
        self.assertEqual(answer.status, 409)
        self.assertIn("not even in an emergency", answer.body.decode())

    def test_an_approver_ends_an_emergency(self):
        grant = self.emergency().json
        self.assertEqual(self.as_user(self.bob, "DELETE", f"/grants/{grant['id']}").status, 204)

    def test_others_emergencies_look_like_none(self):
        grant, carol, unknown = self.emergency().json, self.make_user("carol"), f"gra_{'0' * 26}"
        for method, suffix in (("GET", ""), ("POST", "/review"), ("DELETE", "")):
            answers = [
                self.as_user(carol, method, f"/grants/{one}{suffix}", {} if suffix else None)
                for one in (grant["id"], unknown)
            ]
            bodies = {answer.body.decode().replace(grant["id"], unknown) for answer in answers}
            self.assertEqual(([one.status for one in answers], len(bodies)), ([404, 404], 1))
        body = {"tunnel_id": self.tunnel["id"], "reason": "why not"}
        self.assertIn(
            "there is no tunnel", self.as_user(carol, "POST", "/grants", body).body.decode()
        )

    def test_more_time_is_asked_for_like_the_first(self):
        body = {"tunnel_id": self.tunnel["id"], "reason": "not done"}
        first = self.as_user(self.alice, "POST", "/requests", body).json
        self.assertIsNone(first["renews_id"])
        path = f"/requests/{first['id']}/approve"
        grant = self.as_user(self.bob, "POST", path, {}).json
        again = self.as_user(self.alice, "POST", "/requests", body).json
        self.assertEqual(again["renews_id"], grant["id"])
        path = f"/requests/{again['id']}/approve"
        self.assertEqual(self.as_user(self.bob, "POST", path, {}).json["id"], grant["id"])

    def test_others_requests_look_like_none(self):
        request, carol = self.asked(), self.make_user("carol")
        unknown = f"req_{'0' * 26}"
        for verb in ("approve", "refuse"):
            answers = [
                self.as_user(carol, "POST", f"/requests/{one}/{verb}", {})
                for one in (request.id, unknown)
            ]
            bodies = {answer.body.decode().replace(request.id, unknown) for answer in answers}
            self.assertEqual(([one.status for one in answers], len(bodies)), ([404, 404], 1))
        self.assertEqual(self.as_user(carol, "GET", "/requests").json["items"], [])
        self.assertEqual(self.as_user(carol, "GET", "/grants").json["items"], [])

    def test_a_tunnel_of_others_looks_like_one_that_isnt_there(self):
        carol, unknown = self.make_user("carol"), f"tun_{'0' * 26}"
        seen = set()
        for one in (self.tunnel["id"], unknown):
            answers = []

            def ask(wanted=one, answers=answers):
                answers.append(self.as_user(carol, "POST", "/requests", {"tunnel_id": wanted}))

            count = statements_of(Engine, ask)
            body = answers[0].body.decode().replace(one, unknown)
            seen.add((answers[0].status, body, count))
        self.assertEqual(len(seen), 1, seen)
        self.assertIn("there is no tunnel", seen.pop()[1])
        asked = [one["event"] for one in self.api("GET", "/audit?q=request.")["items"]]
        self.assertEqual(asked, [], "nobody learns of it by the audit")

    def test_administrators_see_all_and_decide_nothing_by_their_role(self):
        request = self.asked()
        self.assertEqual(self.api("GET", "/requests?status=pending")["items"][0]["id"], request.id)
        answer = self.ask("POST", f"/api/v1/requests/{request.id}/approve", {}, role=Role.ADMIN)
        self.assertEqual(answer.status, 403)

    def test_nor_in_the_name_of_an_approver(self):
        """By an API token that they created for the approver, whom nobody else would have asked."""
        request = self.asked()
        for verb in ("approve", "refuse"):
            path = f"/requests/{request.id}/{verb}"
            problem = self.as_user(self.bob, "POST", path, {}, maker=self.alice)
            self.assertEqual(problem.status, 403)
            self.assertIn("who asks created this API token", problem.json["detail"])
        path = f"/grants/{self.emergency().json['id']}/review"
        self.assertEqual(self.as_user(self.bob, "POST", path, {}, maker=self.alice).status, 403)

    def test_by_a_token_that_an_administrator_created_for_the_approver(self):
        """It decides; the audit names the token."""
        request = self.asked()
        owner = {"title": "bob's", "role": "user", "user_id": self.bob["id"]}
        made = self.api("POST", "/api-tokens", owner)
        self.secrets["made"] = made["token"]
        self.api("POST", f"/requests/{request.id}/approve", {}, role="made")
        (event,) = self.api("GET", "/audit?event=request.approved")["items"]
        self.assertEqual((event["actor_kind"], event["actor_id"]), ("api_token", made["id"]))
