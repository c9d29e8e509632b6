"""What a policy would mean, before it is saved; nothing is written."""

from tests.store.material import count_events
from tests.web.support import ApiTestCase
from tunnelcloud.domain.entities import SessionMethod
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import channels, pods, sessions, tunnels


class PolicyPreviewTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.policy = self.api("POST", "/policies", {"name": "office"})
        made = self.make_tunnel("db")
        user = self.people[Role.USER]
        body = {"user_id": user.id, "methods": ["key"], "policy_id": self.policy["id"]}
        self.api("POST", f"/tunnels/{made['id']}/assignments", body)
        pod = self.store.write(
            pods.register,
            pods.Registration(name="p", version="1", ssh_address="x:1", connectors_address="x:2"),
        )
        login = sessions.LoginRecord("x", "192.0.2.7", "c", pod.id)
        self.session = self.store.write(sessions.start, user, SessionMethod.KEY, login)
        tunnel = self.store.read(tunnels.get, made["id"])
        self.store.write(channels.open, self.session, tunnel, destination="db", port=5432)
        self.path = f"/policies/{self.policy['id']}"

    def test_a_change(self):
        before = self.store.read(count_events)
        found = self.api("POST", f"{self.path}/preview", {"source_networks": ["10.0.0.0/8"]})
        [cut] = found.pop("cuts")
        self.assertEqual(
            found,
            {"sentence": "from 10.0.0.0/8", "standing": "", "users": 1, "tunnels": 1,
             "sessions": 1, "channels": 1, "cut_sessions": 1, "cut_channels": 1,
             "ended_sessions": 0, "is_complete": True},
        )  # fmt: skip
        self.assertEqual((cut["session_id"], cut["source_ip"]), (self.session.id, "192.0.2.7"))
        self.assertEqual((cut["user_name"], cut["destinations"]), ("the-user", ["db:5432"]))
        self.assertEqual(cut["reason"], "db: not open to connections from 192.0.2.7")
        self.assertEqual(self.api("GET", self.path)["source_networks"], [])
        self.assertEqual(self.store.read(count_events), before)

    def test_what_stays(self):
        found = self.api("POST", f"{self.path}/preview", {"source_networks": ["192.0.2.0/24"]})
        self.assertEqual((found["sessions"], found["cut_sessions"]), (1, 0))

    def test_a_new_one(self):
        body = {"name": "nights", "windows": ["Fri 22:00-06:00 Europe/Paris"]}
        found = self.api("POST", "/policies/preview", body)
        self.assertEqual(found["sentence"], "Fri 22:00\u201306:00 of the next day Europe/Paris")
        self.assertIn("opens Fri 22:00 Europe/Paris", found["standing"])
        self.assertEqual((found["users"], found["cuts"]), (0, []))
        self.assertEqual(len(self.api("GET", "/policies")["items"]), 1)

    def test_what_would_be_refused(self):
        wrong = {"valid_from": "2026-01-02T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"}
        for path, body in ((f"{self.path}/preview", wrong),
                           ("/policies/preview", {"name": "x", **wrong})):  # fmt: skip
            answer = self.ask("POST", f"/api/v1{path}", body)
            self.assertEqual((answer.status, answer.faults), (409, ["valid_until"]))
        answer = self.ask("POST", f"/api/v1{self.path}/preview", {"windows": ["Mon 9-5 UTC"]})
        self.assertEqual(answer.status, 422)
        answer = self.ask("POST", f"/api/v1/policies/pol_{'0' * 26}/preview", {"idle_seconds": 5})
        self.assertEqual(answer.status, 404)
