"""Terminal clients in a real pseudo-terminal, and the tools that answer their prompts."""

from __future__ import annotations

import os
from collections.abc import Sequence

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.integration.front_door import FrontDoorCase
from tests.integration.test_clients import FINGERPRINT
from tests.requirements import require_executable
from tests.ssh.fakes import TOKEN
from tunnelcloud.ssh.interfaces import BrowserOffer

PROMPT = b"One-time token: "
ANSWERS = ((PROMPT, TOKEN), (b"Press Return", ""), (b"(y/n)", "y"))
CONFIRMED = ((PROMPT, ""), *ANSWERS[1:])
LINK = b"Open https://portal.example.com/l/WDJB-MJHT and confirm, then press Return."


class Typist(ProcessProtocol):
    """Somebody at a terminal, who answers what a program asks for."""

    def __init__(self, answers: Sequence[tuple[bytes, str]]) -> None:
        self.shown = bytearray()
        self.asked: list[bytes] = []
        self.ended: Deferred[int] = Deferred()
        self._answers = answers
        self._read = 0

    def outReceived(self, data: bytes) -> None:
        self.shown += data
        for question, answer in self._answers:
            at = self.shown.find(question, self._read)
            if at >= 0:
                self._read = at + len(question)
                self.asked.append(question)
                self.transport.write(f"{answer}\r".encode())

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(reason.value.exitCode)


class TerminalCase(FrontDoorCase):
    def ssh(self, *options: object) -> list[object]:
        known = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}")
        off = ("-o", "PubkeyAuthentication=no", "-p", self.port)
        return ["ssh", "-F", "none", *known, *off, *options, "alice@127.0.0.1"]


class PseudoTerminalTests(TerminalCase):
    """Each client asks for the token at a terminal, and shows what the pod says."""

    async def at_a_terminal(
        self, *command: object, answers: Sequence[tuple[bytes, str]] = ANSWERS
    ) -> Typist:
        words = [str(word) for word in command]
        typist = Typist(answers)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TERM": "xterm"}
        reactor.spawnProcess(typist, require_executable(words[0]), words, environment, usePTY=True)
        self.processes.append(typist)
        status = await typist.ended
        # The terminal's hang-up may reach a client that is about to exit.
        self.assertIn(status, (0, None), bytes(typist.shown))
        self.assertIn(b"db   Ready", typist.shown)
        return typist

    async def test_openssh(self) -> None:
        """OpenSSH shows the prompt as the contract has it, after the name of the login."""
        typist = await self.at_a_terminal(*self.ssh(), "ls")
        self.assertIn(b"(alice@127.0.0.1) One-time token: ", typist.shown)
        self.assertEqual(typist.asked, [PROMPT])

    async def test_plink(self) -> None:
        """plink waits for Return after the token, lest a server pretends to be its prompt."""
        fixed = ("-hostkey", FINGERPRINT, "-noagent", "-P", self.port, "-l", "alice")
        typist = await self.at_a_terminal("plink", *fixed, "127.0.0.1", "ls")
        self.assertEqual(typist.asked, [PROMPT, b"Press Return"], bytes(typist.shown))

    def offer_browser(self) -> None:
        self.pod.access.link = BrowserOffer("https://portal.example.com/l/WDJB-MJHT", b"x")
        self.pod.access.confirmed = True

    async def test_openssh_by_the_browser(self) -> None:
        """The line with the link stands above the prompt, which stays as it is."""
        self.offer_browser()
        typist = await self.at_a_terminal(*self.ssh(), "ls", answers=CONFIRMED)
        self.assertIn(LINK, typist.shown)
        self.assertIn(b"(alice@127.0.0.1) One-time token: ", typist.shown)

    async def test_plink_by_the_browser(self) -> None:
        """PuTTY's own program shows it as well."""
        self.offer_browser()
        fixed = ("-hostkey", FINGERPRINT, "-noagent", "-P", self.port, "-l", "alice")
        words = ("plink", *fixed, "127.0.0.1", "ls")
        typist = await self.at_a_terminal(*words, answers=CONFIRMED)
        self.assertIn(LINK, typist.shown)

    async def test_dropbear(self) -> None:
        """dbclient."""
        fixed = ("-y", "-y", "-p", self.port, "-l", "alice", "127.0.0.1", "ls")
        typist = await self.at_a_terminal("dbclient", *fixed)
        self.assertEqual(typist.asked, [PROMPT])


class PromptTests(TerminalCase):
    """The prompt's text is a contract for programs that answer it."""

    async def test_sshpass(self) -> None:
        """``sshpass`` finds the prompt by its text."""
        answer = ("sshpass", "-P", PROMPT.decode(), "-p", TOKEN)
        process = await self.run_program([*answer, *self.ssh("-W", "echo:7")], b"x" * 100_000)
        self.assertEqual(bytes(process.out), b"x" * 100_000, bytes(process.errors))

    async def test_expect(self) -> None:
        """An ``expect`` script."""
        script = self.write_script(
            "script",
            "set timeout 60\n"
            "spawn {*}$argv\n"
            f'expect "{PROMPT.decode()}" {{ send "{TOKEN}\\r" }} timeout {{ exit 9 }}\n'
            "expect eof\n"
            "exit [lindex [wait] 3]\n",
        )
        process = await self.run_program(["expect", script, *self.ssh(), "ls"])
        self.assertEqual(process.status, 0, bytes(process.out))
        self.assertIn(b"db   Ready", process.out)

    async def test_an_agent_with_25_keys(self) -> None:
        """Whoever has too many keys reads what to do."""
        agent = await self.start_agent(25)
        on = ("-o", "PubkeyAuthentication=yes")
        known = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}")
        words = ["ssh", "-F", "none", *on, *known, "-p", self.port, "alice@127.0.0.1", "ls"]
        process = await self.run_program(words, SSH_AUTH_SOCK=agent)
        self.assertEqual(process.status, 255)
        self.assertIn(b"too many keys were offered", process.errors)
        self.assertIn(b"add -o PubkeyAuthentication=no", process.errors)
