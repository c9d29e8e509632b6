from tests.cli.support import CommandTestCase

CUT = {
    "user_name": "alice",
    "source_ip": "192.0.2.7",
    "started_at": "2026-03-06T12:00:00.000Z",
    "channels": 3,
    "reason": "db: opens Mon 09:00 Europe/Paris",
    "ends": False,
}
PREVIEW = {
    "sentence": "weekdays 09:00-18:00 Europe/Paris",
    "standing": "It is closed now, and opens Mon 09:00 Europe/Paris.",
    "users": 2,
    "tunnels": 1,
    "sessions": 4,
    "cut_sessions": 1,
    "cut_channels": 3,
    "cuts": [CUT],
    "is_complete": True,
}


class DryRunTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.policy = self.api.put("policies", name="office")
        self.api.preview = PREVIEW

    def test_it_says_what_would_be_cut_and_changes_nothing(self):
        line = ("policy", "set", "office", "--max-channels", "2", "--dry-run")
        status, output, errors = self.run_line(*line)
        self.assertEqual(status, 0)
        path = f"policies/{self.policy['id']}/preview"
        self.assertEqual(self.api.requests[-1], ("POST", path, {}, {"max_channels": 2}))
        self.assertIn("concerns 2 users and 1 tunnel; 4 open sessions", output)
        self.assertRegex(output, r"alice +192\.0\.2\.7 .*3 +db: opens Mon 09:00")
        self.assertIn("it would cut 3 connections of 1 session (not done", errors)
        self.assertEqual(self.succeed_json(*line), PREVIEW)

    def test_not_all_were_looked_at(self):
        self.api.preview = {**PREVIEW, "is_complete": False, "cuts": []}
        _, _, errors = self.run_line("policy", "set", "office", "--idle", "5m", "--dry-run")
        self.assertIn("it may cut more", errors)

    def test_only_policies_have_it(self):
        self.api.put("sites", name="paris")
        status, _, errors = self.run_line("site", "set", "paris", "--title", "x", "--dry-run")
        self.assertEqual(status, 2, errors)
