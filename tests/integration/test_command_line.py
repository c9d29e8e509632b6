"""The command line against the real API: every example of product.md, over loopback."""

import json
import stat
import tomllib
from pathlib import Path

from click.testing import CliRunner
from twisted.internet import defer, reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.web.support import KEY, ToldPod
from tunnelcloud.cli import main
from tunnelcloud.domain.join_tokens import parse_join_token
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import api_tokens, tokens
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.sessions import LoginRecord
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.tree import make_site

SECRET = "tca_" + "a" * 26


class CommandLineTests(TestCase):
    timeout = 60

    def setUp(self):
        self.store = open_store("sqlite", Path(self.mktemp()))
        self.addCleanup(self.store.close)
        self.live = ToldPod()
        self.store.write(
            api_tokens.create, title="ci", role=Role.ADMIN, secret_hash=hash_secret(SECRET)
        )
        context = ApiContext(
            store=AsyncStore(self.store, reactor),
            live=self.live,
            clock=reactor,
            web_url="https://portal.example.com",
        )
        site = make_site(context, version="1", metrics=None, ready_checks={})
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.url = f"http://127.0.0.1:{port.getHost().port}"

    async def run_line(self, *arguments):
        env = {"TUNNELCLOUD_URL": self.url, "TUNNELCLOUD_API_TOKEN": SECRET}
        result = await deferToThread(
            CliRunner().invoke, main, arguments, env=env, prog_name="tunnelcloud"
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    async def succeed(self, line, *more):
        """Run one that must work, and give what it prints."""
        status, output, errors = await self.run_line(*line.split(), *more)
        self.assertEqual((status, errors), (0, ""), line)
        return output

    async def succeed_json(self, line, *more):
        return json.loads(await self.succeed(line, *more, "--json"))

    async def fail_line(self, line, status=1):
        found, output, errors = await self.run_line(*line.split())
        self.assertEqual((found, output), (status, ""), line)
        return errors.splitlines()[-1]

    async def make_basics(self):
        await self.succeed("site create paris")
        await self.succeed("tunnel create db --site paris --address 10.0.0.5 --port 5432")
        await self.succeed("user create alice --email alice@example.com")

    @defer.inlineCallbacks
    def test_what_is_made_and_changed(self):
        yield defer.ensureDeferred(self._what_is_made_and_changed())

    async def _what_is_made_and_changed(self):
        await self.make_basics()
        made = await self.succeed_json("connector create paris-1 --site paris")
        self.assertEqual(set(made["join"]), {"token", "expires_at", "command"})
        parse_join_token(made["join"]["token"])
        await self.succeed("connector join-token paris-1")
        tunnel = await self.succeed_json(
            "tunnel create web --site paris --address web.internal --port 80 --port 8000-8010 "
            "--external-address web.example.com"
        )
        self.assertEqual(tunnel["target_ports"], ["80", "8000-8010"])
        changed = await self.succeed_json("tunnel set web --port 443 --title Web")
        self.assertEqual((changed["target_ports"], changed["title"]), (["443"], "Web"))
        self.assertEqual(changed.pop("warnings"), [])
        self.assertEqual(await self.succeed_json(f"tunnel show {tunnel['id']}"), changed)
        self.assertIn("web.internal", await self.succeed("tunnel list"))
        await self.succeed("user create robot --service")
        await self.succeed("user invite alice")
        await self.succeed("group create dba")
        await self.succeed("group add dba alice")
        self.assertIn("alice", await self.succeed("group members dba"))
        await self.succeed("group remove dba alice")
        policy = await self.succeed_json(
            "policy create office --source 10.0.0.0/8 --from 2026-01-01 --until 2127-01-01 "
            "--max-session 8h --idle 15m --max-channels 9 --max-sessions 3 --max-token-sessions 2",
            "--window",
            "Mon-Fri 09:00-18:00 Europe/Paris",
        )
        self.assertEqual(policy["max_session_seconds"], 28800)
        self.assertEqual(policy["windows"], ["Mon-Fri 09:00-18:00 Europe/Paris"])
        secret = Path(self.mktemp())
        secret.write_text("canary\n")
        secret.chmod(0o600)
        provider = await self.succeed_json(
            "identity-provider create corp --issuer http://127.0.0.1:1 --client-id tc "
            f"--client-secret-file {secret} --groups-claim groups --group db-admins=dba "
            "--create-users --link-by email"
        )
        self.assertEqual(provider["group_map"], {"db-admins": "dba"})
        self.assertIs(provider["has_client_secret"], True)
        self.assertIn("127.0.0.1:1/", provider["check_fault"])
        await self.succeed("user link alice --provider corp --subject alice-at-corp")
        self.assertIn("alice-at-corp", await self.succeed("user identities alice"))
        await self.succeed("user unlink alice --provider corp")
        await self.succeed("identity-provider set corp --disabled --group", "")
        self.assertIn("127.0.0.1:1", await self.succeed("identity-provider list"))
        await self.succeed("identity-provider delete corp --yes")
        for line in (
            "user block alice",
            "tunnel delete web --yes",
            "connector delete paris-1 --yes",
        ):
            await self.succeed(line)
        self.assertIs((await self.succeed_json("user show alice"))["blocked"], True)

    @defer.inlineCallbacks
    def test_who_gets_in(self):
        yield defer.ensureDeferred(self._who_gets_in())

    async def _who_gets_in(self):
        await self.make_basics()
        await self.succeed("group create dba")
        await self.succeed("policy create gui --max-token-sessions 3")
        await self.succeed("assign db --user alice --method token --method key --policy gui")
        await self.succeed("assign db --group dba --method key")
        made = await self.succeed_json("token create alice --tunnel db --sessions 2")
        self.assertIn("-L 127.0.0.1:5432:10.0.0.5:5432", made["command"])
        status, shown, warned = await self.run_line("token", "create", "alice@example.com")
        self.assertEqual(status, 0)
        self.assertIn("alice@pod.example.com", shown)
        self.assertIn("opens nothing now: db: no connector of site paris has joined yet", warned)
        await self.succeed(f"token revoke {made['id']}")
        public = Path(self.mktemp())
        public.write_text(f"{KEY} alice@laptop\n")
        added = await self.succeed_json("key add alice --public-key", str(public))
        private = Path(self.mktemp())
        await self.succeed("key generate alice --out", str(private))
        self.assertEqual(stat.S_IMODE(private.stat().st_mode), 0o600)
        self.assertEqual(len((await self.succeed_json("key list"))["items"]), 2)
        await self.succeed(f"key revoke {added['id']}")
        found = await self.succeed_json("explain alice db --port 5432 --method token")
        self.assertIs(found["allowed"], True)
        await self.succeed("unassign db --user alice")
        found = await self.succeed_json("explain alice db --port 5432 --method token")
        self.assertIs(found["allowed"], False)

    @defer.inlineCallbacks
    def test_what_goes_on(self):
        yield defer.ensureDeferred(self._what_goes_on())

    async def _what_goes_on(self):
        await self.make_basics()
        token = await self.succeed_json("token create alice")
        login = LoginRecord("alice", "192.0.2.7", "OpenSSH_9.2", self.live.pod_id)
        hashed = hash_secret(token["token"])
        session = (await deferToThread(self.store.write, tokens.spend, hashed, login)).session
        (listed,) = (await self.succeed_json("session list"))["items"]
        self.assertEqual((listed["id"], listed["source_ip"]), (session.id, "192.0.2.7"))
        await self.succeed(f"session end {session.id}")
        self.assertEqual(self.live.ended, [(session.id, 'ended by API token "ci"')])
        events = (await self.succeed_json("audit"))["items"]
        self.assertLessEqual(
            {"site.created", "login.succeeded", "token.created"}, {one["event"] for one in events}
        )

    @defer.inlineCallbacks
    def test_a_configuration_in_a_file(self):
        yield defer.ensureDeferred(self._a_configuration_in_a_file())

    async def _a_configuration_in_a_file(self):
        """The example of docs/configuration.md: applied, exported, wiped, and applied again."""
        text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
        file = Path(self.mktemp())
        file.write_text(text.partition("```toml\n")[2].partition("```")[0], "utf-8")
        status, plan, told = await self.run_line("apply", str(file), "--dry-run")
        self.assertEqual((status, told), (0, "11 created (not done: this was a dry run)\n"))
        self.assertIn("+ tunnels.db.assignments.group dba\n    + methods = key, token\n", plan)
        self.assertNotIn("\x1b", plan)
        self.assertEqual(await self.succeed("export"), "")
        self.assertEqual(await self.run_line("apply", str(file)), (0, plan, "11 created\n"))
        self.assertEqual(
            await self.run_line("apply", str(file)),
            (0, "", "nothing to do: everything is as the file says\n"),
        )
        written = await self.succeed("export")
        self.assertEqual(
            tomllib.loads(written)["tunnels"]["db"]["target_ports"], [5432, "8000-8010"]
        )
        for line in ("tunnel delete db", "policy delete office", "site delete paris",
                     "group delete dba", "user delete alice", "user delete nightly"):  # fmt: skip
            await self.succeed(f"{line} --yes")
        self.assertEqual(await self.succeed("export"), "")
        whole = Path(self.mktemp())
        whole.write_text(written, "utf-8")
        self.assertEqual((await self.run_line("apply", str(whole)))[0], 0)
        self.assertEqual(await self.succeed("export"), written)

    @defer.inlineCallbacks
    def test_names_that_a_terminal_would_obey(self):
        yield defer.ensureDeferred(self._names_that_a_terminal_would_obey())

    async def _names_that_a_terminal_would_obey(self):
        """ANSI, C1 and bidi characters come out as text, and as themselves after a round trip."""
        title = "\x1b[31m\x9b2J\u202egnp.exe\u2066\U000e0041 \U0001f600 <script>"
        await self.succeed("site create paris --title", title)
        shown = await self.succeed_json("site show paris")
        self.assertEqual(shown["title"], title)
        for line in ("site list", "site show paris", "site show paris --json", "export",
                     "audit", "audit --ecs", "audit --json"):  # fmt: skip
            output = await self.succeed(line)
            self.assertEqual([c for c in output if not c.isprintable() and c != "\n"], [], line)
        file = Path(self.mktemp())
        file.write_text(await self.succeed("export"), "utf-8")
        self.assertEqual(
            await self.run_line("apply", str(file)),
            (0, "", "nothing to do: everything is as the file says\n"),
        )

    @defer.inlineCallbacks
    def test_files_that_cant_be_applied(self):
        yield defer.ensureDeferred(self._files_that_cant_be_applied())

    async def _files_that_cant_be_applied(self):
        file = Path(self.mktemp())
        for content, words in [
            (b"[sites.paris", "is not TOML: "),
            (b"\xff", "is not UTF-8 (byte 0)"),
            (b"[site.paris]", "site: there is no such field"),
            (b"[sites.Paris_1]", "sites.Paris_1: use 1 to 63 characters: a-z"),
            (
                b"[policies.p]\nvalid_from = 2026-01-01",
                "policies.p.valid_from: use a time with its",
            ),
            (
                b"[policies.p]\nidle_seconds = inf",
                "policies.p.idle_seconds: must be a whole number",
            ),
            (b"[connectors.one]\nsite = 'rome'", "connectors.one.site: there is no site 'rome'"),
            (
                b"[sites.x]\ntitle = '\xe2\x80\xae'\n[users.y]\nmail = 1",
                "users.y.mail: there is no",
            ),
        ]:
            file.write_bytes(content)
            told = await self.fail_line(f"apply {file}")
            self.assertIn(f"{file}: ", told)
            self.assertIn(words, told)
        self.assertEqual(await self.succeed("export"), "")

    @defer.inlineCallbacks
    def test_what_fails(self):
        yield defer.ensureDeferred(self._what_fails())

    async def _what_fails(self):
        await self.make_basics()
        for line, words in [
            ("site create paris", "already"),
            ("site create PARIS_1", "use 1 to 63 characters: a-z"),
            ("tunnel create x --site lyon --address a --port 1", "there is no site 'lyon'"),
            ("tunnel create x --site paris --address a --port 70000", "out of range"),
            ("tunnel create x --site paris --address a --port 9-1", "upside down"),
            ("token create alice --tunnel db", "opens with a token"),
        ]:
            self.assertIn(words, await self.fail_line(line), line)
        await self.fail_line("tunnel create x", status=2)
        line = await self.fail_line("audit --event logn.refused")
        self.assertIn("--event: there is no such event: use one such as login.refused, ", line)
        self.assertIn(" or login. for all events whose names begin so", line)
