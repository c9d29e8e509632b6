"""A front door on loopback over an in-memory pod, and processes that knock at it."""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.ssh.keys import Key
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.requirements import require_executable
from tests.ssh.fakes import TOKEN, USER_KEY, Pod
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.ssh.transport import FrontDoorTransport


class Counted(FrontDoorTransport):
    """Counts how often keys were agreed, and asks the kernel how much it keeps unsent."""

    exchanges = 0
    kept_unsent = 0

    def ssh_NEWKEYS(self, packet: bytes) -> None:
        super().ssh_NEWKEYS(packet)
        self.exchanges += 1

    def logged_in(self, service: object) -> None:
        super().logged_in(service)
        handle = self.transport.getHandle()
        self.kept_unsent = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)


class Knocker(ProcessProtocol):
    """A process that is fed, and keeps its input until it has given as much as it got.

    :ivar ended: fires with the exit status; the outputs are in ``out`` and ``errors``.
    """

    def __init__(self, feed: bytes, keep_open: bool) -> None:
        self.feed = feed
        self.keep_open = keep_open
        self.out = bytearray()
        self.errors = bytearray()
        self.ended: Deferred[int] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self.feed)
        if not self.keep_open:
            self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self.out += data
        if self.keep_open and len(self.out) >= len(self.feed):
            self.transport.closeStdin()

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(reason.value.exitCode)


class FrontDoorCase(TestCase):
    """A listening front door; alice has a key file, and a token."""

    timeout = 60
    limits = Limits()

    def setUp(self) -> None:
        self.pod = Pod(reactor, self.limits, exempt=["127.0.0.0/8"])
        self.connections: list[Counted] = []
        self.pod.factory.buildProtocol = self.build
        port = reactor.listenTCP(0, self.pod.factory, interface="127.0.0.1")
        self.port = port.getHost().port
        self.addCleanup(self.stop, port)
        self.folder = Path(self.mktemp())
        self.folder.mkdir(mode=0o700)
        self.key_file = self.write_key("alice", USER_KEY)
        self.processes: list[Knocker] = []

    def build(self, address: object) -> Counted:
        connection = Counted(self.pod.factory)
        self.connections.append(connection)
        return connection

    async def stop(self, port: object) -> None:
        await port.stopListening()
        for process in self.processes:
            if not process.ended.called:
                with contextlib.suppress(ProcessExitedAlready):
                    process.transport.signalProcess("KILL")
                await process.ended
        for connection in tuple(self.pod.factory.connections):
            connection.transport.abortConnection()
        pause: Deferred[None] = Deferred()
        reactor.callLater(0, pause.callback, None)
        await pause
        for call in reactor.getDelayedCalls():
            if getattr(call.func, "__name__", "") == "abortConnection":
                call.cancel()

    def write_key(self, name: str, key: Key) -> Path:
        """Write a private key as OpenSSH keeps it."""
        path = self.folder / name
        path.write_bytes(key.toString("OPENSSH", subtype="v1"))
        path.chmod(0o600)
        path.with_suffix(".pub").write_bytes(key.public().toString("OPENSSH"))
        return path

    def write_script(self, name: str, text: str) -> Path:
        """Write a program."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o700)
        return path

    async def run_program(
        self,
        command: Sequence[object],
        feed: bytes = b"",
        keep_open: bool = False,
        **environment: object,
    ) -> Knocker:
        """Run a program to its end; its status is in ``status``."""
        words = [str(word) for word in command]
        program = require_executable(words[0]) if "/" not in words[0] else words[0]
        process = Knocker(feed, keep_open)
        folder = str(self.folder.absolute())
        env = {"PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8"}
        env |= {name: str(value) for name, value in environment.items()}
        reactor.spawnProcess(process, program, words, env, path=str(Path.cwd()))
        self.processes.append(process)
        process.status = await process.ended
        return process

    async def start_agent(self, keys: int) -> str:
        """Start an agent with keys that open nothing; return its socket."""
        program = require_executable("ssh-agent")
        folder = tempfile.mkdtemp(prefix="agent")  # the name of a socket must be short
        self.addCleanup(shutil.rmtree, folder)
        agent_socket = f"{folder}/socket"
        agent = Knocker(b"", keep_open=True)
        words = [program, "-D", "-a", agent_socket]
        reactor.spawnProcess(agent, program, words, {"PATH": os.environ["PATH"]})
        self.processes.append(agent)
        while not Path(agent_socket).exists():
            pause: Deferred[None] = Deferred()
            reactor.callLater(0.01, pause.callback, None)
            await pause
        for number in range(keys):
            key = Key(ed25519.Ed25519PrivateKey.generate())
            added = await self.run_program(
                ["ssh-add", "-q", self.write_key(f"other-{number}", key)],
                SSH_AUTH_SOCK=agent_socket,
            )
            assert added.status == 0, added.errors
        return agent_socket

    def askpass(self) -> dict[str, object]:
        """Give the environment in which OpenSSH's prompts are answered with the token.

        The prompts are kept in the file ``prompts``.
        """
        prompts = (self.folder / "prompts").absolute()
        script = self.write_script(
            "askpass", f'#!/bin/sh\nprintf "%s|" "$1" >> {prompts}\necho {TOKEN}\n'
        )
        return {"SSH_ASKPASS": script.absolute(), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
