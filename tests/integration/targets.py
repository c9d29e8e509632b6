"""Servers for tests to reach through a tunnel, and what a client of theirs says."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

from tests.integration.processes import PATIENCE, Keys, Process, free_port
from tests.pod.certificates import MemoryServer, make_certificate
from tests.requirements import require_executable


class SSHServer:
    """A real sshd of the site, which runs one command for whoever has its key."""

    def __init__(self, directory: Path):
        sshd = require_executable("sshd")
        self.directory = directory
        self.port = free_port()
        host_key = Keys(directory, "sshd-host-key")
        self.user_key = Keys(directory, "sshd-user-key")
        self.known_hosts = directory / "sshd-known-hosts"
        kind, blob, *_ = host_key.public.read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {blob}\n")
        config = directory / "sshd_config"
        config.write_text(
            f"""
            ListenAddress 127.0.0.1:{self.port}
            HostKey {host_key.path}
            AuthorizedKeysFile {self.user_key.public}
            StrictModes no
            UsePAM no
            PidFile none
            ForceCommand echo -n hello from sshd
            """
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.process = Process([sshd, "-D", "-e", "-f", config])
        self.process.wait_for("Server listening")

    def run_through(self, client, key):
        """Log in through the pod with -J, each hop with its own key; give what is printed."""
        config = client.directory / "jump_config"
        config.write_text(
            f"""
            Host pod
                HostName 127.0.0.1
                Port {client.gateway.ssh_port}
                User alice
                IdentityFile {key.path}
                UserKnownHostsFile {client.known_hosts}
            Host 127.0.0.1
                IdentityFile {self.user_key.path}
                UserKnownHostsFile {self.known_hosts}
            Host *
                IdentitiesOnly yes
                BatchMode yes
                StrictHostKeyChecking yes
            """
        )
        done = subprocess.run(
            ["ssh", "-F", config, "-J", "pod", "-p", str(self.port), "127.0.0.1"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **client.environment()},
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise AssertionError(done.stderr.decode())
        return done.stdout


class EchoTarget:
    """A TCP server in the test's own process: says back what it hears, after the client's EOF
    too; or answers only once the client has sent EOF."""

    def __init__(self, answer=None, family=socket.AF_INET, host="127.0.0.1", port=0):
        self.listener = socket.create_server((host, port), family=family)
        self.port = self.listener.getsockname()[1]
        self._answer = answer
        self.received = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection, contextlib.suppress(ConnectionResetError):
            heard = []
            while data := connection.recv(1 << 18):
                if self._answer is None:
                    connection.sendall(data)
                else:
                    heard.append(data)
            if self._answer is not None:
                connection.sendall(self._answer(b"".join(heard)))

    def close(self):
        self.listener.close()


class SpeakingTarget(EchoTarget):
    """A server that answers each message as it comes.

    :param answer: gives the answer to what was heard.
    """

    def _talk(self, connection):
        with connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while data := connection.recv(1 << 18):
                connection.sendall(self._answer(data))


class GreetingTarget(EchoTarget):
    """A server that greets a moment after the connection, as a mail or database server does.

    :param told: hears "ended" or "reset" of each connection.
    """

    def __init__(self, told):
        self._told = told
        super().__init__()

    def _talk(self, connection):
        end = "ended"
        with connection:
            try:
                time.sleep(0.05)
                connection.sendall(b"220 ready\r\n")
                while connection.recv(1 << 10):
                    pass
                time.sleep(0.05)
                connection.sendall(b"221 closing\r\n")
            except (ConnectionResetError, BrokenPipeError):
                end = "reset"
        self._told(end)


class SocketTarget(EchoTarget):
    """Passes each connection on to a server that listens at a path.

    :param path: of the server's socket.
    """

    def __init__(self, path):
        self._path = str(path)
        super().__init__()

    def _talk(self, connection):
        with connection, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._path)
            back = threading.Thread(target=_pass_on, args=(server, connection), daemon=True)
            back.start()
            _pass_on(connection, server)
            back.join()


def _pass_on(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 18):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def as_postgresql(value):
    """Speak as a PostgreSQL whose every query has one row with one value."""

    def message(kind, body):
        return kind + (len(body) + 4).to_bytes(4) + body

    ready = message(b"Z", b"I")
    column = b"value\0" + bytes(6) + (25).to_bytes(4) + b"\xff" * 6 + bytes(2)
    row = (1).to_bytes(2) + len(value).to_bytes(4) + value
    answers = {
        0: message(b"R", bytes(4)) + ready,  # the start has no kind, and a length of few bytes
        ord("Q"): message(b"T", (1).to_bytes(2) + column)
        + message(b"D", row)
        + message(b"C", b"SELECT 1\0")
        + ready,
    }
    return lambda heard: answers.get(heard[0], b"")


def as_redis(value):
    """Speak as a Redis whose every key has one value."""
    return lambda _: b"$%d\r\n%s\r\n" % (len(value), value)


def as_web_server(value):
    """Speak as a web server with one page."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    return lambda _: head % len(value) + value


class TLSTarget(EchoTarget):
    """A TLS server that does handshakes and nothing else.

    :param ends: until when its certificate is good.
    """

    def __init__(self, name, ends):
        self.ends = ends.replace(microsecond=0)
        self._made = make_certificate(name, ends=self.ends)
        super().__init__()

    def _talk(self, connection):
        server = MemoryServer(*self._made)
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(1 << 14):
                connection.sendall(server.answer(data))


def exchange(port, data, host="127.0.0.1"):
    """Send ``data`` and EOF to a local port while reading; give what came until EOF."""
    with socket.create_connection((host, port), timeout=PATIENCE) as connection:

        def send():
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = bytearray()
        while more := connection.recv(1 << 18):
            received += more
        sender.join(PATIENCE)
        return bytes(received)
