"""What stops a start does so in one clear line, with exit status 1, and changes nothing."""

import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE, Process, free_port, twistd
from tests.requirements import require_executable

ENDED_IN_ORDER = (0, -signal.SIGTERM)
"""twistd ends itself by the signal that it was sent, once all is in order."""

UNITS = Path(__file__).resolve().parents[2] / "etc"


class StartCase(SynchronousTestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-test-")
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)
        self.state = self.directory / "state"

    def pod_config(self, text="", ssh_port=0):
        path = self.directory / "pod.toml"
        path.write_text(
            f'state_directory = "{self.state}"\n{text}\n'
            f'[ssh]\nlisten = ["tcp:{ssh_port}:interface=127.0.0.1"]\n'
            '[connectors]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
            '[web]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
        )
        return path

    def refused(self, *arguments, **options):
        """Start, which must fail with status 1; give what it said, without the log's lines."""
        process = twistd(*arguments, **options)
        self.assertEqual(process.process.wait(PATIENCE), 1)
        process.stop()
        while (line := process._lines.get(timeout=PATIENCE)) is not None:
            process.output.append(line)
        said = [line for line in process.output if not re.match(r"\d{4}-\d\d-\d\dT", line)]
        self.assertNotIn("Traceback", "\n".join(process.output))
        return "\n".join(said)

    def make_state(self):
        process = twistd("pod", "--config", self.pod_config())
        process.wait_for("is ready")
        self.assertIn(process.stop(), ENDED_IN_ORDER)


class PodStartTests(StartCase):
    def test_unknown_setting(self):
        said = self.refused("pod", "--config", self.pod_config("colour = 1"))
        self.assertIn("pod.toml: colour: there is no such setting; allowed here: name,", said)
        self.assertFalse(self.state.exists())

    def test_wrong_type(self):
        said = self.refused("pod", "--config", self.pod_config('drain = "soon"'))
        self.assertIn('drain: use a number and a unit, such as "30s"', said)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            said = self.refused("pod", "--config", self.pod_config(ssh_port=port))
        self.assertIn("ssh.listen: can't listen on", said)
        self.assertIn("Address already in use; stop what uses it or set another port", said)
        self.assertFalse(self.state.exists())

    def test_an_exposed_private_key(self):
        self.make_state()
        key = self.state / "sealing.key"
        key.chmod(0o644)
        said = self.refused("pod", "--config", self.pod_config())
        self.assertIn(str(key), said)
        self.assertIn("chmod", said)

    def test_state_of_a_newer_version(self):
        self.make_state()
        with sqlite3.connect(self.state / "tunnelcloud.sqlite3") as database:
            database.execute("UPDATE alembic_version SET version_num = '9999'")
            database.execute("PRAGMA user_version = 9999")
        said = self.refused("pod", "--config", self.pod_config())
        self.assertIn("newer", said)

    def test_the_first_start_makes_its_files_private(self):
        self.make_state()
        for path in self.state.rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        self.assertTrue((self.state / "admin.token").read_text().startswith("tca_"))

    def test_no_part(self):
        process = twistd()
        self.assertEqual(process.process.wait(PATIENCE), 1)
        process.wait_for("say which part: pod, connector or demo")
        process.stop()


_MIGRATING = """
import os, sys, time
from tunnelcloud.store import migration_in_child
def migrate(*_):
    print("child", os.getpid(), file=sys.__stdout__, flush=True)
    time.sleep(600)
migration_in_child.open_store = migrate
"""
"""A migration that takes long, in the child that does it."""


class MigratingTests(StartCase):
    """What becomes of a start that upgrades the database, which may take minutes."""

    def start(self):
        self.config = self.pod_config(ssh_port=free_port())
        pod = twistd("pod", "--config", self.config, preparation=_MIGRATING)
        self.addCleanup(pod.stop)
        self.child = int(pod.wait_for(r"^child (\d+)")[1])
        return pod

    def test_a_hangup_ends_nothing(self):
        pod = self.start()
        pod.process.send_signal(signal.SIGHUP)
        os.kill(self.child, signal.SIGTERM)
        pod.wait_for("is ready")

    def test_the_next_start_can_begin_after_a_crash(self):
        self.start().kill()
        # Once its parent has ended the child goes, too; it may take a moment.
        deadline = time.monotonic() + PATIENCE
        while True:
            after = twistd("pod", "--config", self.config)
            try:
                after.wait_for("is ready")
                break
            except AssertionError:
                self.assertLess(time.monotonic(), deadline)
            finally:
                after.stop()


class HelpTests(StartCase):
    def test_each_part_says_how_it_is_called(self):
        """Once, without what belongs to another part."""
        for part, options in [
            (None, "{pod | connector | demo} [options]"),
            ("pod", "pod [--config FILE] [--state DIR]"),
            (
                "connector",
                "connector --state DIR [--join TOKEN | --join-file FILE] [--config FILE]",
            ),
            ("demo", "demo"),
        ]:
            process = twistd(*([part] if part else []), "--help")
            process.wait_for("Usage: ")
            self.assertEqual(process.process.wait(PATIENCE), 0)
            usage = process.output[-1].rstrip()
            self.assertTrue(usage.endswith(f" [options] tunnelcloud {options}"), usage)
            process.stop()


class ConnectorStartTests(StartCase):
    def test_not_joined(self):
        said = self.refused("connector", "--state", self.state)
        self.assertIn("has not joined a pod", said)

    def test_a_malformed_token(self):
        said = self.refused("connector", "--state", self.state, "--join", "tcj1_nonsense")
        self.assertEqual(len(said.splitlines()), 1, said)

    def test_a_bad_rule(self):
        config = self.directory / "connector.toml"
        config.write_text(f'state_directory = "{self.state}"\nallow = ["10.0.0.1/8"]\n')
        said = self.refused("connector", "--config", config)
        self.assertIn("10.0.0.1/8", said)


class DemoTests(StartCase):
    def test_it_leaves_nothing_behind(self):
        place = self.directory / "temporary"
        place.mkdir()
        process = twistd("demo", environment={"TMPDIR": str(place)})
        process.wait_for("Ctrl-C here ends the demo")
        self.assertNotEqual(list(place.iterdir()), [])
        self.assertIn(process.stop(), ENDED_IN_ORDER)
        self.assertEqual(list(place.iterdir()), [])

    def test_what_it_says_can_be_followed(self):
        """There is no log between, all is ready, and the user's own known_hosts isn't touched."""
        process = twistd("demo")
        self.addCleanup(process.stop)
        process.wait_for("Ctrl-C here ends the demo")
        said = "\n".join(process.said())
        self.assertNotRegex(said, r"\d{4}-\d\d-\d\dT")
        self.assertIn("tunnelcloud token create demo --tunnel demo", said)
        self.assertRegex(said, r"administrator +http://127\.0\.0\.1:\d+/invitation/tcl_")
        command = shlex.split(re.search(r"^  (ssh .*)", said, re.MULTILINE)[1])
        token = re.search(r"^  ([a-z2-7]{26})$", said, re.MULTILINE)[1]
        page = re.search(r"look at (http://\S+)", said)[1]
        log = Path(re.search(r"^  Log +(\S+)$", said, re.MULTILINE)[1])
        self.assertIn("attached", log.read_text())
        home = self.directory / "home"
        home.mkdir()
        askpass = self.directory / "askpass"
        askpass.write_text(f"#!/bin/sh\necho {token}\n")
        askpass.chmod(0o700)
        asked = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "HOME": str(home)}
        strict = ["-F", "none", "-v", "-o", "StrictHostKeyChecking=yes"]
        ssh = Process([command[0], *strict, *command[1:]], asked)
        self.addCleanup(ssh.stop)
        ssh.wait_for("Entering interactive session")
        with urllib.request.urlopen(page, timeout=PATIENCE) as response:
            self.assertIn(b"It works", response.read())
        process.wait_for("tunnel demo closed for demo")

    def test_its_log_goes_where_twistd_was_told(self):
        process = twistd("demo", options=["--logfile=-"])
        process.wait_for("connector demo-connector attached")
        process.wait_for("Ctrl-C here ends the demo")
        self.assertNotIn("  Log ", "\n".join(process.said()))
        self.assertIn(process.stop(), ENDED_IN_ORDER)


class UnitTests(StartCase):
    def test_systemd_accepts_the_units_and_their_hardening(self):
        analyze = require_executable("systemd-analyze")
        parts = ("pod", "pod@", "connector")
        for name in ("tunnelcloud-pod.socket", *(f"tunnelcloud-{part}.service" for part in parts)):
            text = (UNITS / name).read_text()
            self.assertNotIn("MemoryDenyWriteExecute", text)
            text = text.replace("/opt/tunnelcloud/bin/twistd", sys.executable)
            (self.directory / name).write_text(text)
        for name in (f"tunnelcloud-{part}.service" for part in ("pod", "pod@2", "connector")):
            unit = self.directory / name
            verified = subprocess.run(
                [analyze, "verify", "--man=no", unit],
                capture_output=True, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
            self.assertEqual((verified.returncode, verified.stderr), (0, ""))
            scored = subprocess.run(
                [analyze, "security", "--offline=true", unit],
                capture_output=True, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
            score = re.search(r"exposure level for .*: ([\d.]+)", scored.stdout)
            self.assertLessEqual(float(score[1]), 1.5)
