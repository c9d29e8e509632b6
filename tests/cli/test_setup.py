"""``tunnelcloud setup``: what it asks, what it writes, and what it leaves alone."""

import json
import os
import stat
import tomllib
from pathlib import Path

from click.testing import CliRunner
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.cli.test_local_commands import MachineCase
from tests.pod.certificates import write_certificate
from tunnelcloud.cli import setup, setup_address_checks, setup_database, setup_plan, setup_questions
from tunnelcloud.cli.command import main
from tunnelcloud.cli.setup_file import SettingsFile
from tunnelcloud.domain.join_tokens import parse_join_token
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import connectors, pods, second_factors, users
from tunnelcloud.store.pods import Registration
from tunnelcloud.web.portal.passwords import is_password

EXAMPLE = Path(__file__).parents[2] / "etc" / "pod.toml"
ANSWERS = ["pod.example.com", "proxy", "boss", "link", "paris", "", "y"]


class SetupCase(MachineCase):
    def setUp(self):
        super().setUp()
        self.file = self.directory / "pod.toml"
        self.patch(setup_plan, "SOCKET_UNIT", self.directory / "none")
        self.patch(setup, "SOCKET_UNIT", self.directory / "none")
        self.patch(setup_address_checks, "doors", lambda settings: ())
        self.patch(setup_address_checks, "resolve", lambda host: ["127.0.0.2"])
        self.patch(setup_plan, "own_name", lambda: "guessed.example.com")

    def run_setup(self, *options, typed=None, status=0):
        words = ["setup", "--config", self.file, "--state", self.state, *options]
        answers = None if typed is None else "".join(f"{one}\n" for one in typed)
        result = CliRunner().invoke(main, [str(one) for one in words], input=answers)
        self.assertEqual(result.exit_code, status, result.output)
        return result.output

    def values(self):
        return tomllib.loads(self.file.read_text())


class AskedTests(SetupCase):
    def test_a_state_directory_of_any_name(self):
        for name in ('of "b"', "a\\nb", 'x"\n[web]\npublic_url = "http://evil.example'):
            state = self.directory / name
            found = SettingsFile.read(self.file, state).settings
            self.assertEqual(found.state_directory, state.resolve())
            self.assertIsNone(found.web.public_url)

    def test_a_new_pod(self):
        said = self.run_setup(typed=ANSWERS)
        self.assertEqual(
            self.values(),
            {
                "state_directory": str(self.state.resolve()),
                "ssh": {"public_address": "pod.example.com:2222"},
                "connectors": {"public_address": "pod.example.com:8443"},
                "web": {
                    "public_url": "https://pod.example.com",
                    "trusted_proxies": ["127.0.0.1/32", "::1/128"],
                },
            },
        )
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o640)
        self.assertIn("is made:", said)
        self.assertIn("a pod can start with it", said)
        self.assertIn("https://pod.example.com/invitation/tcl_", said)
        self.assertIn(f"tunnelcloud pod --config {self.file.resolve()}", said)
        self.assertIn("tunnelcloud connector --state connector --join-file join-token", said)
        token = parse_join_token(said.split()[-1])
        self.assertEqual(str(token.address), "pod.example.com:8443")
        store = self.open()
        self.assertEqual(store.read(users.find, "boss").role, Role.ADMIN)
        self.assertEqual(store.read(connectors.count), 1)
        self.run_command("config", "check", self.file)

    def test_stopping_at_any_question_leaves_nothing(self):
        for count in range(len(ANSWERS)):
            said = self.run_setup(typed=ANSWERS[:count], status=1)
            self.assertIn("Stopped: nothing was written.", said)
            self.assertEqual(list(self.directory.iterdir()), [])
        said = self.run_setup(typed=[*ANSWERS[:-1], "n"], status=1)
        self.assertIn("Stopped: nothing was written.", said)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_a_wrong_answer_is_asked_again(self):
        said = self.run_setup(typed=["x y", *ANSWERS])
        self.assertIn("'x y': use a DNS name", said)
        self.assertIn("ssh", self.values())

    def test_a_password_and_a_second_factor(self):
        secret, real = b"s" * 20, os.urandom
        self.patch(os, "urandom", lambda count: secret if count == 20 else real(count))
        self.patch(setup_questions.time, "time", lambda: 3000.0)
        code = TOTP(secret, 6, SHA1(), 30).generate(3000).decode()
        typed = ["pod.example.com", "none", "boss", "password"]
        typed += ["short", "short", "a long password", "a long password", "000000", code, "", "y"]
        said = self.run_setup(typed=typed)
        self.assertIn("use at least 12 characters", said)
        self.assertIn("otpauth://totp/", said)
        self.assertIn("The code is wrong.", said)
        self.assertIn("Recovery codes of boss", said)
        self.assertNotIn("/invitation/", said)
        store = self.open()
        boss = store.read(users.find, "boss")
        hashed = store.read(users.password_hash, boss.id)
        self.assertTrue(is_password("a long password", hashed))
        self.assertTrue(store.read(second_factors.is_confirmed, boss.id))
        store.close()
        again = self.run_setup("--yes", "--admin", "second")
        self.assertIn("An administrator can sign in already", again)
        self.assertEqual(self.open().read(users.count), 1)

    def test_no_code_is_right(self):
        self.patch(setup_questions.time, "time", lambda: 3000.0)
        typed = ["pod.example.com", "none", "boss", "password", *["a long password"] * 2]
        said = self.run_setup(typed=[*typed, *["x"] * 5], status=1)
        self.assertIn("no code was right: nothing was written", said)
        self.assertEqual(list(self.directory.iterdir()), [])


class OptionsTests(SetupCase):
    def setup(self, *options, status=0):
        return self.run_setup("--yes", *options, status=status)

    def test_twice_is_as_good_as_once(self):
        options = ("--host", "pod.example.com", "--admin", "boss", "--site", "paris", "--json")
        self.setup(*options)
        text, at = self.file.read_text(), self.file.stat().st_mtime_ns
        said = self.setup(*options)
        self.assertIn("stays as it is", said)
        self.assertEqual((self.file.read_text(), self.file.stat().st_mtime_ns), (text, at))
        made = json.loads(said[said.index("{") :])
        self.assertIn("/invitation/", made["link"])
        self.assertEqual(parse_join_token(made["join"]["token"]).address.host, "pod.example.com")
        store = self.open()
        self.assertEqual((store.read(users.count), store.read(connectors.count)), (1, 1))

    def test_each_answer_is_proposed_again(self):
        certificate, key = self.directory / "c.pem", self.directory / "k.pem"
        write_certificate(certificate, key, "pod.example.com")
        for options in (
            ("--tls", "none"),
            ("--tls", "proxy", "--proxy-from", "10.0.0.0/8"),
            ("--tls", "certificate", "--certificate", certificate, "--private-key", key),
            ("--tls", "acme", "--acme-directory", "https://acme.example.com/d"),
        ):
            self.setup("--host", "pod.example.com", *options)
            self.assertIn("stays as it is", self.setup(), options)

    def test_a_file_that_is_there_keeps_all_else(self):
        self.file.write_text(EXAMPLE.read_text().replace('drain = "30s"', 'drain = "7s"'))
        self.file.chmod(0o644)
        said = self.setup("--host", "192.0.2.7")
        self.assertIn("is there, and changes:", said)
        self.assertIn('ssh.public_address = "192.0.2.7:2222"', said)
        self.assertEqual(self.values()["drain"], "7s")
        self.assertIn("# what users connect to", self.file.read_text())
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o640)
        self.assertFalse(self.state.exists())

    def test_one_port(self):
        certificate, key = self.directory / "c.pem", self.directory / "k.pem"
        write_certificate(certificate, key, "pod.example.com")
        own = ("--tls", "certificate", "--certificate", certificate, "--private-key", key)
        self.setup("--host", "pod.example.com", *own)
        values = self.values()
        self.assertEqual(values["front"]["listen"], ["tcp:443"])
        self.assertEqual(values["metrics"]["listen"], ["tcp:9464:interface=127.0.0.1"])
        self.assertEqual(values["ssh"], {"listen": [], "public_address": "pod.example.com:443"})
        self.setup("--tls", "acme", "--acme-contact", "a@example.com")
        values = self.values()
        self.assertNotIn("certificate", values["web"])
        self.assertEqual(values["web"]["acme"]["contact"], "a@example.com")
        self.setup("--tls", "proxy")
        values = self.values()
        self.assertEqual(values["front"]["listen"], [])
        self.assertEqual(values["ssh"]["listen"], ["tcp:2222"])
        self.assertEqual(values["connectors"]["public_address"], "pod.example.com:8443")
        self.assertNotIn("directory", values["web"]["acme"])

    def test_an_authority_of_one_s_own_goes_whole(self):
        own = self.directory / "ca.pem"
        write_certificate(own, None)
        acme = f'ca = "{own.resolve()}"\nnames = ["a.example"]\nchallenge = "http-01"\n'
        self.file.write_text(
            f'[front]\nlisten = ["tcp:443"]\n[web.acme]\ndirectory = "https://ca/dir"\n{acme}'
        )
        host = ("--host", "pod.example.com")
        self.setup(*host, "--tls", "acme", "--acme-contact", "a@example.com")
        acme = self.values()["web"]["acme"]
        self.assertEqual((acme["directory"], acme["names"]), ("https://ca/dir", ["a.example"]))
        self.setup("--tls", "proxy")
        self.assertEqual(self.values()["web"]["acme"], {})
        self.assertIn("stays as it is", self.setup())

    def test_with_the_package_s_units(self):
        there = self.directory / "unit"
        there.touch()
        self.patch(setup_plan, "SOCKET_UNIT", there)
        self.patch(setup, "SOCKET_UNIT", there)
        self.patch(setup, "_DEFAULT_FILE", self.file.resolve())
        said = self.setup("--host", "pod.example.com", "--tls", "acme", "--site", "paris")
        self.assertIn("tunnelcloud-connector join\n", said)
        self.assertIn("systemctl enable --now tunnelcloud-pod.socket tunnelcloud-pod", said)
        self.assertTrue(self.values()["front"]["listen"][0].startswith("systemd:"))

    def test_what_no_pod_could_start_with_is_not_written(self):
        for options, text in (
            (("--tls", "certificate", "--certificate", "/no/c", "--private-key", "/no/k"), "/no/c"),
            (("--tls", "acme", "--host", "192.0.2.7"), "use a host name"),
            (("--proxy-from", "everywhere"), f"{self.file.resolve()}: web.trusted_proxies"),
        ):
            self.assertIn(text, self.setup(*options, status=1))
        self.assertIn("needs --certificate", self.setup("--tls", "certificate", status=2))
        self.assertIn("use a DNS name", self.setup("--host", "x y", status=2))
        self.assertEqual(list(self.directory.iterdir()), [])
        self.file.write_text('[ssh]\nlisten = [\n"tcp:2222",\n]\n')
        said = self.setup("--host", "pod.example.com", "--tls", "acme", status=1)
        self.assertIn("over several lines", said)
        self.assertIn("ssh.listen = []", said)

    def test_a_pod_that_runs(self):
        self.setup("--host", "pod.example.com", "--site", "paris")
        store = self.open()
        mine = Registration("pod-1", "0", "a:1", "a:2", home="h", incarnation="i")
        store.write(pods.register, mine, shared=False)
        store.close()
        said = self.setup("--host", "pod.example.com", "--site", "lyon")
        self.assertIn("The pod runs: make administrators and sites in the portal", said)
        self.assertNotIn("twistd", said)
        said = self.setup("--host", "other.example.com")
        self.assertIn("end the one that runs before", said)
        self.assertEqual(self.open().read(connectors.count), 1)

    def test_a_directory_in_use(self):
        self.state.mkdir(mode=0o700)
        self.open()
        said = self.setup("--admin", "boss", status=1)
        self.assertIn("is in use by", said)

    def test_a_connector_that_joined_needs_no_token(self):
        said = self.setup("--site", "paris", "--connector", "c1")
        token = parse_join_token(said.split()[-1])
        store = self.open()
        redeemed = {"key_fingerprint": "f"}
        store.write(connectors.redeem_join_token, token.secret_hash, **redeemed)
        self.assertIsNotNone(store.read(connectors.CONNECTORS.find, "c1").joined_at)
        store.close()
        self.assertIn("Connector c1 has joined already", self.setup("--site", "paris",
                      "--connector", "c1"))  # fmt: skip
        self.assertIn("is in another site", self.setup("--site", "lyon", "--connector", "c1",
                      status=1))  # fmt: skip


class OwnerTests(SetupCase):
    def test_root_goes_on_as_the_pod_s_user(self):
        self.state.mkdir()
        done = []
        self.patch(os, "geteuid", lambda: 0)
        self.patch(type(self.state), "stat", lambda path, **_: os.stat_result(
            (0o40700, 0, 0, 1, 990, 991, 0, 0, 0, 0)))  # fmt: skip
        for name in ("setgroups", "initgroups", "setgid", "setuid"):
            self.patch(os, name, lambda *args, name=name: done.append((name, *args)))
        setup_database.become_owner(self.state)
        self.assertEqual(done[1:], [("setgid", 991), ("setuid", 990)])

    def test_a_sealing_key_of_root_s_is_read_by_root(self):
        key = self.directory / "sealing.key"
        key.write_bytes(b"k" * 32)
        key.chmod(0o600)
        self.file.write_text(f'[database]\nsealing_key_file = "{key.resolve()}"\n')

        def become(directory):
            raise AssertionError("the key couldn't be read any more")

        self.patch(setup_database, "become_owner", become)
        self.run_setup("--yes", "--admin", "boss")
        self.assertEqual(list(self.state.glob("sealing.key")), [])
