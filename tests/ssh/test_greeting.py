"""What ``ssh pod`` shows."""

import json
import struct

from twisted.internet.defer import fail

from tests.ssh.greetings import LISTING, GreetingCase
from tunnelcloud.channels.messages import pack_string
from tunnelcloud.ssh import greeting
from tunnelcloud.ssh.interfaces import TunnelRow
from tunnelcloud.ssh.session_commands import USAGE, Hold, Refused, read_command


class CommandTests(GreetingCase):
    """``ls``, ``doctor``, and what there isn't."""

    def test_ls(self) -> None:
        """The tunnels, their states and commands, with nothing a terminal would obey."""
        self.run_command("ls")
        self.assertEqual(self.shown(), LISTING)
        self.ended(0)

    def test_ls_json(self) -> None:
        """The API's own objects."""
        self.run_command("ls --json")
        rows = json.loads(self.shown())
        self.assertEqual(rows, [{"name": "db", "ports": [1]}, {"name": "web"}])
        self.ended(0)

    def many(self, count: int) -> None:
        self.avatar.rows = [
            TunnelRow(
                f"t{number}", "", "Ready", "ssh -N …", lambda name=f"t{number}": {"name": name}
            )
            for number in range(count)
        ]

    def test_a_long_list_is_written_in_turns(self) -> None:
        """No turn of the reactor writes thousands of rows, and the client gets all of them."""
        self.many(1000)
        writes = self.count_in_writes("Ready")
        self.run_command("ls")
        shown = self.read_on(200)
        self.assertEqual(shown.count("Ready"), 1000)
        self.assertLessEqual(max(writes), 32)
        self.ended(0)

    def test_a_long_list_as_json(self) -> None:
        """Its parts are one value together."""
        self.many(100)
        self.run_command("ls --json")
        rows = json.loads(self.shown())
        self.assertEqual([row["name"] for row in rows], [f"t{number}" for number in range(100)])
        self.ended(0)

    def test_nothing_to_list(self) -> None:
        """Nobody is left before an empty screen."""
        self.avatar.rows = ()
        self.run_command("ls")
        self.assertEqual(self.shown(), "You have no tunnels that this login can open.\n")
        self.ended(0)

    def test_doctor(self) -> None:
        """A line for each hop; a hop that failed is the exit status."""
        self.run_command("doctor db")
        self.assertEqual(
            self.shown(),
            "ok    grant             0.1 ms  alice may\n"
            "ok    connect          12.5 ms  10.0.0.5:5432\n",
        )
        self.ended(0)

    def test_doctor_fails(self) -> None:
        """JSON has the same steps."""
        self.run_command("doctor --json web")
        steps = json.loads(self.shown())
        self.assertEqual([step["ok"] for step in steps], [True, False])
        self.assertEqual(steps[0]["name"], "grant")
        self.ended(1)

    def test_doctor_without_tunnel(self) -> None:
        """A tunnel that one hasn't got is one that there isn't."""
        self.run_command("doctor '\x1b[2Jdb'")
        self.assertEqual(self.shown(), "\\x1b[2Jdb: you have no such tunnel\n")
        self.ended(1)

    def complained(self, line: str, status: int) -> None:
        """One line came on standard error, nothing on standard output, and this status."""
        text = b"\0\0\0\0\0\0\0\1" + pack_string(f"{line}\r\n".encode())
        self.assertEqual(self.client.expect(95), text)
        self.ended(status)

    def test_help(self) -> None:
        """The usage is there for who asks for it."""
        self.run_command("help")
        self.assertEqual(self.shown(), USAGE)
        self.ended(0)

    def test_other_programs(self) -> None:
        """Nothing is run, and that is said where no program takes it for an answer: in one line,
        with the way to a server behind the gateway."""
        jump = "-J alice@pod.example.com:2222 USER@SERVER"
        rsync = "rsync -e 'ssh -J alice@pod.example.com:2222'"
        for command, name, way in (
            ("rm -rf /", "rm", f"ssh {jump}"),
            ("/usr/lib/openssh/sftp-server", "sftp-server", f"sftp {jump}"),
            ("scp -t x", "scp", f"scp {jump}"),
            ("rsync --server . x", "rsync", rsync),
            ("'\x1b[2J\n'", "\\x1b[2J\\n", f"ssh {jump}"),
            ("--json", "--json", f"ssh {jump}"),
        ):
            refused = read_command(command.encode(), "alice@pod.example.com:2222")
            line = f"{name}: this is a gateway and runs no programs; use {way}"
            self.assertEqual(refused, Refused(line, 127))
        self.run_command("rsync --server")
        self.complained(f"rsync: this is a gateway and runs no programs; use {rsync}", 127)

    def test_wrong_words(self) -> None:
        """A command of the gateway's own that isn't used as it should be is told how."""
        for command, line in (("ls -la", "ls [--json]"), ("doctor", "doctor TUNNEL [--json]")):
            refused = read_command(command.encode(), "")
            self.assertEqual(refused, Refused(f"usage: {line}", 2))

    def test_unreadable(self) -> None:
        """A command that isn't words is refused, too."""
        self.run_command("ls '")
        self.complained("this command can't be read: a quote is missing", 127)

    def test_subsystem(self) -> None:
        """sftp says in one line where the files are, and so does any other."""
        self.request(b"subsystem", pack_string(b"sftp"))
        way = "sftp -J alice@pod.example.com:2222 USER@SERVER"
        self.clock.advance(0)
        self.complained(f"sftp: this is a gateway and runs no programs; use {way}", 127)

    def test_subsystem_for_those_who_would_wait(self) -> None:
        """libssh2 and libssh show no error, and wait for the first answer of what was granted."""
        for number, version in enumerate(("libssh2_1.10.0", "libssh_0.10.6"), 1):
            self.client.server.client_version = version
            self.open(b"session", number=number)
            self.client.expect(91)
            head = b"\x62" + number.to_bytes(4, "big") + pack_string(b"subsystem") + b"\1"
            self.client.send(head + pack_string(b"sftp"))
            self.client.expect(100)

    def test_one_command(self) -> None:
        """A channel runs one command."""
        self.run_command("ls")
        self.shown()
        self.ended(0)
        self.open(b"session")
        self.client.expect(91)

    def test_a_second_command_is_not_read(self) -> None:
        """To read one takes half a millisecond."""
        read: list[bytes] = []
        self.patch(greeting, "read_command", lambda *given: read.append(given[0]) or Hold(None))
        self.request(b"exec", pack_string(b"cat"))
        for _ in range(3):
            self.request(b"exec", pack_string(b"a " * 500), granted=False)
        self.assertEqual(read, [b"cat"])

    def test_refused_requests(self) -> None:
        """No environment, no agent, no X11."""
        for name in (b"env", b"auth-agent-req@openssh.com", b"x11-req"):
            self.client.send(b"\x62\0\0\0\0" + pack_string(name) + b"\1" + pack_string(b"x") * 2)
            self.client.expect(100)

    def test_slow_client(self) -> None:
        """The exit status waits until the client has taken everything before it."""
        self.client.send(b"\x61\0\0\0\0")
        self.client.expect(97)
        self.client.send(b"\x5a" + pack_string(b"session") + struct.pack(">III", 0, 10, 32768))
        number = self.client.expect(91)[4:8]
        self.client.send(b"\x62" + number + pack_string(b"exec") + b"\1" + pack_string(b"ls"))
        self.client.expect(99)
        self.clock.advance(0)
        self.assertEqual(self.shown(), LISTING[:10])
        self.assertEqual(self.client.read(), [])
        self.client.send(b"\x5d" + number + b"\0\0\1\0")
        self.assertEqual(self.shown(), LISTING.encode()[10:].decode())
        self.client.expect(98)

    def test_failing_avatar(self) -> None:
        """A fault while a command runs ends the connection."""
        self.avatar.tunnels = lambda: fail(OSError("disk full"))
        self.run_command("ls")
        self.assertEqual(self.client.disconnected(), "internal error")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class HoldTests(GreetingCase):
    """What people give ``ssh -f`` to hold a session open."""

    def type(self, text: bytes) -> None:
        self.client.send(b"\x5e\0\0\0\0" + pack_string(text))

    def test_sleep(self) -> None:
        """It lasts as long as it says, whatever is typed and whether input ends."""
        self.run_command("sleep 20")
        self.type(b"exit\n\x04")
        self.client.send(b"\x60\0\0\0\0")
        self.clock.advance(19.9)
        self.assertEqual(self.client.read(), [])
        self.clock.advance(0.2)
        self.ended(0)

    def test_interrupted(self) -> None:
        """Ctrl-C and a signal end it as they end a program."""
        for end in (
            lambda: self.type(b"\x03"),
            lambda: self.request(b"signal", pack_string(b"INT")),
        ):
            self.run_command("sleep infinity")
            end()
            self.ended(130)
            self.setUp()

    def test_how_long(self) -> None:
        """The units are those of GNU's sleep, and so is what it refuses."""
        for words, seconds in (
            ("sleep 20", 20), ("sleep 1m", 60), ("sleep 1.5h 3s", 5403), ("sleep .5", 0.5),
            ("exec sleep 1d", 86400), ("sleep inf", 315360000), ("true", 0), (":", 0),
            ("cat", None), ("cat -", None), ("sleep 999999999999d", 315360000),
        ):  # fmt: skip
            self.assertEqual(read_command(words.encode(), ""), Hold(seconds), words)
        for words in ("sleep", "sleep x", "sleep -1", "sleep 1e9", "sleep 5w"):
            self.assertEqual(read_command(words.encode(), "").status, 2, words)

    def test_true(self) -> None:
        """It ends at once; what it forwards lives on by the client's own choice."""
        self.run_command("true")
        self.ended(0)

    def test_cat(self) -> None:
        """It sends back what comes, as fast as it is taken, and ends with the input."""
        self.request(b"exec", pack_string(b"cat"))
        self.type(b"early, ")
        self.clock.advance(0)
        self.type(b"hello\x03\x04exit\n")
        self.assertEqual(self.shown(), "early, hello\x03\x04exit\n")
        self.client.send(b"\x60\0\0\0\0")
        self.ended(0)

    def test_cat_without_input(self) -> None:
        """With no input it is over at once."""
        self.request(b"exec", pack_string(b"cat"))
        self.client.send(b"\x60\0\0\0\0")
        self.clock.advance(0)
        self.ended(0)

    def test_cat_is_bounded(self) -> None:
        """Who doesn't read what comes back may send no more than the window."""
        self.run_command("cat")
        self.client.server.pauseProducing()
        for _ in range(200):
            if self.client.socket.disconnecting:
                break
            self.type(b"x" * 30_000)
        self.assertIn("window", self.client.disconnected())

    def test_client_leaves(self) -> None:
        """A client that leaves leaves nothing behind."""
        self.run_command("sleep 1000")
        self.client.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
