import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud
from tests.cli.fake import TOKEN, Refused
from tests.cli.support import CommandTestCase
from tunnelcloud.cli import main
from tunnelcloud.cli.client import _option
from tunnelcloud.cli.object_options import CONNECTOR, GROUP, POLICY, SITE, TUNNEL, USER


def raising(error):
    """Give a method that fails."""

    def fail(*_, **__):
        raise error

    return fail


class ReachingTests(CommandTestCase):
    def test_connection_refused(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            line = self.fail_line("--url", url, "site", "list")
        self.assertTrue(line.startswith(f"Error: can't reach {url}: "), line)
        self.assertIn("check that the pod is up and that TUNNELCLOUD_URL (or --url)", line)

    def test_a_server_that_hangs_up_without_an_answer(self):
        self.api.away = True
        line = self.fail_line("site", "list")
        self.assertNotIn(".;", line)
        self.assertIn("; check that the pod is up", line)

    def test_proxies_are_not_asked_for_this_machine(self):
        status, _, errors = self.run_line("site", "list", env={"HTTP_PROXY": "http://127.0.0.1:1"})
        self.assertEqual((status, errors), (0, "nothing to list\n"))

    def test_bad_urls(self):
        for url in ("127.0.0.1:8080", "ftp://pod", "http://", "http://pod:99999", "http://[::1"):
            line = self.fail_line("--url", url, "site", "list", status=2)
            self.assertIn("is not a URL such as http://127.0.0.1:8080", line)

    def test_url_option_wins_over_the_environment(self):
        self.succeed("--url", self.api.url + "/", "site", "create", "paris")
        self.assertEqual(len(self.api.objects("sites")), 1)

    def test_plain_http_elsewhere_is_warned_of(self):
        # This machine as well, but not by an address that says so.
        url = self.api.url.replace("127.0.0.1", "0.0.0.0")
        status, _, errors = self.run_line("--url", url, "site", "create", "paris")
        self.assertEqual(status, 0)
        self.assertIn(f"warning: {url} is plain HTTP", errors)

    def test_another_server(self):
        for answer in [
            (200, "text/html", "<html>"),
            (404, "text/html", "<html>"),
            (200, "application/json", "[]"),
            (200, "application/json", '{"no": "items"}'),
        ]:
            self.api.override = answer
            line = self.fail_line("site", "list")
            self.assertIn("so it is not TunnelCloud's API; check TUNNELCLOUD_URL", line)

    def test_redirects_are_not_followed(self):
        self.api.override = (307, "text/plain", "")
        self.assertIn("redirects to https://elsewhere.example/", self.fail_line("site", "list"))

    def test_an_object_without_what_it_must_have(self):
        self.api.override = (201, "application/json", "{}")
        self.assertIn("answer has no 'name'", self.fail_line("site", "create", "paris"))


class RefusalTests(CommandTestCase):
    def refusal(self, status, text):
        self.api.override = (status, "application/problem+json", text)
        return self.fail_line("site", "create", "paris")

    def test_problem_is_one_line(self):
        line = self.refusal(422, '{"detail": "a\\u001b[2Jb\\nc", "status": 422}')
        self.assertEqual(line, r"Error: a\x1b[2Jb c")

    def test_fields_are_named_as_they_are_typed(self):
        """By the option that fills them; a path into a document stays one."""
        for field, told in [
            ("target_ports.1", "--port"),
            ("external_address", "--external-address"),
            ("max_session_seconds", "--max-session"),
            ("user_id", "user"),
            ("tunnels.db.site_id", "tunnels.db.site_id"),
            ("body", "body"),
        ]:
            problem = {"detail": "x", "errors": [{"field": field, "message": "is wrong"}]}
            self.api.override = (422, "application/problem+json", json.dumps(problem))
            self.assertEqual(self.fail_line("site", "list"), f"Error: {told}: is wrong")

    def test_every_option_is_known_by_its_field(self):
        for noun in (SITE, CONNECTOR, TUNNEL, USER, GROUP, POLICY):
            for option in noun.options:
                if "/" not in option.flag:
                    self.assertEqual(_option(option.field), option.flag)

    def test_fields_are_named_once(self):
        errors = '"errors": [{"field": "name", "message": "too long"}]'
        line = self.refusal(422, f'{{"title": "Unprocessable", {errors}}}')
        self.assertEqual(line, "Error: name 'paris': too long")
        line = self.refusal(422, f'{{"detail": "name: too long", {errors}}}')
        self.assertEqual(line, "Error: name 'paris': too long")

    def test_what_was_typed_is_named(self):
        """Where a name was made an id of, the name is said."""
        db = self.api.put("tunnels", name="db")
        self.api.put("users", name="alice", email=None)

        def refuse(*_):
            raise Refused(422, "x", [{"field": "tunnel_id", "message": "isn't alice's"}])

        self.patch(self.api, "create", refuse)
        line = self.fail_line("token", "create", "alice", "--tunnel", "db")
        self.assertEqual(line, "Error: tunnel 'db': isn't alice's")
        line = self.fail_line("token", "create", "alice", "--tunnel", db["id"])
        self.assertEqual(line, f"Error: tunnel {db['id']!r}: isn't alice's")

    def test_not_now(self):
        self.assertIn(
            "can't serve now (503): draining", self.refusal(503, '{"detail": "draining"}')
        )
        self.assertIn("can't serve now (502)", self.refusal(502, "<html>"))

    def test_what_may_have_been_done(self):
        """Where no answer came to a change, nobody says that it wasn't made."""
        unknown = "whether it was done is not known: look before you try again"
        for status in (502, 504):
            self.assertIn(unknown, self.refusal(status, "<html>"))
            self.assertNotIn(unknown, self.fail_line("site", "list"))
        self.assertNotIn(unknown, self.refusal(503, '{"detail": "draining"}'))
        self.api.override = None
        for error, is_unknown in (
            (httpx.ReadTimeout("x"), True),
            (httpx.WriteTimeout("x"), True),
            (httpx.ReadError("x"), True),
            (httpx.RemoteProtocolError("x"), True),
            (httpx.ConnectTimeout("x"), False),
            (httpx.ConnectError("x"), False),
        ):
            self.patch(httpx.Client, "stream", raising(error))
            line = self.fail_line("site", "create", "paris")
            self.assertEqual(unknown in line, is_unknown, line)
            self.assertNotIn(unknown, self.fail_line("site", "list"))

    def test_nothing_told(self):
        self.assertEqual(self.refusal(500, "{}"), "Error: no reason was given")


class TokenTests(CommandTestCase):
    def test_none(self):
        """It says what is missing and how to come by it, without the usage of the command."""
        env = {"TUNNELCLOUD_API_TOKEN": None, "XDG_CONFIG_HOME": self.mktemp()}
        status, output, errors = self.run_line("site", "list", env=env)
        self.assertEqual((status, output), (1, ""))
        self.assertEqual(
            errors,
            f"Error: you are not signed in to {self.api.url}: run `tunnelcloud --url URL login` "
            "with your portal's address. Or use an API token: set TUNNELCLOUD_API_TOKEN, or pass "
            "--api-token-file FILE before the command (a pod's first start writes one for "
            "administrators, admin.token in its state directory)\n",
        )

    def test_wrong(self):
        line = self.fail_line("site", "list", env={"TUNNELCLOUD_API_TOKEN": "tca_other"})
        self.assertIn("(check TUNNELCLOUD_API_TOKEN or --api-token-file, or", line)

    def test_not_a_token(self):
        for token in ("a b", "a\r\nX: y", "ü"):
            line = self.fail_line("site", "list", env={"TUNNELCLOUD_API_TOKEN": token})
            self.assertIn("characters that no token has", line)
            self.assertNotIn(token, line)

    def test_file_wins_and_may_end_in_a_newline(self):
        path = Path(self.mktemp())
        path.write_text(TOKEN + "\n")
        path.chmod(0o600)
        status, _, _ = self.run_line(
            *("--api-token-file", str(path), "site", "list"),
            env={"TUNNELCLOUD_API_TOKEN": "tca_other"},
        )
        self.assertEqual(status, 0)

    def test_a_file_that_others_can_read_is_used_with_a_warning(self):
        path = Path(self.mktemp())
        path.write_text(TOKEN)
        path.chmod(0o644)
        status, _, said = self.run_line("--api-token-file", str(path), "site", "list")
        self.assertEqual(status, 0)
        self.assertIn(f"warning: --api-token-file: {path} is open to other users", said)
        self.assertIn("chmod 600", said)

    def test_missing_file(self):
        path = self.mktemp()
        line = self.fail_line("--api-token-file", path, "site", "list")
        self.assertIn(f"can't read the API token from {path}: No such file", line)


class HelpTests(SynchronousTestCase):
    def test_no_line_of_help_is_cut_short(self):
        def each(command, path):
            yield command, path
            for name, under in getattr(command, "commands", {}).items():
                yield from each(under, [*path, name])

        for command, path in each(main, []):
            shown = CliRunner().invoke(main, [*path, "--help"], prog_name="tunnelcloud")
            self.assertEqual(shown.exit_code, 0, path)
            if hasattr(command, "commands"):
                _, _, listed = shown.stdout.partition("Commands:")
                self.assertNotIn("...", listed, path)


class StartTests(SynchronousTestCase):
    def test_importing_is_cheap(self):
        heavy = ("twisted", "sqlalchemy", "pydantic", "httpx", "cryptography")
        code = f"import sys, tunnelcloud.cli; print(*(set({heavy!r}) & set(sys.modules)))"
        root = str(Path(tunnelcloud.__file__).parents[1])
        found = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(found.stdout.strip(), "")

    def test_version_and_help_need_no_pod(self):
        runner = CliRunner()
        self.assertIn(tunnelcloud.__version__, runner.invoke(main, ["--version"]).output)
        self.assertEqual(runner.invoke(main, ["tunnel", "create", "--help"]).exit_code, 0)

    def test_unknown_command(self):
        self.assertEqual(CliRunner().invoke(main, ["tunel"]).exit_code, 2)

    def test_every_command_takes_json(self):
        def commands(command):
            if hasattr(command, "commands"):
                for child in command.commands.values():
                    yield from commands(child)
            else:
                yield command

        without = [
            command.name
            for command in commands(main)
            if not any("--json" in parameter.opts for parameter in command.params)
        ]
        self.assertEqual(without, [])
