"""The commands that the documentation gives to copy, run in the order that each page has them in.

A page's commands meet the real API, on a store that has what the page takes for granted.  Commands
that need more than that stand in ``RUN_ELSEWHERE``, with what runs them.
"""

import os
from pathlib import Path

import httpx
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from tests import doc_blocks
from tests.store.databases import migrated_sqlite
from tests.web.support import ApiTestCase
from tunnelcloud.cli.command import main
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import pods
from tunnelcloud.store.pods import Registration
from tunnelcloud.store.sqlite_files import FILE_NAME

RUN_ELSEWHERE = {
    "setup": "release/check answers its questions; tests.cli.test_setup",
    "login": "a person types a code at the portal: tests.cli.test_login",
    "connect": "runs ssh: tests.integration.test_together",
    "status": "tells of ssh that runs: tests.integration.test_together",
    "stop": "ends ssh that runs: tests.integration.test_together",
    "doctor": "tries the addresses of a pod that runs: release/check",
    "db migrate-to": "goes to PostgreSQL: tests.store.test_database_copying",
    "authority retire": "needs a pod that has another CA by now: tests.web.test_authorities",
    "grant emergency": "is for who may open a tunnel in an emergency: tests.web.test_approvals",
    "host-key promote": "needs a pod that has new keys by now: tests.integration.test_fingerprints",
    "host-key retire": "needs a pod that has old keys by now: tests.integration.test_fingerprints",
}
"""Commands that aren't run here, and what runs them."""

REFUSED = {
    "user reset-second-factor boss": "the user has no second factor",
}
"""Commands that fail where the page's trouble isn't there, and what they say then."""

WORLD = {
    ("group", "dba"): [],
    ("group", "bosses"): [],
    ("user", "alice"): [],
    ("user", "boss"): ["--role", "admin"],
    ("policy", "office"): ["--source", "10.0.0.0/8"],
    ("site", "paris"): [],
    ("connector", "paris-1"): ["--site", "paris"],
    ("tunnel", "db"): ["--site", "paris", "--address", "10.0.0.5", "--port", "5432"],
    ("tunnel", "web"): ["--site", "paris", "--address", "10.0.0.6", "--port", "443"],
}
"""What is there before a page's commands, unless the page makes it."""


def is_elsewhere(words):
    """Tell whether a command is run elsewhere."""
    return bool({words[0], " ".join(words[:2])} & set(RUN_ELSEWHERE))


def commands(page):
    """Give where each command of ``tunnelcloud`` on a page is, and its words from the noun on."""
    for block in doc_blocks.blocks(page):
        if block.kind != "shell":
            continue
        for words in map(doc_blocks.program, doc_blocks.commands(block.text)):
            reader, rest = (doc_blocks.own_words(words) if words else None) or ("", [])
            if reader == "tunnelcloud":
                while rest[0].startswith("--"):
                    rest = rest[2:]
                yield f"{block.where}: {' '.join(words)}", rest


def made_by(words):
    """Tell what a command makes: its kind and its name."""
    return (words[0], words[2]) if words[1:2] == ["create"] else None


class DocCommandTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        client, transport = httpx.Client, httpx.MockTransport(self.answer)
        self.patch(
            httpx, "Client", lambda headers, **_: client(headers=headers, transport=transport)
        )
        self.patch(httpx, "create_ssl_context", lambda: None)
        self.machine = Path(self.mktemp()).resolve()
        self.machine.mkdir(mode=0o700)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.machine)
        for name in ("secret", "admin.token"):
            Path(name).touch(0o600)
        Path("secret").write_text("a secret")
        Path("admin.token").write_text(self.secrets[Role.ADMIN])
        Path("pod.toml").write_text(f'state_directory = "{self.machine}/state"\n[ssh]\n')
        Path("state").mkdir(mode=0o700)
        self.renew_database()
        self.there = set()

    def renew_database(self):
        """Have the machine's own pod stopped, with an empty database."""
        file = self.machine / "state" / FILE_NAME
        file.touch(mode=0o600)
        file.write_bytes(migrated_sqlite())

    def answer(self, request):
        """Answer the command line as the pod does."""
        headers = {"Content-Type": "application/json"} if request.content else {}
        path = request.url.raw_path.decode("ascii")
        found = self.ask(request.method, path, request.content or None, headers=headers)
        return httpx.Response(
            found.status,
            headers={"content-type": found.headers.get("content-type", "text/plain")},
            content=found.body,
        )

    def run_words(self, words):
        """Run one command; give its exit status and all that it prints."""
        variables = {"TUNNELCLOUD_URL": "http://127.0.0.1:8080"}
        variables["TUNNELCLOUD_API_TOKEN"] = self.secrets[Role.ADMIN]
        result = CliRunner().invoke(main, words, env=variables)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    def furnish(self, page_makes):
        """Have there what a page takes for granted, as soon as it can be."""
        for made, options in WORLD.items():
            site = ("site", "paris")
            if made in self.there | page_makes or ("--site" in options and site not in self.there):
                continue
            self.assertEqual(self.run_words([made[0], "create", made[1], *options])[0], 0, made)
            self.there.add(made)

    def prepare(self, page, words):
        """Leave the machine as the text above a command says it is."""
        if words[:2] == ["db", "restore"]:
            (self.machine / "state" / FILE_NAME).unlink()
        elif words[0] == "apply":
            texts = (block.text for block in doc_blocks.blocks(page) if block.kind == "toml")
            Path("tunnelcloud.toml").write_text(next(one for one in texts if "[sites." in one))
        elif words[:2] == ["pod", "drain"]:
            beside = Registration("pod-2", "0", "a:1", "a:2", home="h", incarnation="i")
            self.pod_id = self.store.write(pods.register, beside, shared=True).id
        elif words[:2] == ["pod", "delete"]:
            self.store.write(pods.leave, self.pod_id, reason="stopped")

    def here(self, word):
        """Put the test's directory in the place of a machine's."""
        is_file = word.endswith((".toml", ".backup", ".sqlite3"))
        return str(self.machine / Path(word).name) if is_file else word

    def run_page(self, page):
        found = [(where, words) for where, words in commands(page) if not is_elsewhere(words)]
        page_makes = {made for _, words in found if (made := made_by(words)) in WORLD}
        for where, words in found:
            self.furnish(page_makes)
            self.prepare(page, words)
            # A person would be asked.
            sure = ["--yes"] if words[1:2] == ["delete"] and words[0] != "pod" else []
            status, said = self.run_words([*map(self.here, words), *sure])
            refusal = REFUSED.get(" ".join(words))
            self.assertEqual(status, int(refusal is not None), f"{where}: {said}")
            self.assertIn(refusal or "", said, where)
            if made := made_by(words):
                self.there.add(made)


def _test(page):
    return lambda self: self.run_page(page)


for _page in doc_blocks.pages():
    if any(not is_elsewhere(words) for _, words in commands(_page)):
        setattr(DocCommandTests, f"test_{_page.stem.replace('-', '_')}", _test(_page))


class ElsewhereTests(SynchronousTestCase):
    def test_each_is_in_the_documentation(self):
        said = {key for page in doc_blocks.pages() for _, words in commands(page)
                for key in (words[0], " ".join(words[:2]))}  # fmt: skip
        self.assertEqual(set(RUN_ELSEWHERE) - said, set())
