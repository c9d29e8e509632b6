from tests.cli.support import CommandTestCase


class OwnTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.alice = self.api.put("users", name="alice", email="alice@example.com")
        self.db = self.api.put("me/tunnels", name="db", methods=["key"], command="ssh -N …")

    def test_show(self):
        self.assertEqual(self.succeed_json("me", "show"), {"role": "user", "user": self.alice})
        self.assertRegex(self.succeed("me", "show"), "email +alice@example.com\nrole +user")

    def test_tunnels_with_their_commands(self):
        self.assertEqual(self.succeed_json("me", "tunnels")["items"], [self.db])
        self.assertRegex(self.succeed("me", "tunnels"), "db +key +ssh -N …")

    def test_keys_and_sessions(self):
        key = self.api.put("me/keys", title="laptop")
        session = self.api.put("me/sessions", ended_at=None)
        self.assertEqual(self.succeed_json("me", "keys")["items"], [key])
        self.assertEqual(self.succeed_json("me", "sessions")["items"], [session])

    def test_a_session_s_bytes_and_rates(self):
        self.api.put("me/sessions", ended_at=None, bytes_to_target=2048, bytes_from_target=5,
                     rate_to_target=1536.0, rate_from_target=0.0)  # fmt: skip
        shown = self.succeed("me", "sessions")
        self.assertRegex(shown, r"TO TARGET +FROM TARGET +RATE TO +RATE FROM")
        self.assertRegex(shown, r"2\.0 KiB +5 B +1\.5 KiB/s +0 B/s")

    def test_token(self):
        self.assertEqual(self.succeed_json("me", "token", "--tunnel", "db")["token"], "b" * 26)
        self.assertEqual(
            self.api.requests[-1], ("POST", "me/tokens", {}, {"tunnel_id": self.db["id"]})
        )
        self.assertIn("b" * 26, self.succeed("me", "token", "--sessions", "2"))
        self.assertEqual(self.api.requests[-1][3], {"sessions": 2})

    def complete(self, line, **env):
        """Give what bash would be offered for the last word of a line."""
        words = line.split(" ")
        asked = {"_TUNNELCLOUD_COMPLETE": "bash_complete", "COMP_WORDS": line,
                 "COMP_CWORD": str(len(words) - 1), **env}  # fmt: skip
        status, output, errors = self.run_line(env=asked)
        self.assertEqual((status, errors), (0, ""))
        return [one.partition(",")[2] for one in output.split()]

    def test_completion_knows_the_tunnels(self):
        self.api.put("me/tunnels", name="web", methods=["key"], command="ssh -N …")
        self.assertEqual(self.complete("tunnelcloud connect d"), ["db"])
        self.assertEqual(self.complete("tunnelcloud ssh-config "), ["db", "web"])
        self.assertEqual(self.complete("tunnelcloud conn"), ["connect", "connector"])
        self.assertEqual(self.complete("tunnelcloud connect d", TUNNELCLOUD_API_TOKEN="no"), [])
        self.api.away = True
        self.assertEqual(self.complete("tunnelcloud connect d"), [])

    def test_completion_offers_names_alone(self):
        """A shell would run or show what else a pod that lies says, as it is."""
        for said in ("d$(touch x)", "d;ls", "d x", "d\x1b[31m", "d\nplain,e", "-d"):
            self.api.put("me/tunnels", name=said, methods=["key"], command="ssh -N …")
        self.assertEqual(self.complete("tunnelcloud connect d"), ["db"])

    def test_a_tunnel_of_others(self):
        line = self.fail_line("me", "token", "--tunnel", "web")
        self.assertIn("you have no tunnel 'web'", line)
