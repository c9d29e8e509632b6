"""Asking, letting oneself in, and the review of that, as commands say them."""

import json

from tests.cli.support import CommandTestCase


class ApprovalCommandTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.db = self.api.put("me/tunnels", name="db")

    def sent(self):
        method, path, _, body = self.api.requests[-1]
        return method, path, body

    def test_asking(self):
        output = self.succeed("request", "create", "db", "--for", "2h", "--reason", "a restore")
        self.assertIn("asked for db: pending (req_", output)
        body = {"tunnel_id": self.db["id"], "reason": "a restore", "seconds": 7200}
        self.assertEqual(self.sent(), ("POST", "requests", body))

    def test_an_emergency_needs_a_reason(self):
        self.assertIn("--reason", self.fail_line("grant", "emergency", "db", status=2))
        output = self.succeed("grant", "emergency", "db", "--reason", "an outage")
        self.assertIn("you may open db until 2026-03-02 09:00", output)
        self.assertIn("approvers are told", output)
        body = {"tunnel_id": self.db["id"], "reason": "an outage"}
        self.assertEqual(self.sent(), ("POST", "grants", body))

    def test_reviewing(self):
        grant = f"gra_{'0' * 26}"
        answer = {"user_name": "alice", "tunnel_name": "db"}
        self.api.override = (200, "application/json", json.dumps(answer))
        output = self.succeed("grant", "review", grant, "--note", "fine")
        self.assertEqual(output, "reviewed what alice did with db\n")
        self.assertEqual(self.sent(), ("POST", f"grants/{grant}/review", {"answer": "fine"}))
        self.assertIn("no id of a grant", self.fail_line("grant", "review", "db"))
