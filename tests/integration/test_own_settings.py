"""Every text that is made for OpenSSH, under a ``~/.ssh/config`` that asks for other things."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.domain.values import tunnel
from tests.integration.processes import ENVIRONMENT, PATIENCE, Process, free_port, wait_for_port
from tests.integration.targets import exchange
from tests.integration.test_terminal import TerminalCase
from tests.integration.worlds import WorldCase
from tests.requirements import require_executable
from tunnelcloud.domain.connecting.files import (
    autossh_arguments,
    config_alias,
    config_block,
    unattended_arguments,
)
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.ssh_command import PublicAddress

OWN = """
Host *
    ControlMaster auto
    ControlPath {folder}/own-%C
    ControlPersist yes
    BatchMode yes
    KbdInteractiveAuthentication no
    RequestTTY force
    LogLevel QUIET
    ForwardAgent yes
    GSSAPIAuthentication yes
"""
REMOTE_FORWARD = "    RemoteForward 1 127.0.0.1:1\n"
DATA = b"through" * 1000


def make_ssh(folder, config):
    """Put an ssh into a folder that takes this file for ``~/.ssh/config``; give its PATH.

    ssh asks the system where the home is, and not the environment.
    """
    path = folder / "own_config"
    path.write_text(config)
    (folder / "bin").mkdir(exist_ok=True)
    ssh = folder / "bin" / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {require_executable("ssh")} -F {path} "$@"\n')
    ssh.chmod(0o700)
    return f"{folder}/bin{os.pathsep}{os.environ['PATH']}"


def is_listened_on(port):
    try:
        exchange(port, b"x")
    except ConnectionRefusedError:
        return False
    return True


class GeneratedTextTests(WorldCase):
    def setUp(self):
        super().setUp()
        self.client = self.world.client
        # The name of a control socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="own"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.local = free_port()

    def way(self, method):
        return Way(
            tunnel("echo", "127.0.0.1", ((self.world.echo.port,) * 2,)),
            "alice",
            method,
            PublicAddress("127.0.0.1", self.world.gateway.ssh_port),
            local_ports={self.world.echo.port: self.local},
            key_file=str(self.world.key.path) if method is Method.KEY else "",
        )

    def config(self, more=""):
        """What the user has; the host keys are where the test's are."""
        known = f"    UserKnownHostsFile {self.client.known_hosts}\n    StrictHostKeyChecking yes\n"
        return OWN.format(folder=self.folder) + known + more

    def environment(self, method, config):
        token = self.world.token("--tunnel", "echo") if method is Method.TOKEN else None
        path = make_ssh(self.folder, config)
        ssh = f"{self.folder}/bin/ssh"
        return {**self.client.environment(token), "PATH": path, "AUTOSSH_PATH": ssh}

    def works(self, words, method, config=None):
        """It opens the tunnel, by a connection of its own, and closes it when it ends."""
        words = ["setsid", *words]  # there is no terminal that could be asked
        process = Process(words, self.environment(method, config or self.config()))
        self.addCleanup(process.kill)
        wait_for_port(self.local)
        self.assertEqual(exchange(self.local, DATA), DATA)
        process.stop()
        becomes(lambda: not is_listened_on(self.local), "something else holds the tunnel open")
        self.assertEqual(list(self.folder.glob("own-*")), [])

    def test_commands(self):
        for method in (Method.KEY, Method.TOKEN):
            self.works(self.way(method).arguments(), method)
        self.works(unattended_arguments(self.way(Method.KEY)), Method.KEY)

    def test_autossh(self):
        require_executable("autossh")
        self.works(autossh_arguments(self.way(Method.KEY)), Method.KEY)

    def test_blocks_without_control_sockets(self):
        for method in (Method.KEY, Method.TOKEN):
            way = self.way(method)
            config = config_block(way, windows=True) + "\n" + self.config()
            self.works(["ssh", "-N", config_alias(way)], method, config)

    def test_block_that_shares_its_session(self):
        """It goes on in the background, under the socket of its own."""
        way = self.way(Method.TOKEN)
        block = config_block(way).replace("~/.ssh/", f"{self.folder}/")
        environment = self.environment(Method.TOKEN, f"{block}\n{self.config()}")
        words = ["setsid", "sh", "-c", f"exec ssh -N {config_alias(way)} >/dev/null 2>&1"]
        started = Process(words, environment)
        self.addCleanup(started.kill)
        wait_for_port(self.local)
        self.assertEqual(exchange(self.local, DATA), DATA)
        end = Process(["ssh", "-O", "exit", config_alias(way)], environment)
        self.assertEqual(end.process.wait(PATIENCE), 0)
        end.kill()
        self.assertEqual(list(self.folder.glob("own-*")), [])

    def test_a_remote_forward_cant_be_overridden(self):
        """What the portal's help says of it holds."""
        words = self.way(Method.KEY).arguments()
        refused = self.config(REMOTE_FORWARD).replace("LogLevel QUIET", "LogLevel INFO")
        environment = {**ENVIRONMENT, **self.environment(Method.KEY, refused)}
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        self.assertEqual(done.returncode, 255)
        self.assertIn("remote port forwarding failed", done.stderr)
        known = ["-o", f"UserKnownHostsFile={self.client.known_hosts}"]
        self.works([words[0], "-F", "none", *known, *words[1:]], Method.KEY, refused)


class ConnectTests(TerminalCase):
    """``tunnelcloud connect``, which works whatever the user's own settings are."""

    def setUp(self):
        super().setUp()
        self.sockets = Path(tempfile.mkdtemp(prefix="own"))
        self.addCleanup(shutil.rmtree, self.sockets)
        config = OWN.format(folder=self.sockets) + REMOTE_FORWARD
        self.environment["PATH"] = make_ssh(self.directory, config)

    def test_with_a_token(self):
        self.sign_in()
        done = self.run_line("connect", "db", "--exec", "printf '%s' {port}")
        self.assertEqual((done.returncode, done.stdout.isdigit()), (0, True), done.stderr)
        self.assertEqual(list(self.sockets.iterdir()), [])

    def test_a_refusal_is_shown_all_the_same(self):
        self.sign_in()
        self.gateway.do("tunnel", "create", "keyed", "--site", "paris", "--address", "127.0.0.1",
                        "--port", "9")  # fmt: skip
        self.gateway.do("assign", "keyed", "--user", "alice", "--method", "key")
        done = self.run_line("connect", "keyed", "--key-file", "/nonexistent", "--exec", "true")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Permission denied", done.stderr)


class KilledTests(TerminalCase):
    """Whatever ends ``connect``, nothing of it is left."""

    def test_any_signal_ends_ssh_and_the_command(self):
        self.sign_in()
        for number, killed_by in enumerate(("KILL", "TERM", "USR1", "INT")):
            self.killed_by(getattr(signal, f"SIG{killed_by}"), f"{3600 + number}.25")

    def killed_by(self, number, seconds):
        line = f"sleep {seconds} & echo started {{port}}; sleep {seconds}; true"
        command = ["setsid", *self.words("connect", "db", "--exec", line)]
        process = Process(command, self.environment)
        self.addCleanup(process.kill)
        process.wait_for("^started")
        becomes(lambda: len(running(f"sleep {seconds}")) == 2, "two commands run")
        process.process.send_signal(number)
        becomes(lambda: not self.left(seconds), f"{number!r}: {self.left(seconds)}")

    def left(self, seconds):
        directories = [str(path) for path in (self.directory / "tmp").iterdir()]
        ssh = running(f"-p {self.gateway.ssh_port} alice@")
        return directories + ssh + running(f"sleep {seconds}")


def becomes(condition, what="it"):
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what)
        time.sleep(0.05)


def running(text):
    """Give the command lines of ssh and sleep processes that have a text in theirs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line and line.split(" ")[0].rpartition("/")[2] in ("ssh", "sleep"):
            found.append(line)
    return found
