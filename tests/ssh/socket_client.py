"""The client that says exactly what a test wants, at a real socket."""

import socket

from twisted.python.failure import Failure

from tests.ssh.client import Client, Keys


class _Socket:
    """The server's end of a ``Client``, as a real socket to another process."""

    def __init__(self, port: int, source: str) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), 0.5, (source, 0))
        self.disconnecting = False

    def makeConnection(self, transport: object) -> None:
        """Nothing to do: the socket is connected."""

    def dataReceived(self, data: bytes) -> None:
        """Send what the client says."""
        try:
            self.connection.sendall(data)
        except OSError:
            self.disconnecting = True

    def connectionLost(self, reason: Failure) -> None:
        """Close."""
        self.connection.close()

    def value(self) -> bytes:
        """Take what the front door says, waiting for it a little."""
        try:
            data = self.connection.recv(1 << 20)
        except TimeoutError:
            return b""
        except OSError:
            data = b""
        self.disconnecting = self.disconnecting or not data
        return data

    def clear(self) -> None:
        """Nothing to do: what was received is gone."""


class PatientClient(Client):
    """A client at a real socket, where what is expected may need more than one read."""

    def __init__(self, port: int, keys: Keys | None = None, source: str = "127.0.0.1") -> None:
        super().__init__(keys=keys)
        self.lose()
        self.server = self.socket = _Socket(port, source)
        self.lost = False

    def expect_any(self) -> bytes:
        """Wait for a message."""
        for _ in range(6):
            if self.received:
                break
            super()._collect()
        assert self.received, "nothing came"
        return self.received.pop(0)

    def expect(self, number: int) -> bytes:
        """Wait for a message of this number."""
        payload = self.expect_any()
        assert payload[0] == number, f"{payload!r} instead of message {number}"
        return payload[1:]
