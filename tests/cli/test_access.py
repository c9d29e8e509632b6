import json

from click.testing import CliRunner

from tests.cli.fake import EXPLAINED
from tests.cli.support import CommandTestCase


class AssignTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.alice = self.api.put("users", name="alice", email=None)
        self.dba = self.api.put("groups", name="dba")
        self.db = self.api.put("tunnels", name="db")
        self.office = self.api.put("policies", name="office")
        self.path = f"tunnels/{self.db['id']}/assignments"

    def test_user(self):
        made = self.succeed_json(
            *("assign", "db", "--user", "alice", "--method", "token", "--method", "key"),
            *("--policy", "office"),
        )
        self.assertEqual(made, self.api.objects(self.path)[0])
        self.assertEqual(
            self.api.requests[-1][3],
            {
                "user_id": self.alice["id"],
                "methods": ["token", "key"],
                "policy_id": self.office["id"],
            },
        )

    def test_group(self):
        self.succeed("assign", "db", "--group", "dba", "--method", "key")
        self.assertEqual(self.api.requests[-1][3], {"group_id": self.dba["id"], "methods": ["key"]})
        line = self.succeed("assignments", "db").splitlines()[1]
        self.assertEqual(line.split()[:2], ["dba", "key"])

    def test_whom(self):
        for whom in ((), ("--user", "alice", "--group", "dba")):
            line = self.fail_line("assign", "db", *whom, "--method", "key", status=2)
            self.assertEqual(line, "Error: give either --user or --group")

    def test_methods_are_said_and_not_guessed(self):
        status, _, errors = self.run_line("assign", "db", "--user", "alice")
        self.assertEqual(status, 2)
        self.assertIn("Missing option '--method'", errors)

    def test_unassign(self):
        self.api.put(self.path, user_id=self.alice["id"], group_id=None)
        other = self.api.put(self.path, user_id=None, group_id=self.dba["id"])
        self.succeed("unassign", "db", "--user", "alice")
        self.assertEqual(self.api.objects(self.path), [other])
        self.assertEqual(
            self.fail_line("unassign", "db", "--user", "alice"),
            "Error: db is not assigned to alice",
        )


class ExplainTests(CommandTestCase):
    LINE = ("explain", "alice", "db", "--port", "5433", "--method", "token")

    def test_question(self):
        answer = self.succeed_json(
            *self.LINE,
            "--source-ip",
            "10.0.0.1",
            "--at",
            "2026-03-02T09:00Z",
            "--session-age",
            "2m",
        )
        self.assertEqual(answer, EXPLAINED)
        question = self.api.requests[0][3]
        self.assertRegex(question.pop("at"), r"^2026-03-0[123]T\d\d:\d\d:00[+-]\d\d:\d\d$")
        self.assertEqual(
            question,
            {
                "user": "alice",
                "tunnel": "db",
                "port": 5433,
                "method": "token",
                "source_ip": "10.0.0.1",
                "session_seconds": 120,
            },
        )

    def test_a_refusal_is_an_answer(self):
        lines = self.succeed(*self.LINE).splitlines()
        self.assertEqual(lines[0], "refused: db: port 5433 is not published (5432 is)")
        self.assertRegex(lines[-1], r"^port +NO +port 5433 is not published")

    def test_a_token_is_asked_for_where_nothing_is_said(self):
        self.succeed("explain", "alice", "db")
        self.assertEqual(
            self.api.requests[0][3], {"user": "alice", "tunnel": "db", "method": "token"}
        )

    def test_allowed(self):
        self.api.explained = {"allowed": True, "reason": "", "rules": []}
        self.assertEqual(self.succeed(*self.LINE).splitlines()[0], "allowed")

    def test_held(self):
        reason = "db: a connection waits"
        self.api.explained = {"allowed": False, "held": True, "reason": reason, "rules": []}
        self.assertEqual(self.succeed(*self.LINE).splitlines()[0], f"held: {reason}")


class RoleTests(CommandTestCase):
    def test_a_token_of_a_user_names_the_user(self):
        line = self.fail_line("api-token", "create", "--title", "x", "--role", "user", status=2)
        self.assertIn("--role user needs --user NAME", line)


class TokenTests(CommandTestCase):
    def test_create(self):
        alice = self.api.put("users", name="alice", email=None)
        db = self.api.put("tunnels", name="db")
        made = self.succeed_json("token", "create", "alice", "--tunnel", "db", "--sessions", "3")
        self.assertEqual(made["token"], "b" * 26)
        self.assertEqual(
            self.api.requests[-1][3],
            {"user_id": alice["id"], "tunnel_id": db["id"], "sessions": 3},
        )
        output = self.succeed("token", "create", "alice")
        self.assertRegex(output, f"token +{'b' * 26}\n")
        self.assertRegex(output, "command +ssh -N tcptunnel@pod\n")

    def test_a_warning_is_passed_on(self):
        self.api.put("users", name="alice", email=None)
        self.api.token_warnings = ["the token opens nothing now: db: disabled"]
        status, output, errors = self.run_line("token", "create", "alice")
        self.assertEqual((status, errors), (0, f"warning: {self.api.token_warnings[0]}\n"))
        self.assertIn("b" * 26, output)

    def test_revoke(self):
        found = self.api.put("tokens", user_id="usr_x")
        self.succeed("token", "revoke", found["id"])
        self.assertEqual(self.api.objects("tokens"), [])
        line = self.fail_line("token", "revoke", "b" * 26)
        self.assertIn("is not an id of this kind; `tunnelcloud token list`", line)

    def test_list(self):
        alice = self.api.put("users", name="alice", email=None)
        mine = self.api.put("tokens", user_id=alice["id"])
        self.api.put("tokens", user_id="usr_" + "9" * 26)
        items = self.succeed_json("token", "list", "--user", "alice")["items"]
        self.assertEqual(items, [mine])


class CompletionTests(CommandTestCase):
    def test_shells(self):
        from tunnelcloud.cli import main

        for shell in ("bash", "zsh", "fish"):
            env = {"_TUNNELCLOUD_COMPLETE": f"{shell}_source"}
            result = CliRunner().invoke(main, [], env=env, prog_name="tunnelcloud")
            self.assertEqual((result.exit_code, json.dumps(result.stderr)), (0, '""'))
            self.assertIn("_TUNNELCLOUD_COMPLETE", result.stdout)
