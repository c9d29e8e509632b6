"""The SSH clients people have, each against one real pod and connector.

Each moves data three times: with a key; with a token while there are an unrelated ``id_ed25519``
and an agent with eight keys; and with a token for a token-only tunnel while the ``id_ed25519`` is
one that is assigned, and would open another tunnel.  Who can asks for new keys in mid-transfer.
"""

import atexit
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE, Keys, Process
from tests.integration.worlds import EchoWorld
from tests.requirements import (
    require_executable,
    require_module,
    require_node_modules,
    require_pgadmin_python,
)

SIZE = 1_000_000
PAYLOAD = os.urandom(SIZE)
TOKEN_ONLY = "tcptunnel@guarded"


class MatrixWorld(EchoWorld):
    """A world with a token-only tunnel, an agent of eight keys, and homes to find a key in."""

    def __init__(self):
        super().__init__()
        self.tunnel("guarded", "127.0.0.1", self.echo.port, assign=False)
        self.do("assign", "guarded", "--user", "alice", "--method", "token")
        self.unrelated = Keys(self.directory, "unrelated")
        self.homes = {"unrelated": self._home(self.unrelated), "assigned": self._home(self.key)}
        # The name of a socket must be short.
        self._short = tempfile.TemporaryDirectory(prefix="agent")
        self.agent_socket = f"{self._short.name}/socket"
        agent = require_executable("ssh-agent")
        self.agent = Process([agent, "-D", "-a", self.agent_socket])
        self.agent.wait_for("SSH_AUTH_SOCK")
        for number in range(8):
            key = Keys(self.directory, f"agent-{number}")
            subprocess.run(
                ["ssh-add", "-q", key.path],
                check=True,
                timeout=PATIENCE,
                env={**os.environ, "SSH_AUTH_SOCK": self.agent_socket},
            )

        self.alice, self.guarded = (
            self.do(kind, "show", name)["id"]
            for kind, name in (("user", "alice"), ("tunnel", "guarded"))
        )

    def new_token(self, **fields):
        return self.gateway.api("POST", "/tokens", {"user_id": self.alice, **fields})["token"]

    def _home(self, key):
        home = self.directory / f"home-of-{key.path.name}"
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        for path in (key.path, key.public):
            copy = home / ".ssh" / path.name.replace(key.path.name, "id_ed25519")
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o600)
        return home

    def close(self):
        self.agent.stop()
        self._short.cleanup()
        super().close()


_worlds = []


def world():
    """Give the one world of this process."""
    if not _worlds:
        _worlds.append(MatrixWorld())
        atexit.register(_worlds[0].close)
    return _worlds[0]


class MatrixCase:
    """What every client has to do; a subclass says how it is run."""

    def command(self, login, secret, tunnel):
        """Give the command that moves data.

        :param secret: a ``Keys``, or a token.
        """
        raise NotImplementedError

    def converted(self, key):
        """Give a key's path, in the format that the client reads."""
        return key.path

    def setUp(self):
        self.world = world()
        self.target = f"{{}}:{self.world.echo.port}"

    def environment(self, home, token=""):
        return {
            **os.environ,
            "HOME": str(self.world.homes[home]),
            "SSH_AUTH_SOCK": self.world.agent_socket if token else "",
            "DROPBEAR_PASSWORD": token,
            "SSH_ASKPASS": str(self.world.client._askpass),
            "SSH_ASKPASS_REQUIRE": "force",
            "TEST_TOKEN": token,
            "ASK_FOR_NEW_KEYS": "1",
            "NODE_PATH": os.environ.get("TUNNELCLOUD_TESTS_NODE_PATH", ""),
        }

    def move(self, command, environment):
        """Feed the payload to a program, and expect it back."""
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        deadline = threading.Timer(PATIENCE, process.kill)
        deadline.start()
        try:
            feeder = threading.Thread(target=self._feed, args=(process.stdin,))
            feeder.start()
            came = process.stdout.read(SIZE)
            feeder.join()
            process.stdin.close()
            rest, errors = process.stdout.read(), process.stderr.read()
            process.wait()
        finally:
            deadline.cancel()
            process.stdout.close()
            process.stderr.close()
        self.assertEqual(len(came), SIZE, errors)
        self.assertTrue(came == PAYLOAD, "the bytes differ")
        self.assertEqual(rest, b"")

    def _feed(self, stdin):
        try:
            stdin.write(PAYLOAD)
            stdin.flush()
        except BrokenPipeError:
            pass

    def last_session(self):
        """Give the newest session once its record is closed."""
        for _ in range(200):
            session = self.world.gateway.api("GET", "/sessions?limit=1")["items"][0]
            if session["ended_at"] is not None:
                return session
            time.sleep(0.05)
        raise AssertionError("the session did not end")

    def moved(self, method):
        """The last session was of this method, and carried the payload both ways."""
        session = self.last_session()
        self.assertEqual(session["method"], method)
        self.assertEqual((session["bytes_to_target"], session["bytes_from_target"]), (SIZE, SIZE))

    def test_key(self):
        self.move(self.command("alice", self.world.key, "echo"), self.environment("unrelated"))
        self.moved("key")

    def test_token_behind_unrelated_keys(self):
        token = self.world.new_token()
        self.move(self.command("alice", token, "guarded"), self.environment("unrelated", token))
        self.moved("token")

    def test_token_behind_an_assigned_key(self):
        token = self.world.new_token(tunnel_id=self.world.guarded)
        self.move(self.command(TOKEN_ONLY, token, "guarded"), self.environment("assigned", token))
        self.moved("token")


class OpenSSHTests(MatrixCase, SynchronousTestCase):
    """OpenSSH's ssh, which looks for its keys in the password file's home and nowhere else."""

    def command(self, login, secret, tunnel, *options):
        fixed = [
            require_executable("ssh"), "-F", "none", "-p", self.world.gateway.ssh_port,
            "-o", f"UserKnownHostsFile={self.world.client.known_hosts}",
            "-o", "StrictHostKeyChecking=yes", "-o", "RekeyLimit=200K",
            "-W", self.target.format(tunnel), "-l", login,
        ]  # fmt: skip
        if isinstance(secret, Keys):
            only = ["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-i", secret.path]
            return [*fixed, *only, "127.0.0.1"]
        home = "assigned" if login == TOKEN_ONLY else "unrelated"
        own = self.world.homes[home] / ".ssh" / "id_ed25519"
        return [*fixed, "-o", f"IdentityFile={own}", *options, "127.0.0.1"]

    def test_the_command_that_comes_with_a_token(self):
        """It tells ssh to leave keys alone, so that an assigned one isn't in the way."""
        token = self.world.new_token(tunnel_id=self.world.guarded)
        off = ("-o", "PubkeyAuthentication=no")
        self.move(
            [*self.command("alice", token, "guarded", *off)],
            self.environment("assigned", token),
        )
        self.moved("token")

    def test_keys_that_open_nothing(self):
        """It says so before it asks for a token, and asks for that by one name only."""
        environment = self.environment("unrelated", "wrong")
        shown = []
        for login in ("alice", "nobody"):
            command = self.command(login, "wrong", "guarded")
            done = subprocess.run(
                [str(word) for word in command],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                env=environment,
            )
            shown.append(done.stderr.replace(login, "LOGIN"))
        self.assertEqual(shown[0].count("The keys that were offered open nothing"), 3, shown)
        denied = shown[0].splitlines()[-1]
        self.assertTrue(denied.endswith("Permission denied (publickey,keyboard-interactive)."))
        self.assertEqual(shown[0], shown[1])


class PlinkTests(MatrixCase, SynchronousTestCase):
    """PuTTY's plink; ``-i`` stands for the key that is set in a saved session."""

    def converted(self, key):
        path = self.world.directory / f"{key.path.name}.ppk"
        if not path.exists():
            command = [require_executable("puttygen"), key.path, "-o", path]
            subprocess.run(command, check=True, timeout=PATIENCE)
        return path

    def command(self, login, secret, tunnel):
        host_key = self.world.client.known_hosts.read_text().split()
        key = secret if isinstance(secret, Keys) else self.world.unrelated
        if login == TOKEN_ONLY:
            key = self.world.key
        words = [
            require_executable("plink"), "-batch", "-hostkey", host_key[2],
            "-P", self.world.gateway.ssh_port, "-l", login, "-i", self.converted(key),
        ]  # fmt: skip
        if not isinstance(secret, Keys):
            words += ["-pw", secret]
        return [*words, "-nc", self.target.format(tunnel), "127.0.0.1"]


class DropbearTests(MatrixCase, SynchronousTestCase):
    """Dropbear's dbclient."""

    def converted(self, key):
        path = self.world.directory / f"{key.path.name}.db"
        if not path.exists():
            program = require_executable("dropbearconvert")
            command = [program, "openssh", "dropbear", key.path, path]
            subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)
        return path

    def command(self, login, secret, tunnel):
        key = secret if isinstance(secret, Keys) else self.world.unrelated
        if login == TOKEN_ONLY:
            key = self.world.key
        return [
            require_executable("dbclient"), "-y", "-y", "-p", self.world.gateway.ssh_port,
            "-l", login, "-i", self.converted(key), "-B", self.target.format(tunnel), "127.0.0.1",
        ]  # fmt: skip


class LibraryCase(MatrixCase):
    """A library, which makes its own payload and says whether it came back."""

    library = ""

    def python(self):
        return sys.executable

    def command(self, login, secret, tunnel):
        method, words = ("key", secret.path) if isinstance(secret, Keys) else ("token", secret)
        return [
            *self.program(), self.world.gateway.ssh_port, login, method, words,
            self.target.format(tunnel), SIZE,
        ]  # fmt: skip

    def program(self):
        # -E: trial's workers put their own libraries in PYTHONPATH.
        return [self.python(), "-E", Path(__file__).with_name("library_clients.py"), self.library]

    def move(self, command, environment):
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            env=environment,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.stdout, b"whole\n", done.stderr)


class ParamikoTests(LibraryCase, SynchronousTestCase):
    """The current paramiko."""

    library = "paramiko"

    def setUp(self):
        require_module("paramiko")
        super().setUp()


class SSHTunnelTests(LibraryCase, SynchronousTestCase):
    """paramiko 3.5 and sshtunnel 0.4, called as pgAdmin calls them."""

    library = "sshtunnel"

    def python(self):
        return require_pgadmin_python()


class AsyncSSHTests(LibraryCase, SynchronousTestCase):
    """asyncssh."""

    library = "asyncssh"

    def setUp(self):
        require_module("asyncssh")
        super().setUp()


class LibSSH2Tests(LibraryCase, SynchronousTestCase):
    """libssh2, by way of ssh2-python."""

    library = "libssh2"

    def setUp(self):
        require_module("ssh2")
        super().setUp()


class NodeTests(LibraryCase, SynchronousTestCase):
    """Node's ssh2."""

    def program(self):
        require_node_modules("ssh2")
        return [require_executable("node"), Path(__file__).with_name("node_client.js")]
