from tests.cli.fake import NOW
from tests.cli.support import CommandTestCase


class SessionTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.alice = self.api.put("users", name="alice", email=None)
        self.live = self.put_session(None)
        self.past = self.put_session(NOW)

    def put_session(self, ended_at):
        return self.api.put(
            *("sessions",),
            user_id=self.alice["id"],
            user_name="alice-then",
            method="token",
            started_at=NOW,
            ended_at=ended_at,
            bytes_to_target=5 * 1024**3,
            bytes_from_target=17,
            rate_to_target=None if ended_at else 2560.4,
            rate_from_target=None if ended_at else 0.0,
        )

    def test_list(self):
        items = self.succeed_json("session", "list", "--user", "alice")["items"]
        self.assertEqual(items, [self.live, self.past])
        items = self.succeed_json("session", "list", "--live")["items"]
        self.assertEqual(items, [self.live])
        lines = self.succeed("session", "list").splitlines()
        self.assertRegex(lines[1], r" token +5\.0 GiB +17 B +2\.5 KiB/s +0 B/s$")
        self.assertRegex(lines[2], r" token +5\.0 GiB +17 B +2026-03-02 09:00:00 UTC$")
        head, line = self.succeed("session", "list", "--live").splitlines()
        self.assertRegex(line, r" token +5\.0 GiB +17 B +2\.5 KiB/s +0 B/s$")
        self.assertNotIn("ENDED", head)

    def test_names_are_those_of_the_answer(self):
        self.api.put(
            f"sessions/{self.live['id']}/channels",
            tunnel_id="tun_gone", tunnel_name="db-then", connector_id="con_gone",
            connector_name="paris-then", rate_to_target=1.0, rate_from_target=None,
        )  # fmt: skip
        self.assertIn(" alice-then ", self.succeed("session", "list"))
        lines = self.succeed("session", "channels", self.live["id"]).splitlines()
        self.assertRegex(lines[1], r"^db-then .* paris-then +1 B/s$")
        self.assertEqual([each for each in self.api.requests if "users" in str(each)], [])

    def test_end(self):
        self.succeed("session", "end", self.live["id"])
        over = self.past["id"]
        again = self.succeed("session", "end", over)
        self.assertEqual(again, f"{over} had ended already, at 2026-03-02 09:00:00 UTC\n")
        self.assertEqual(self.api.objects("sessions"), [self.past])
        self.assertIn("`tunnelcloud session list`", self.fail_line("session", "end", "../users"))

    def test_show(self):
        self.assertEqual(self.succeed_json("session", "show", self.past["id"]), self.past)
        self.assertRegex(self.succeed("session", "show", self.past["id"]), "user +alice-then")
