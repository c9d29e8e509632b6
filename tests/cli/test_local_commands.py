"""Commands on the machine of a pod or connector, which no pod answers."""

import io
import os
import signal
import sys
from pathlib import Path

from attrs import fields
from click.testing import CliRunner
from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase

from tests.pod.certificates import write_certificate
from tunnelcloud.cli import database
from tunnelcloud.cli.command import main
from tunnelcloud.connector.settings import ConnectorSettings
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.settings import PodSettings
from tunnelcloud.store import audit, database_copying, second_factors, sqlite_files, users
from tunnelcloud.store.engine import open_store

MADE_BY_THE_START = {"state_directory", "audit.file.path"}


def files_of(settings, above=""):
    """Name the settings of a table, and of those in it, that are paths."""
    for name, found in settings.model_fields.items():
        if isinstance(found.default, BaseModel):
            yield from files_of(type(found.default), f"{above}{name}.")
        elif "Path" in str(found.annotation):
            yield above + name


SMTP = "[notify.smtp]\nserver = 's'\nsender = 'a@b'\nto = ['c@d']\n"


class MachineCase(SynchronousTestCase):
    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir(mode=0o700)
        self.state = self.directory / "state"

    def run_command(self, *arguments, status=0):
        result = CliRunner().invoke(main, [str(one) for one in arguments])
        self.assertEqual(result.exit_code, status, result.output)
        self.answer = result.stdout
        return result.output

    def open(self):
        store = open_store("sqlite", self.state)
        self.addCleanup(store.close)
        return store


class ConfigCheckTests(MachineCase):
    def judge(self, text, status=0, *options):
        file = self.directory / "file.toml"
        file.write_text(text)
        return self.run_command("config", "check", file, *options, status=status)

    def test_each_program_has_its_own(self):
        self.assertIn("a pod can", self.judge('state_directory = "/x"\n[ssh]\nlisten = ["tcp:2"]'))
        self.assertIn(
            "a connector can", self.judge('state_directory = "/x"\nallow = ["10.0.0.0/8"]')
        )

    def test_each_fault_is_named(self):
        said = self.judge('state_directory = "/x"\n[ssh]\nlisten = 5\n[tokens]\nlifetime = "7"', 1)
        for text in ("ssh.listen", "tokens.lifetime", "use a number and a unit"):
            self.assertIn(text, said)
        self.assertIn(
            "'x y': use a DNS name", self.judge('state_directory = "/x"\nallow = ["x y"]', 1)
        )
        said = self.judge('state_directory = "/x"\n[ssh]\nlisten = ["tcp:x"]', 1)
        self.assertIn("ssh.listen: 'tcp:x' is not an endpoint", said)
        self.assertIn("is not TOML", self.judge("[", 1))

    def test_the_settings_tell_which_program_s_they_are(self):
        of_both = {one.name for one in fields(ConnectorSettings)}
        for name in set(PodSettings.model_fields) - of_both:
            said = self.judge(f'state_directory = "/x"\n{name} = []', 1)
            self.assertIn(f"{name}: ", said)
        for text in ("", 'state_directory = "/x"', "[shh]\nx = 1"):
            self.assertIn("--for pod or --for connector", self.judge(text, 2))

    def test_each_file_that_settings_name_is_read(self):
        """A setting that names another file needs a line here, and a look at it in the check."""
        certificate = self.directory / "certificate.pem"
        write_certificate(certificate, None, "portal.example.com")
        texts = {
            "web.certificate": '[web]\ncertificate = "/no/file"\nprivate_key = "/no/k.pem"',
            "web.private_key": f'[web]\ncertificate = "{certificate}"\nprivate_key = "/no/file"',
            "web.acme.ca": '[web.acme]\ndirectory = "https://a/dir"\nnames = ["a.example"]\n'
            'ca = "/no/file"\n[front]\nlisten = ["tcp:443"]',
            "database.url_file": '[database]\nurl_file = "/no/file"',
            "database.sealing_key_file": '[database]\nsealing_key_file = "/no/file"',
            "audit.syslog.ca": '[audit.syslog]\naddress = "s:1"\nca = "/no/file"',
            "notify.webhook.secret_file": "[notify.webhook]\n"
            'url = "https://s"\nsecret_file = "/no/file"',
            "notify.smtp.password_file": f"{SMTP}user = 'u'\npassword_file = '/no/file'",
            "notify.smtp.ca": f"{SMTP}ca = '/no/file'",
            "notify.webhook.url_file": '[notify.webhook]\nurl_file = "/no/file"',
            "audit.webhook.url_file": '[audit.webhook]\nurl_file = "/no/file"',
            "audit.webhook.secret_file": "[audit.webhook]\n"
            'url = "https://s"\nsecret_file = "/no/file"',
        }
        self.assertEqual(set(texts), set(files_of(PodSettings)) - MADE_BY_THE_START)
        for name, text in texts.items():
            said = self.judge(text, 1)
            self.assertIn("/no/file", said, name)
            self.assertIn("can't be read", said, name)

    def test_the_database_s_address_is_read(self):
        for url in ("postgresql://u@h/d?nosuch=1", "postgresql://[::1/d"):
            said = self.judge(f'[database]\nurl = "{url}"', 1)
            self.assertIn("that is no address of a database", said)
        self.judge('[database]\nurl = "postgresql://u:secret@192.0.2.1/d"')
        said = self.judge('[database]\nurl_file = "/no/url"', 1)
        self.assertIn("/no/url can't be read", said)

    def test_a_connector_s_surroundings(self):
        text = 'allow = ["10.0.0.0/8"]'
        self.assertIn("state_directory is missing", self.judge(text, 1))
        self.assertIn("a connector can", self.judge(text, 0, "--state", "/x"))
        self.patch(os, "environ", {**os.environ, "HTTPS_PROXY": "ftp://u:canary@p"})
        said = self.judge(text, 1, "--state", "/x")
        self.assertIn("HTTPS_PROXY: proxies of the kind 'ftp' can't be used", said)
        self.assertNotIn("canary", said)

    def test_which_program_may_be_said(self):
        said = self.judge('state_directory = "/x"\nallow = []', 1, "--for", "pod")
        self.assertIn("allow: there is no such setting", said)

    def test_no_file(self):
        self.assertIn("can't be read", self.run_command("config", "check", "/nowhere", status=1))


class DatabaseTests(MachineCase):
    def test_back_up_and_restore(self):
        store = self.open()
        store.write(users.create, name="alice")
        backup = self.directory / "backup"
        said = self.run_command("db", "backup", backup, "--state", self.state)
        self.assertIn("sealing.key", said)
        self.assertIn("is there already", self.run_command(
            "db", "restore", backup, "--state", self.state, status=1))  # fmt: skip
        store.close()
        self.state = self.directory / "new"
        self.assertIn("Restored", self.run_command("db", "restore", backup, "--state", self.state))
        self.assertEqual(self.open().read(users.count), 1)

    def test_a_signal_ends_it_and_says_that_nothing_was_changed(self):
        self.open().close()
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Whoever started the tests may have them ignored, as nohup does.
            self.addCleanup(signal.signal, one, signal.signal(one, signal.SIG_DFL))
        before = signal.getsignal(signal.SIGTERM)
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            ended = []

            def kill(*_, one=one, ended=ended):
                try:
                    os.kill(os.getpid(), one)
                except KeyboardInterrupt:
                    ended.append(one)
                    raise

            self.patch(database_copying, "copy_rows", kill)
            backup = self.directory / "backup"
            said = self.run_command("db", "backup", backup, "--state", self.state, status=1)
            self.assertEqual(said, "Error: stopped before the end: nothing was changed\n")
            self.assertEqual(ended, [one])
            self.assertEqual(list(self.directory.glob("backup*")), [])
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)

    def test_progress_is_a_line_of_a_terminal_or_lines(self):
        for is_terminal, text in (
            (False, "audit: 5 rows, 5 rows of 1 tables so far\nusers: 7 rows, 12 rows of 2 tables"),
            (True, "\raudit: 5 rows, 5 rows of 1 tables so far\x1b[K\rusers: 7 rows, 12 rows of 2"),
        ):
            said = io.StringIO()
            said.isatty = lambda is_terminal=is_terminal: is_terminal
            self.patch(sys, "stderr", said)
            self.patch(database, "_TELL_SECONDS", 0.0)
            progress = database._Progress()
            progress("audit", 5)
            progress("users", 7)
            progress.end()
            self.assertTrue(said.getvalue().startswith(text), said.getvalue())
            self.assertEqual(said.getvalue().endswith("\r\x1b[K"), is_terminal)

    def test_a_signal_that_is_ignored_stays_so(self):
        self.open().close()
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        self.patch(database_copying, "copy_rows", lambda *_: os.kill(os.getpid(), signal.SIGHUP))
        self.run_command("db", "backup", self.directory / "backup", "--state", self.state)

    def test_a_signal_comes_too_late_for_what_is_kept(self):
        self.open().close()
        sync = os.fsync

        def late(descriptor):
            os.kill(os.getpid(), signal.SIGTERM)
            sync(descriptor)

        self.patch(sqlite_files.os, "fsync", late)
        self.run_command("db", "backup", self.directory / "backup", "--state", self.state)
        self.assertTrue((self.directory / "backup").exists())

    def test_upgrade_makes_one_that_is_up_to_date(self):
        said = self.run_command("db", "upgrade", "--state", self.state)
        self.assertIn("tunnelcloud.sqlite3 wasn't there: it is new, and empty", said)
        said = self.run_command("db", "upgrade", "--state", self.state)
        self.assertIn("up to date", said)

    def test_without_settings_it_says_what_to_give(self):
        self.assertIn("give --config FILE or --state DIR", self.run_command(
            "db", "upgrade", status=2))  # fmt: skip

    def test_a_move_needs_another_database(self):
        said = self.run_command("db", "migrate-to", "sqlite", "--state", self.state, status=2)
        self.assertIn("used already", said)
        self.run_command("db", "migrate-to", "--state", self.state, status=2)

    def test_no_password_on_the_command_line(self):
        for url in (
            "postgresql://u:canary@h/d",
            "postgres://u@h/d?password=canary",
            "postgresql://h/d?sslpassword=canary&x=1",
            "postgresql://u:@h/d",
        ):
            said = self.run_command("db", "migrate-to", url, "--state", self.state, status=2)
            self.assertIn("--url-file FILE", said)
            self.assertNotIn("canary", said)

    def test_an_address_comes_from_a_file(self):
        self.open().close()
        file = self.directory / "url"
        command = ("db", "migrate-to", "--url-file", file, "--state", self.state)
        moved = []
        self.patch(database_copying, "move", lambda *one: moved.append(one[2]))
        file.write_text("postgresql://u:canary@h/d\n")
        file.chmod(0o600)
        self.run_command(*command)
        self.assertEqual(moved, ["postgresql://u:canary@h/d"])
        file.write_text("mysql://u:canary@h/d\n")
        self.assertNotIn("canary", self.run_command(*command, status=1))
        self.run_command(*command, "sqlite", status=2)
        self.assertIn("can't be read", self.run_command(
            "db", "migrate-to", "--url-file", "none", "--state", self.state, status=1))  # fmt: skip


class RecoverTests(MachineCase):
    def test_whoever_it_is_can_sign_in_again(self):
        store = self.open()
        root = store.write(users.create, name="root", role=Role.ADMIN)
        boss = store.write(users.create, name="boss", role=Role.USER, blocked=True)
        store.write(second_factors.begin, boss.id, b"sealed")
        store.write(second_factors.confirm, boss.id, 1, [b"code"])
        store.close()
        said = self.run_command("admin", "recover", "boss", "--state", self.state)
        self.assertRegex(self.answer, r"\Ahttp\S+/invitation/\S+\n\Z")
        self.assertRegex(said, r"http://127\.0\.0\.1:8080/invitation/tcl_\w+")
        store = self.open()
        boss = store.read(users.get, boss.id)
        self.assertEqual((boss.role, boss.blocked), (Role.ADMIN, False))
        self.assertFalse(store.read(second_factors.is_confirmed, boss.id))
        found = store.read(audit.list_page).items
        self.assertIn("tunnelcloud admin recover", {one.event.actor for one in found})
        self.assertEqual(store.read(users.get, root.id), root)

    def test_a_mistyped_directory_gets_no_database(self):
        said = self.run_command("admin", "recover", "eve", "--state", self.state, status=1)
        self.assertIn("there is no database: name the state directory", said)
        self.assertFalse(self.state.exists())

    def test_the_link_has_the_portal_s_own_address(self):
        self.open().close()
        file = self.directory / "pod.toml"
        for web, url in (
            ('listen = ["tcp:port=9443:interface=127.0.0.1"]', "http://127.0.0.1:9443/"),
            (r'listen = ["tcp:9443:interface=\\:\\:1"]', "http://[::1]:9443/"),
            ('listen = ["systemd:domain=INET:index=0", "ssl:9444:x"]', "https://127.0.0.1:9444/"),
            ('public_url = "https://portal.example.com"', "https://portal.example.com/"),
            ("", "http://127.0.0.1:8080/"),
        ):
            file.write_text(f'state_directory = "{self.state}"\n[web]\n{web}')
            said = self.run_command("admin", "recover", "eve", "--config", file)
            self.assertTrue(said.startswith(url), said)

    def test_somebody_new(self):
        self.open().close()
        self.run_command("admin", "recover", "eve", "--state", self.state)
        self.assertEqual(self.open().read(users.find, "eve").role, Role.ADMIN)

    def test_a_pod_that_runs_is_told(self):
        self.open()
        said = self.run_command("admin", "recover", "eve", "--state", self.state, status=1)
        self.assertIn("in use by another pod", said)

    def test_a_name_that_can_t_be(self):
        self.open().close()
        said = self.run_command("admin", "recover", "a b", "--state", self.state, status=1)
        self.assertNotIn("Traceback", said)
