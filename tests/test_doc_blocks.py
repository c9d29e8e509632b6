"""Whatever the documentation gives to copy is what the program takes.

Commands of the program are read by its own parser, settings by their own readers, examples of the
configuration by the API's models. What a block has of other programs is run by a test, or stands
below with why it isn't.
"""

import json
import os
import re
import tomllib
from pathlib import Path

import click
import yaml
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from tests import doc_blocks
from tunnelcloud.cli.command import main
from tunnelcloud.connector.settings import read_connector_settings
from tunnelcloud.settings import read_pod_settings
from tunnelcloud.settings_files import BadSettings
from tunnelcloud.tap import Options
from tunnelcloud.web.models.document import WholeDocument

RUN_BY = {
    "apt": "release/check, in a Debian that has nothing else",
    "tunnelcloud-connector": "release/check",
    "dpkg-deb": "release/check, before it upgrades",
    "bin/python": "release/check, of the package that it has unpacked",
    "python": "tox runs the tests that it names",
    "python3": ".ci/fresh and release/check",
    "pip": ".ci/fresh",
    "tox": ".ci/fresh",
    "release/check": "itself, by hand before a release",
    "podman": "no engine runs in tests: test_doc_engines; release/check-image, by buildah",
    "docker": "no engine runs in tests: test_doc_engines, test_deploying",
    "kubectl": "no cluster runs in tests: test_doc_engines, test_deploying",
    "systemctl": "no systemd runs in tests: test_doc_engines, test_starts; release/check",
    "systemd-sysusers": "needs root: tests/test_release.py reads what it would make",
    "cp": "needs root where it writes to /etc: test_doc_engines looks for what is copied",
    "install": "needs root where it writes to /etc: test_doc_engines looks for what is copied",
    "editor": "a person works with it",
    "ssh": "tests/integration runs it in every form that the program prints",
    "psql": "tests.integration.test_database, through a tunnel",
    "createdb": "tests.integration.test_doc_postgres",
    "createuser": "tests.integration.test_doc_postgres",
}
"""Programs of blocks that aren't ours: what runs them, or why nothing does."""

PLAIN = {"cd", "mkdir", "echo", "touch", "cat", "printf", "head", "openssl", "export", "grep", "mv"}
"""What every system has, and no test needs to run."""

OTHERS = {"text", "nginx", "python", "{toctree}"}
"""Languages of blocks that nothing of ours reads; tests/integration has the proxies' files."""


class CommandTests(SynchronousTestCase):
    def commands(self):
        for page in doc_blocks.pages():
            for block in doc_blocks.blocks(page):
                if block.kind == "shell":
                    for words in map(doc_blocks.program, doc_blocks.commands(block.text)):
                        if words:
                            yield f"{block.where}: {' '.join(words)}", words

    def test_the_program_takes_its_commands(self):
        # Parsers look for files, and groups call their commands: here they do neither.
        for kind in (click.File, click.Path):
            self.patch(kind, "convert", lambda kind, value, param, context: value)
        self.patch(click.Command, "invoke", lambda command, context: None)
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "secret").write_text("a secret")
        (directory / "secret").chmod(0o600)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(directory)
        count = 0
        for where, words in self.commands():
            reader, rest = doc_blocks.own_words(words) or ("", [])
            try:
                if reader == "twistd":
                    Options().parseOptions(rest)
                elif reader:
                    main.main(rest, prog_name=reader, standalone_mode=False)
            except (click.ClickException, usage.UsageError) as error:
                self.fail(f"{where}: {error}")
            count += bool(reader)
        self.assertGreater(count, 40)

    def test_all_else_is_run_or_says_why_not(self):
        for where, words in self.commands():
            name = words[0].removeprefix("/opt/tunnelcloud/bin/").removeprefix(".venv/bin/")
            if name not in PLAIN | {"tunnelcloud", "twistd"}:
                self.assertIn(name, RUN_BY, where)

    def test_options_within_the_text_are_there(self):
        for page in doc_blocks.pages():
            for span in doc_blocks.spans(page):
                if span.startswith("tunnelcloud ") and not span.endswith("…"):
                    self.has_options(f"{page.name}: {span}", span.split()[1:])

    def has_options(self, where, words):
        context, command, names = click.Context(main), main, list(words)
        options = {one for item in main.params for one in item.opts}
        while isinstance(command, click.Group) and names:
            if names[0].startswith("-"):
                self.assertIn(names.pop(0), options, where)
                names = names[1:]
                continue
            found = command.get_command(context, names.pop(0).rstrip(","))
            self.assertIsNotNone(found, where)
            command = found
        there = {one for item in command.get_params(context) for one in item.opts} | {"--help"}
        said = {word.partition("=")[0] for word in names if word.startswith("--")}
        self.assertLessEqual(said, there, where)


class SettingsTests(SynchronousTestCase):
    def test_settings_can_be_read(self):
        kinds = set()
        for page in doc_blocks.pages():
            for block in doc_blocks.blocks(page):
                if block.kind == "toml":
                    kinds.add(self.read(block))
        self.assertEqual(kinds, {"pod", "connector", "document"})

    def read(self, block):
        values = tomllib.loads(block.text)
        if {"sites", "tunnels", "users"} & set(values):
            plain = json.loads(json.dumps(values, default=lambda value: value.isoformat()))
            WholeDocument.model_validate(plain)
            return "document"
        text = block.text
        if set(values) == {"url"}:  # the page names its section beside it
            text = f"[database]\n{text}"
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "database-url").write_text("postgresql://tunnelcloud:x@db/tunnelcloud")
        (directory / "database-url").chmod(0o600)
        path = directory / "settings.toml"
        path.write_text(
            re.sub(r'(?<=url_file = ")[^"]*(?=")', str(directory / "database-url"), text)
        )
        faults = []
        for kind, read in (("pod", read_pod_settings), ("connector", read_connector_settings)):
            try:
                read(path, None)
            except BadSettings as error:
                faults.append(str(error))
            else:
                return kind
        return self.fail(f"{block.where}: {faults}")

    def test_other_languages_are_known(self):
        for page in doc_blocks.pages():
            for block in doc_blocks.blocks(page):
                if block.kind == "json":
                    json.loads(block.text)
                elif block.kind == "yaml":
                    yaml.safe_load(block.text)
                elif block.kind not in ("shell", "toml"):
                    self.assertIn(block.kind, OTHERS, block.where)
