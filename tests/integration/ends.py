"""Streams that end in one of the ways there are, measured at their other side.

What must come of each stands in the tables of docs/ends.md, which the tests read.  The client is
paramiko, for it lets one choose what is said last and how the connection goes; the server is a pod,
or sshd.
"""

import contextlib
import errno
import re
import socket
import struct
import threading
import time
from pathlib import Path

from attrs import define, field

PAGE = Path(__file__).parents[2] / "docs" / "ends.md"
SIZE = 600_000
WITHOUT_READER = 200_000
"""What kernels and windows hold towards a target that reads nothing."""

UNREAD_TIMEOUT = 4
_RESET = struct.pack("ii", 1, 0)
_PATIENCE = 30


@define
class Case:
    """One row of a table."""

    one: str
    other: str
    arrives: str
    then: str
    audit: str
    sshd: str

    def expected_of_sshd(self):
        """Give what arrives at sshd's target, and what follows."""
        if self.sshd == "the same":
            return self.arrives, self.then
        arrives, _, then = self.sshd.partition(", ")
        return arrives, then


def read_table(heading):
    """Read the rows of the first table below a heading of the page."""
    text = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [Case(*(cell.strip() for cell in row.strip("|").split("|"))) for row in rows]


def agrees(cell, seen):
    """Tell whether what was seen is one of those that a cell names."""
    return any(seen == one or seen.startswith(f"{one}:") for one in re.split(" or ", cell))


def reset(sock):
    """Close with RST, whoever else is in a call on the socket."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


def drain(receive, pause=0.0, size=1 << 30):
    """Read to the end, or so much; give how much came and how it ended."""
    count = 0
    try:
        while count < size and (data := receive(16384)):
            count += len(data)
            time.sleep(pause)
    except OSError as error:
        # A reset is told once; to whoever reads after that, the socket has no peer.
        told = error.errno in (errno.ECONNRESET, errno.ENOTCONN)
        return count, "reset" if told else type(error).__name__
    return count, "end" if count < size else "it closes"


@define
class Target:
    """Accepts one connection and does as it is told; a test asks it what it saw.

    :ivar serve: talks on the connection; what it returns is what it saw.
    """

    serve: object
    port: int = 0
    seen: object = None
    connected: threading.Event = field(factory=threading.Event)
    _thread: object = None

    def start(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(1)
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self._thread.start()
        return self

    def _run(self, listener):
        with listener:
            listener.settimeout(_PATIENCE)
            connection, _ = listener.accept()
        connection.settimeout(_PATIENCE)
        self.connected.set()
        with connection:
            try:
                self.seen = self.serve(connection)
            except OSError as error:
                self.seen = None, type(error).__name__

    def result(self):
        """Wait until it is done; give what it saw."""
        self._thread.join(2 * _PATIENCE)
        return self.seen


# What targets do while their client ends.


def _reads(connection):
    return drain(connection.recv)


def _reads_slowly(connection):
    time.sleep(0.5)
    return drain(connection.recv, 0.01)


def _reads_nothing(connection):
    """It looks what there is when it must have been given up."""
    time.sleep(2 * UNREAD_TIMEOUT)
    return drain(connection.recv)


def _ended_before(connection):
    connection.shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    return drain(connection.recv)


def _closes_then(connection):
    return drain(connection.recv, size=SIZE)


def _speaks_on(connection):
    """It says more than anybody would hold back for it, and reads beside it."""
    connection.settimeout(0.001)
    seen, end, until = 0, "end", time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            connection.send(bytes(65536))
        except TimeoutError:
            pass
        except OSError:
            end = "reset"  # told once: what is read next looks like an end
        try:
            data = connection.recv(16384)
        except TimeoutError:
            continue
        except ConnectionResetError:
            return seen, "reset"
        if not data:
            return seen, end
        seen += len(data)
    return seen, "nothing"


def reads_late(connection):
    """It reads nothing until what is between has ended."""
    time.sleep(4)
    return drain(connection.recv, 0.01)


TARGETS = {
    "reads": _reads,
    "reads slowly": _reads_slowly,
    "reads nothing": _reads_nothing,
    "ended before": _ended_before,
    "closes at that moment": _closes_then,
    "speaks all the while": _speaks_on,
}


# How clients end.


def wait_until_closed(transport, channel):
    """Wait, for half a second at most, until the other side answers CLOSE.

    A client that closes its connection at once, with something unread, resets it, and the reset may
    overtake its CLOSE: the page says so, and leaves it out.
    """
    until = time.monotonic() + 0.5
    while transport._channels.get(channel.chanid) is channel and time.monotonic() < until:
        time.sleep(0.01)


@define
class Login:
    """Where a client logs in, and how."""

    port: int
    user: str
    key: object

    def connect(self):
        """Log in with paramiko."""
        import paramiko

        transport = paramiko.Transport(("127.0.0.1", self.port))
        transport.banner_timeout = transport.auth_timeout = _PATIENCE
        transport.connect(
            username=self.user, pkey=paramiko.Ed25519Key.from_private_key_file(str(self.key))
        )
        return transport

    def open(self, port):
        """Log in and open a channel to a target."""
        transport = self.connect()
        channel = transport.open_channel(
            "direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 1), timeout=_PATIENCE
        )
        channel.settimeout(_PATIENCE)
        return transport, channel


def _eof(transport, channel):
    channel.shutdown_write()


def _eof_and_close(transport, channel):
    channel.close()


def _close(transport, channel):
    channel.eof_sent = True  # it sends no EOF before CLOSE, as Go's and Node's clients
    channel.close()


def _says_goodbye(transport, channel):
    from paramiko.common import cMSG_DISCONNECT
    from paramiko.message import Message

    message = Message()
    message.add_byte(cMSG_DISCONNECT)
    message.add_int(11)
    message.add_string("bye")
    message.add_string("en")
    transport._send_message(message)
    transport.sock.shutdown(socket.SHUT_RDWR)


def _closes_and_goes(transport, channel):
    channel.close()
    time.sleep(0.5)
    transport.close()


def _is_killed(transport, channel):
    """What the kernel does to the connection of a process that is killed."""
    transport.sock.shutdown(socket.SHUT_RDWR)


def _is_reset(transport, channel):
    transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.active = False
    transport.packetizer.close()
    transport.sock.close()


CLIENTS = {
    "EOF": _eof,
    "EOF, CLOSE": _eof_and_close,
    "CLOSE": _close,
    "EOF, CLOSE, soon the connection": _closes_and_goes,
    "DISCONNECT": _says_goodbye,
    "killed": _is_killed,
    "TCP reset": _is_reset,
}


def size_of(case):
    """Say how much a client writes."""
    return WITHOUT_READER if case.other in ("reads nothing", "ended before") else SIZE


def client_ends(case, login, target):
    """Have a client write and end; give what arrived at the target, and what followed."""
    size = size_of(case)
    transport, channel = login.open(target.port)
    try:
        channel.sendall(bytes(size))
        CLIENTS[case.one](transport, channel)
        count, then = target.result()
    finally:
        with contextlib.suppress(EOFError, OSError):
            channel.close()
            wait_until_closed(transport, channel)
        with contextlib.suppress(EOFError, OSError):
            transport.close()
    return "all" if count == size else "part", then


# The other way: how targets end, and what clients see.


def _half_closes(connection):
    connection.sendall(bytes(SIZE))
    connection.shutdown(socket.SHUT_WR)
    return drain(connection.recv)


def _closes(connection):
    connection.sendall(bytes(SIZE))
    return None, "it closes"


def _closes_unread(connection):
    """It closes while there is something that it hasn't read: its system resets."""
    connection.sendall(bytes(SIZE))
    time.sleep(0.5)
    return None, "it closes"


def _resets(connection):
    connection.sendall(bytes(SIZE))
    time.sleep(0.5)
    reset(connection)


ENDING_TARGETS = {
    "FIN": _half_closes,
    "close": _closes,
    "close, something unread": _closes_unread,
    "reset": _resets,
}


def target_ends(case, login, target):
    """Have a target write and end; give what arrived at the client, and what followed."""
    transport, channel = login.open(target.port)
    try:
        if target.serve is _closes_unread:
            channel.sendall(b"never read")
        if case.other == "ended before":
            channel.shutdown_write()
        if case.other == "reads late":
            time.sleep(2)
        pause = 0.01 if case.other == "reads slowly" else 0
        count, then = drain(channel.recv, pause)
        if then == "end":
            then = "EOF" if channel.eof_received else "CLOSE"
        channel.close()
        target.result()
    finally:
        with contextlib.suppress(EOFError, OSError):
            transport.close()
    return "all" if count == SIZE else "part", then
