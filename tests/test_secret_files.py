"""Every file with a secret, whatever setting or option names it, is its reader's alone.

A user's own API token is used all the same, with a warning; nothing else is.
"""

from pathlib import Path
from unittest import mock

import attrs
import click
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.support import CommandTestCase
from tunnelcloud.cli import main
from tunnelcloud.connector.settings import ConnectorSettings, read_connector_settings
from tunnelcloud.connector.starting import _join_token
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.pki.sealing import load_sealer
from tunnelcloud.private_files import ExposedPrivateFile, read_private
from tunnelcloud.settings import PodSettings, read_pod_settings
from tunnelcloud.settings_files import CannotStart
from tunnelcloud.sinks.sinks import check_sinks
from tunnelcloud.tap import ConnectorOptions, PodOptions

NO_SECRET = {"--key-file", "--hosts-file"}
"""Options that name a file which is given to ssh, or which everybody on the machine reads."""


def of_settings(model):
    """Name the settings of a pod that end in ``_file``, in all tables."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
            yield from of_settings(field.annotation)
        elif name.endswith("_file"):
            yield name


def of_commands(command, context):
    """Name the options of commands that end in ``-file``."""
    for parameter in command.params:
        yield from (one for one in parameter.opts if one.endswith("-file"))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from of_commands(command.get_command(context, name), context)


def named():
    """Name every setting and option that names a file."""
    found = set(of_settings(PodSettings))
    found |= {one.name for one in attrs.fields(ConnectorSettings) if one.name.endswith("_file")}
    for options in (PodOptions, ConnectorOptions):
        found |= {f"--{one[0]}" for one in options.optParameters if one[0].endswith("-file")}
    return found | set(of_commands(main, click.Context(main)))


class SecretFileTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "secret"
        self.path.write_bytes(b"x" * 32)

    def settings(self, text):
        path = self.directory / "settings.toml"
        path.write_text(f'state_directory = "{self.directory}"\n{text}')
        return path

    def pod(self, text):
        return lambda: read_pod_settings(self.settings(text), None)

    def command(self, *words):
        def run():
            status, _, errors = self.run_line(*map(str, words))
            self.assertNotEqual(status, 0)
            raise CannotStart(errors)

        return run

    def check(self, text):
        settings = self.pod(text)()
        check_sinks(settings.audit, settings.notify)

    def readers(self):
        webhook = f'[audit.webhook]\nurl = "https://s"\nsecret_file = "{self.path}"'
        smtp = (
            '[notify.smtp]\nserver = "s"\nsender = "a@b"\nto = ["c@d"]\nuser = "u"\n'
            f'password_file = "{self.path}"'
        )
        connector = f'proxy = "http://u@proxy:1"\nproxy_password_file = "{self.path}"'
        provider = ("--issuer", "https://issuer.example.com", "--client-id", "x")
        return {
            "url_file": self.pod(f'[database]\nurl_file = "{self.path}"'),
            "sealing_key_file": lambda: load_sealer(self.path),
            "secret_file": lambda: self.check(webhook),
            "password_file": lambda: self.check(smtp),
            "proxy_password_file": lambda: read_connector_settings(self.settings(connector), None),
            "--join-file": lambda: _join_token(None, self.path, ConnectorState(self.directory)),
            "--api-token-file": self.command("--api-token-file", self.path, "site", "list"),
            "--client-secret-file": self.command(
                *("identity-provider", "create", "corp", *provider),
                *("--client-secret-file", self.path),
            ),
            "--url-file": self.command(
                "db", "migrate-to", "--url-file", self.path, "--state", self.directory
            ),
        }

    def test_each_that_others_can_read_is_told_of(self):
        readers = self.readers()
        self.assertEqual(named() - NO_SECRET, set(readers))
        for name, read in readers.items():
            for mode in (0o644, 0o640, 0o602):
                self.path.chmod(mode)
                error = self.assertRaises((CannotStart, ExposedPrivateFile), read)
                self.assertIn(f"chmod 600 {self.path}", " ".join(str(error).split()), name)


class GivenTests(SynchronousTestCase):
    """Secrets that systemd and containers give have the modes that they give them."""

    def setUp(self):
        self.path = Path(self.mktemp()).absolute()
        self.path.write_bytes(b"secret")
        self.path.chmod(0o644)

    def test_a_credential_of_systemd(self):
        self.assertRaises(ExposedPrivateFile, read_private, self.path, {})
        given = {"CREDENTIALS_DIRECTORY": str(self.path.parent)}
        self.assertEqual(read_private(self.path, given), b"secret")
        self.assertRaises(
            ExposedPrivateFile, read_private, self.path, {"CREDENTIALS_DIRECTORY": "/run"}
        )

    def test_a_secret_of_a_container(self):
        with mock.patch("tunnelcloud.private_files._CONTAINER_SECRETS", self.path.parent):
            self.assertEqual(read_private(self.path, {}), b"secret")
