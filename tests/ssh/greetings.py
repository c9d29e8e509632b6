"""A session whose greeting and commands tests read."""

import struct

from tests.ssh.test_connection import SessionCase
from tunnelcloud.channels.messages import Reader, pack_string
from tunnelcloud.ssh.greeting import Greeting

LISTING = (
    "db   Ready  The \\x1b[31mdatabase\n    ssh -N …\n"
    "web  site paris: no connector\n    ssh -N … web\n"
)
TRAFFIC = "\nTraffic of this session, until Ctrl-C:\n"
IDLE = "db: 0 open, 0 B sent, 0 B received\nweb: 0 open, 0 B sent, 0 B received\n"


class GreetingCase(SessionCase):
    """An open session channel."""

    def setUp(self) -> None:
        super().setUp()
        self.open(b"session")
        self.client.expect(91)

    def request(self, name: bytes, rest: bytes = b"", granted: bool = True) -> None:
        self.client.send(b"\x62\0\0\0\0" + pack_string(name) + b"\1" + rest)
        self.client.expect(99 if granted else 100)

    def terminal(self, height: int = 24) -> None:
        size = struct.pack(">IIII", 80, height, 0, 0)
        self.request(b"pty-req", pack_string(b"xterm") + size + pack_string(b""))

    def run_command(self, command: str) -> None:
        self.request(b"exec", pack_string(command.encode()))
        self.clock.advance(0)

    def shell(self) -> None:
        self.request(b"shell")
        self.clock.advance(0)

    def shown(self) -> str:
        """Take what was shown since the last call."""
        self.client._collect()
        text = b""
        while self.client.received and self.client.received[0][0] == 94:
            reader = Reader(self.client.received.pop(0), 5)
            text += reader.string()
        return text.decode()

    def count_in_writes(self, word: str) -> list[int]:
        """Count from now on how often a word is in what is written in one go."""
        counts: list[int] = []
        write = Greeting._write

        def counted(greeting: Greeting, text: str) -> None:
            counts.append(text.count(word))
            write(greeting, text)

        self.patch(Greeting, "_write", counted)
        return counts

    def read_on(self, turns: int) -> str:
        """Take all that is shown, as a client that reads for some turns of the reactor."""
        shown = self.shown()
        for _ in range(turns):
            self.client.send(b"\x5d\0\0\0\0" + struct.pack(">I", 1 << 16))
            self.clock.advance(0)
            shown += self.shown()
        return shown

    def ended(self, status: int) -> None:
        """The channel ended with this exit status."""
        self.clock.advance(0)
        exited = b"\0\0\0\0" + pack_string(b"exit-status") + b"\0" + struct.pack(">I", status)
        self.assertEqual(self.client.expect(98), exited)
        self.client.expect(96)
        self.client.expect(97)
        self.client.send(b"\x61\0\0\0\0")
        self.assertEqual(self.client.read(), [])
        self.assertEqual(self.client.server.multiplexer.channel_count, 0)
