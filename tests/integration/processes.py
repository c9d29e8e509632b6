"""Real pods, connectors, clients and targets for tests, each in a process of its own.

Everything listens on loopback; everything that is started is ended by its own process id.
"""

import asyncio
import contextlib
import json
import os
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tunnelcloud
from tests.given_ports import FIRST_GIVEN
from tests.integration import prepared_command
from tests.pod.certificates import write_certificate

PATIENCE = 60
"""Seconds after which a test gives up on a process."""

PYTHON = sys.executable
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(tunnelcloud.__file__).parent.parent)}
"""Children find the package that is under test, from whatever directory trial runs in."""


def run_async(coroutine):
    """Run it to its end in a thread of its own, for this one's event loop may be a browser's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def wait_for_port(port: int) -> None:
    """Wait until somebody listens on a port of loopback."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def free_port() -> int:
    """Find a TCP port that nobody listens on, below those that outgoing connections take."""
    for _ in range(100):
        port = random.randrange(FIRST_GIVEN, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Process:
    """A child whose output is kept and can be waited for."""

    def __init__(self, arguments, environment=None, directory=None):
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**ENVIRONMENT, **(environment or {})},
            cwd=directory,
        )
        self.output = []
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.decode("utf-8", "replace").rstrip("\r\n"))
        self._lines.put(None)

    def wait_for(self, pattern, patience=PATIENCE):
        """Read on until a line has ``pattern``; give the match."""
        while True:
            try:
                line = self._lines.get(timeout=patience)
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no {pattern!r} in:\n" + "\n".join(self.output))
            self.output.append(line)
            if match := re.search(pattern, line):
                return match

    def rest(self):
        """Give the lines that nobody waited for, once the process is over."""
        return list(iter(self._lines.get, None))

    def said(self):
        """Give all lines that came so far."""
        with contextlib.suppress(queue.Empty):
            while (line := self._lines.get_nowait()) is not None:
                self.output.append(line)
        return self.output

    def kill(self):
        self.process.kill()
        self._close()

    def stop(self):
        """End it as an administrator would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._close()

    def _close(self):
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()
        return status


_AHEAD = """
from datetime import timedelta
from tunnelcloud.pod.database_clock import DatabaseClock
tell_time = DatabaseClock.now
DatabaseClock.now = lambda self: tell_time(self) + timedelta(seconds={})
"""


def twistd(*arguments, environment=None, prefix=(), ahead=0.0, options=(), preparation=""):
    """Run twistd; a pod may take it for some seconds later, for what happens by the minute.

    :param preparation: lines of Python that run before.
    """
    program = preparation + "from twisted.scripts.twistd import run; run()"
    command = [*prefix, PYTHON, "-c", (_AHEAD.format(ahead) if ahead else "") + program]
    command += ["--nodaemon", "--pidfile=", *options, "tunnelcloud"]
    return Process([*command, *arguments], environment)


class Gateway:
    """A pod with its state, and what an administrator does to it by the command line.

    :param acme: gives [web.acme] for the one port, instead of a certificate in files.
    :param web_listen: more listeners of the web, each with a comma behind it.
    """

    def __init__(
        self,
        directory: Path,
        settings: str = "",
        exempt: str = '["127.0.0.0/8"]',
        balancers: str = "[]",
        connectors: str = "",
        link_host: str = "127.0.0.1",
        link_public_port: int | None = None,
        ahead: float = 0.0,
        name: str = "pod-1",
        one_port: bool = False,
        acme: Callable[[int], str] | None = None,
        web_listen: str = "",
        prefix: tuple[str, ...] = (),
        preparation: str = "",
    ):
        self.prefix = prefix
        self.preparation = preparation
        self.ahead = ahead
        self.name = name
        self.acme = acme
        self.state = directory / name
        self.ssh_port, self.link_port, self.web_port = (free_port() for _ in range(3))
        ssh_listen = f'["tcp:{self.ssh_port}:interface=127.0.0.1"]'
        link_listen = f'["tcp:{self.link_port}:interface={link_host}"]'
        if one_port:
            settings += self._put_on_one_port(directory, ssh_listen)
            ssh_listen = link_listen = "[]"
        self.config = directory / f"{name}.toml"
        self.config.write_text(
            f"""
            name = "{name}"
            state_directory = "{self.state}"
            drain = "1s"
            [ssh]
            listen = {ssh_listen}
            public_address = "127.0.0.1:{self.ssh_port}"
            exempt_networks = {exempt}
            proxy_protocol_from = {balancers}
            [connectors]
            listen = {link_listen}
            public_address = "{link_host}:{link_public_port or self.link_port}"
            exempt_networks = {exempt}
            {connectors}
            [web]
            listen = [{web_listen} "tcp:{self.web_port}:interface=127.0.0.1"]
            {settings}
            """
        )
        self.start()

    def _put_on_one_port(self, directory, listen):
        """Give the settings of a front that takes SSH, links and the web, and of metrics apart."""
        self.link_port, self.metrics_port = self.ssh_port, free_port()
        self.certificate_files = directory / "web.pem", directory / "web-key.pem"
        if self.acme is None:
            write_certificate(*self.certificate_files)
            certificate = f"""
            certificate = "{self.certificate_files[0]}"
            private_key = "{self.certificate_files[1]}"
            """
        else:
            certificate = self.acme(self.ssh_port)
        return f"""
            public_url = "https://localhost:{self.ssh_port}"
            {certificate}
            [front]
            listen = {listen}
            [metrics]
            listen = ["tcp:{self.metrics_port}:interface=127.0.0.1"]
            """

    def start(self):
        self.process = twistd(
            "pod",
            "--config",
            self.config,
            ahead=self.ahead,
            prefix=self.prefix,
            preparation=self.preparation,
        )
        self.process.wait_for(f"{self.name} is ready")

    def get(self, path):
        url = f"http://127.0.0.1:{self.web_port}{path}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            return response.read().decode()

    @property
    def admin_token(self):
        """The API token of the first administrator."""
        return (self.state / "admin.token").read_text().strip()

    def api(self, method, path, body=None, *, token=None, patience=PATIENCE):
        """Have the API do something.

        :param path: what follows ``/api/v1``.
        :param body: what is sent as JSON, if anything is.
        :param token: an API token; the first administrator's by default.
        :param patience: seconds that an answer may take.
        :raise urllib.error.HTTPError: it refused, or couldn't.
        :raise OSError: nobody knows.
        """
        headers = {"Authorization": f"Bearer {token or self.admin_token}"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.web_port}/api/v1{path}",
            None if body is None else json.dumps(body).encode(),
            {**headers, "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=patience) as response:
            return json.loads(response.read() or b"null")

    def run(self, *words, token=None):
        """Run the `tunnelcloud` command; give its exit status, output and errors.

        :param token: an API token; the first administrator's by default.
        """
        environment = {
            **ENVIRONMENT,
            "TUNNELCLOUD_URL": f"http://127.0.0.1:{self.web_port}",
            "TUNNELCLOUD_API_TOKEN": token or self.admin_token,
        }
        return prepared_command.run(words, environment, PATIENCE)

    def do(self, *words):
        """Run the `tunnelcloud` command with --json; give the object it prints."""
        status, output, errors = self.run(*words, "--json")
        if status:
            raise AssertionError(f"tunnelcloud {' '.join(map(str, words))}: {errors}{output}")
        return json.loads(output) if output.strip() else None


class SiteConnector:
    """A connector with its state.

    :param prefix: the words of a command that runs it somewhere else.
    """

    def __init__(
        self, directory: Path, name: str, join_token: str, prefix=(), settings="", environment=None
    ):
        self.prefix = prefix
        self.environment = environment
        self.config = directory / f"{name}.toml"
        self.config.write_text(
            f'state_directory = "{directory / name}"\n'
            'allow = ["127.0.0.0/8", "[::1]", "localhost", "ip6-localhost"]\n'
            f"{settings}"
        )
        join_file = directory / f"{name}.join"
        join_file.write_text(join_token)
        join_file.chmod(0o600)
        self.arguments = ["connector", "--config", self.config, "--join-file", join_file]
        self.start()

    def start(self):
        self.process = twistd(*self.arguments, prefix=self.prefix, environment=self.environment)
        self.process.wait_for(r"link to .* is up")


class Keys:
    """A dedicated SSH key pair."""

    def __init__(self, directory: Path, name: str, kind="ed25519"):
        self.path = directory / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", self.path],
            check=True,
            timeout=PATIENCE,
        )
        self.public = Path(f"{self.path}.pub")


class Client:
    """OpenSSH's client as one user has it: nothing of the machine's own configuration."""

    def __init__(self, directory: Path, gateway: Gateway):
        self.directory = directory
        self.gateway = gateway
        self.known_hosts = directory / "known_hosts"
        self.known_hosts.write_text(gateway.get("/known_hosts"))
        self._askpass = directory / "askpass"
        self._askpass.write_text('#!/bin/sh\nprintf "%s\\n" "$TEST_TOKEN"\n')
        self._askpass.chmod(0o700)

    def arguments(self, login, *words, key=None, host="127.0.0.1"):
        alias = f"[127.0.0.1]:{self.gateway.ssh_port}"
        options = [
            "-F", "none", "-p", self.gateway.ssh_port,
            "-o", f"UserKnownHostsFile={self.known_hosts}",
            "-o", "StrictHostKeyChecking=yes", "-o", f"HostKeyAlias={alias}",
            "-o", "ExitOnForwardFailure=yes", "-o", "NumberOfPasswordPrompts=1",
            "-o", f"HostName={host}",
        ]  # fmt: skip
        if key is None:
            options += ["-o", "PubkeyAuthentication=no"]
        else:
            options += ["-i", key.path, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
        return ["ssh", *options, "-l", login, *words, "pod"]

    def environment(self, token=None):
        environment = {"HOME": str(self.directory), "SSH_AUTH_SOCK": ""}
        if token is not None:
            environment |= {
                "SSH_ASKPASS": str(self._askpass),
                "SSH_ASKPASS_REQUIRE": "force",
                "TEST_TOKEN": token,
            }
        return environment

    def run(self, login, *words, key=None, token=None, command=(), sent=b"", patience=PATIENCE):
        """Run ssh to its end; give status, output and errors as bytes."""
        arguments = [*self.arguments(login, *words, key=key), *command]
        done = subprocess.run(
            [str(argument) for argument in arguments],
            input=sent,
            capture_output=True,
            env={**os.environ, **self.environment(token)},
            timeout=patience,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def forward(self, login, target, key=None, token=None):
        """Keep an `ssh -N -L` running; give it with its local port."""
        port = free_port()
        arguments = self.arguments(login, "-v", "-N", "-L", f"127.0.0.1:{port}:{target}", key=key)
        process = Process(arguments, self.environment(token))
        process.wait_for("Entering interactive session")
        return process, port
