"""``tunnelcloud setup`` started wrongly, or stopped half way: a clear word, and nothing is lost."""

import errno
import json
import os
import sqlite3
from pathlib import Path

from sqlalchemy import text

from tests.cli.test_setup import SetupCase
from tests.store.databases import PostgresCase
from tunnelcloud.cli import setup_database, setup_file
from tunnelcloud.pki.sealing import SEALING_KEY_FILE
from tunnelcloud.pod.name_claim import HOME_FILE
from tunnelcloud.private_files import ExposedPrivateFile
from tunnelcloud.store import connectors, pods, users
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.pods import Registration

WANTED = ("--yes", "--host", "pod.example.com", "--admin", "boss", "--site", "paris")


class StartedWronglyTests(SetupCase):
    def refused(self, *parts, options=WANTED, typed=None):
        """Have setup refuse before it asks anything, and leave everything as it is."""
        before = self.file.read_bytes() if self.file.exists() else None
        said = self.run_setup(*options, typed=typed, status=1)
        for part in parts:
            self.assertIn(part, said)
        self.assertNotIn("Name or address", said)
        self.assertEqual(self.file.read_bytes() if self.file.exists() else None, before)

    def test_a_directory_that_this_user_may_not_write(self):
        self.patch(setup_file.os, "access", lambda *_: False)
        self.refused("can't be written by this user: run setup as root", options=(), typed=[])

    def test_a_state_directory_of_another_user(self):
        self.state.mkdir()
        self.patch(setup_file.os, "access", lambda path, _: Path(path) != self.state.resolve())
        self.refused(f"{self.state.resolve()} can't be written by this user", options=(), typed=[])

    def test_a_file_that_this_user_may_not_read(self):
        read_text = Path.read_text

        def read(path, *rest, **more):
            if path == self.file.resolve():
                raise PermissionError(errno.EACCES, "Permission denied")
            return read_text(path, *rest, **more)

        self.patch(Path, "read_text", read)
        self.refused("can't be read by this user: run setup as root", options=(), typed=[])

    def test_a_database_server_that_does_not_answer(self):
        self.file.write_text('[database]\nurl = "postgresql://u:canary@127.0.0.1:1/d"\n')
        said = self.run_setup(status=1)
        self.assertIn("Connection refused", said)
        self.assertNotIn("canary", said)
        self.refused("the database")

    def test_a_database_of_a_newer_version(self):
        self.state.mkdir(mode=0o700)
        self.open().close()
        with sqlite3.connect(self.state / "tunnelcloud.sqlite3") as database:
            database.execute("UPDATE alembic_version SET version_num = '9999'")
            database.execute("PRAGMA user_version = 9999")
        database.close()
        self.refused("was written by a newer TunnelCloud")

    def test_a_database_that_is_none(self):
        self.state.mkdir(mode=0o700)
        (self.state / "tunnelcloud.sqlite3").write_text("nonsense" * 1000)
        self.refused("file is not a database")

    def test_keys_of_another_database(self):
        self.run_setup(*WANTED)
        (self.state / SEALING_KEY_FILE).write_bytes(b"x" * 32)
        self.refused("another database's")

    def test_a_credential_that_only_systemd_gives(self):
        self.file.write_text('[database]\nurl_file = "database-url"\n')
        self.refused("set CREDENTIALS_DIRECTORY to the directory that has database-url")


class StoppedTests(SetupCase):
    def stopped(self, error):
        """Stop setup when the file is written, and nothing else."""
        make = setup_database.make

        def fail(*_):
            raise error

        self.patch(setup_database, "make", fail)
        said = self.run_setup(*WANTED, status=1)
        self.assertIn("is written; neither the administrator nor the site was made", said)
        self.assertIn("Run setup again", said)
        self.patch(setup_database, "make", make)
        said = self.run_setup(*WANTED, "--json")
        self.assertIn("stays as it is", said)
        self.assertIn("/invitation/", json.loads(said[said.index("{") :])["link"])
        store = self.open()
        self.assertEqual((store.read(users.count), store.read(connectors.count)), (1, 1))

    def test_a_key_that_is_pressed(self):
        self.stopped(KeyboardInterrupt())

    def test_a_disk_that_is_full(self):
        self.stopped(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def test_a_database_that_goes_away(self):
        self.stopped(StoreUnavailable("the database failed"))

    def test_a_key_that_is_open_to_others(self):
        self.stopped(ExposedPrivateFile(Path("sealing.key"), 0o644))

    def test_no_room_for_the_file(self):
        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(setup_file.SettingsFile, "write", full)
        said = self.run_setup(*WANTED, status=1)
        self.assertIn("pod.toml can't be written: No space left on device", said)
        self.assertEqual(list(self.directory.iterdir()), [])


class OddAnswersTests(SetupCase):
    def test_each_gets_a_word(self):
        for options, status, said in (
            (("--host", "https://pod.example.com/"), 2, "use a DNS name"),
            (("--host", "pod.example.com:2222"), 2, "use a DNS name"),
            (("--host", ""), 2, "use a DNS name"),
            (("--host", "a" * 300), 2, "use a DNS name"),
            (("--host", "fe80::1%eth0"), 2, "leave it out"),
            (("--host", "10.0.0.300"), 2, "use a DNS name"),
            (("--host", "p.example", "--admin", "tcptunnel"), 2, "tcptunnel"),
            (("--host", "p.example", "--admin", "a b"), 2, "a b"),
            (("--host", "p.example", "--site", "Paris!"), 2, "Paris!"),
            (("--host", "p.example", "--site", "x" * 64), 2, "x" * 64),
            (("--host", "p.example", "--tls", "magic"), 2, "magic"),
            (("--host", "p.example", "--tls", "acme", "--acme-directory", "x"), 1, "directory"),
            (("--host", "p.example", "--tls", "acme", "--acme-contact", "a\nb"), 1, "contact"),
        ):
            output = self.run_setup("--yes", *options, status=status)
            self.assertIn(said, output, options)
            self.assertNotIn("Traceback", output)
            self.assertEqual(list(self.directory.iterdir()), [], options)

    def test_what_means_the_same(self):
        for host, address in (
            ("Pod.Example.COM.", "pod.example.com:2222"),
            ("bücher.example", "xn--bcher-kva.example:2222"),
            ("[2001:db8:0:0::1]", "[2001:db8::1]:2222"),
            ("2001:db8::2", "[2001:db8::2]:2222"),
        ):
            self.run_setup("--yes", "--host", host)
            self.assertEqual(self.values()["ssh"]["public_address"], address)


class PostgresTests(SetupCase, PostgresCase):
    def setUp(self):
        PostgresCase.setUp(self)
        SetupCase.setUp(self)
        self.file.write_text(f"[database]\nurl = {json.dumps(self.url)}\n")

    def open(self):
        return PostgresCase.open(self)

    def test_a_new_pod_and_a_second_one(self):
        self.run_setup(*WANTED)
        store = self.open()
        self.assertEqual((store.read(users.count), store.read(connectors.count)), (1, 1))
        self.assertFalse((self.state / "tunnelcloud.sqlite3").exists())
        first = Registration("pod-1", "0", "a:1", "a:2", home="h", incarnation="i")
        store.write(pods.register, first, shared=True)
        # The machine of a second pod has a directory of its own.
        key = (self.state / SEALING_KEY_FILE).read_bytes()
        self.state = self.directory / "second"
        self.state.mkdir(mode=0o700)
        said = self.run_setup(*WANTED, status=1)
        self.assertIn("isn't there: copy it from another pod", said)
        (self.state / SEALING_KEY_FILE).write_bytes(key)
        (self.state / SEALING_KEY_FILE).chmod(0o600)
        said = self.run_setup(*WANTED, status=1)
        self.assertIn("a pod named pod-1 runs elsewhere with this database: set another", said)
        (self.state / HOME_FILE).touch()
        self.assertIn("The pod runs", self.run_setup(*WANTED))
        (self.state / HOME_FILE).unlink()
        self.file.write_text(f'name = "pod-2"\n{self.file.read_text()}')
        self.run_setup(*WANTED)
        self.assertEqual(store.read(connectors.count), 1)

    def test_it_upgrades_nothing_that_other_pods_work_with(self):
        store = self.open()
        first = Registration("pod-1", "0", "a:1", "a:2", home="h", incarnation="i")
        store.write(pods.register, first, shared=True)
        number = text("SELECT version_num FROM alembic_version")
        change = text("UPDATE alembic_version SET version_num = :to")

        def at_revision(to):
            def work(transaction):
                before = transaction.connection.execute(number).scalar_one()
                transaction.connection.execute(change, {"to": to or before})
                return before

            return store.write(work)

        now = at_revision("0011")
        self.addCleanup(_put_back, self.url, change, now)
        self.file.write_text(f'name = "pod-2"\n{self.file.read_text()}')
        said = self.run_setup(*WANTED, status=1)
        self.assertIn("bring it up to date with `tunnelcloud db upgrade", said)
        self.assertEqual(at_revision(""), "0011")


def _put_back(url, change, revision):
    from tunnelcloud.store.postgres import postgres_engine

    engine = postgres_engine(url)
    with engine.begin() as connection:
        connection.execute(change, {"to": revision})
    engine.dispose()
