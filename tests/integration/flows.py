"""Streams on which bytes run both ways for as long as a test does something else."""

import random
import socket
import threading

from tests.integration.processes import PATIENCE

BLOCK = 16_384
PAUSE = 0.05
"""Seconds that a stream rests between two blocks, so that many leave time for what is tested."""


class Flow(threading.Thread):
    """Sends blocks to an echo server, and compares each of them with what comes back.

    :ivar blocks: how many came back whole.
    :ivar fault: what went wrong; empty if nothing did.
    """

    def __init__(self, port, number, over):
        super().__init__(daemon=True)
        self.blocks, self.fault = 0, ""
        self._number, self._over = number, over
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)

    def run(self):
        with self._socket:
            try:
                self._flow()
            except OSError as error:
                self.fault = f"{type(error).__name__}: {error}"

    def _flow(self):
        made = random.Random(self._number)
        while not self._over.is_set():
            block = made.randbytes(BLOCK)
            self._socket.sendall(block)
            if (found := self._read(BLOCK)) != block:
                what = "the end" if len(found) < BLOCK else "other bytes"
                self.fault = f"{what} came in block {self.blocks}"
                return
            self.blocks += 1
            self._over.wait(PAUSE)
        self._socket.shutdown(socket.SHUT_WR)
        if self._read(1):
            self.fault = "more came back than was sent"

    def _read(self, length):
        """Read so many bytes, or fewer if the stream ends."""
        read = b""
        while len(read) < length and (more := self._socket.recv(length - len(read))):
            read += more
        return read


class Flows:
    """Many of them through one local port."""

    def __init__(self, port, count):
        self._over = threading.Event()
        self._all = [Flow(port, number, self._over) for number in range(count)]
        for one in self._all:
            one.start()

    def blocks(self):
        """Give for each stream how many blocks came back so far."""
        return [one.blocks for one in self._all]

    def end(self):
        """Let each of them end; give the faults of all."""
        self._over.set()
        for one in self._all:
            one.join(PATIENCE)
        return [one.fault or "didn't end" for one in self._all if one.fault or one.is_alive()]
