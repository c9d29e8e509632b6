"""`tunnelcloud connect` doesn't sit there with a tunnel that is shut."""

from tests.cli.support import CommandTestCase
from tunnelcloud.cli import connect
from tunnelcloud.cli.client import Api


def free_port(address, wanted, taken):
    """Choose as the command does, on a machine on which every port is free."""
    return next(port for port in range(wanted, wanted + 10) if port not in taken)


class Started(Exception):
    """The command came as far as starting ssh."""


class ShutTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.patch(Api, "text", lambda *_: "")
        self.patch(connect, "SshProcess", self.start)
        self.started = []
        self.api.put("users", name="alice", email=None)

    def start(self, *arguments):
        self.started.append(arguments)
        raise Started

    def test_a_key_file_that_no_file_can_name_is_refused(self):
        self.tunnel("ready", "ready")
        self.api.collections["me/tunnels"][0]["methods"] = ["key"]
        for path, why in (('a"b', "no way to write a double quote"), ("a\nb", "control character")):
            self.assertIn(why, self.fail_line("ssh-config", "db", "--key-file", path))

    def test_a_key_file_means_a_key(self):
        self.tunnel("ready", "Ready")
        self.api.collections["me/tunnels"][0]["methods"] = ["key", "token"]
        self.assertRaises(Started, self.run_line, "connect", "db", "--key-file", "/keys/mine")
        words, _, token = self.started[-1]
        self.assertIn("/keys/mine", words)
        self.assertIsNone(token)

    def test_a_target_on_this_machine_keeps_its_port(self):
        """A tunnel that listened there, while its target is down, would lead to itself."""
        for address, pod, at in (
            ("127.0.0.1", "localhost:2222", "127.0.0.1:15433:"),
            ("10.0.0.5", "localhost:2222", "127.0.0.1:15432:"),
            ("127.0.0.1", "pod.example.com:2222", "127.0.0.1:15432:"),
        ):
            self.api.collections.pop("me/tunnels", None)
            self.tunnel("ready", "Ready", target_address=address, ssh_address=pod)
            self.assertRaises(Started, self.run_line, "connect", "db")
            words = self.started[-1][0]
            self.assertIn(at, words[words.index("-L") + 1])

    def tunnel(self, standing, state, **fields):
        self.patch(connect, "free_port", free_port)
        self.api.put(
            "me/tunnels",
            **{
                "name": "db",
                "title": "",
                "site_id": "sit_1",
                "target_address": "10.0.0.5",
                "target_ports": ["15432"],
                "local_port_offset": 0,
                "external_address": None,
                "enabled": True,
                "methods": ["token"],
                "ssh_address": "pod.example.com:2222",
                "standing": standing,
                "state": state,
                **fields,
            },
        )

    def test_the_reason_and_a_status(self):
        for standing, state in (
            ("shut", "Opens Mon 09:00 Europe/Paris"),
            ("shut", "Disabled; an administrator can enable it"),
            ("offline", "Site offline since 09:00 UTC"),
        ):
            self.api.collections.pop("me/tunnels", None)
            self.tunnel(standing, state)
            self.assertEqual(
                self.fail_line("connect", "db"), f"Error: db: {state[0].lower()}{state[1:]}"
            )
        self.assertEqual((self.started, self.api.objects("me/tokens")), ([], []))

    def test_a_token_that_would_open_nothing(self):
        """What the list doesn't tell of one method, the token's warnings do."""
        self.tunnel("ready", "Ready")
        self.api.token_warnings = ["the token opens nothing now: db: opens Mon 09:00"]
        line = self.fail_line("connect", "db")
        self.assertEqual(line, "Error: the token opens nothing now: db: opens Mon 09:00")
        self.assertEqual((self.started, self.api.objects("me/tokens")), ([], []))

    def test_what_may_work_is_tried(self):
        for standing in ("ready", "unchecked", "partly", "unreachable", "held"):
            self.api.collections.pop("me/tunnels", None)
            self.tunnel(standing, "Connect to 10.0.0.5:5432: refused")
            self.assertRaises(Started, self.run_line, "connect", "db")
        self.assertEqual(len(self.started), 5)


class SeveralTests(CommandTestCase):
    def test_what_goes_with_one_tunnel_alone(self):
        for words, why in (
            ((), "name the tunnels to open, or use --all"),
            (("db", "--all"), "name the tunnels to open, or use --all, and not both"),
            (("db", "--method", "token", "--key-file", "k"), "--key-file is for --method key"),
            (("db", "web", "--exec", "true"), "--exec is for one tunnel"),
            (("--all", "--local", "15432"), "--local is for one tunnel"),
            (("--all", "--port", "15432"), "--port is for one tunnel"),
        ):
            self.assertIn(why, self.fail_line("connect", *words, status=2))

    def test_nothing_to_open(self):
        self.patch(Api, "text", lambda *_: "")
        self.api.put("users", name="alice", email=None)
        self.assertIn("no tunnel is assigned to you", self.fail_line("connect", "--all"))
        self.assertIn("you have no tunnel 'db'", self.fail_line("connect", "db", "web"))
