"""Paths that are longer or narrower than loopback: a proxy that delays, or throttles.

A proxy passes every byte on after ``delay`` seconds, and no more than ``rate`` bytes a second each
way.  What it holds is bounded, as a network's buffers are: a sender that has more in flight waits.
"""

import argparse
import asyncio
import socket
from collections import deque

from attrs import frozen

from benchmarks.processes import HOST, PYTHON, Bench, free_port

_IN_FLIGHT = 64 << 20
_QUEUE = 32 << 10
_PIECE = 4 << 10


@frozen
class Path:
    """What lies between two ends of a connection.

    :ivar delay: seconds, one way.
    :ivar rate: bytes a second, each way; 0 for as many as come.
    """

    delay: float = 0.0
    rate: int = 0

    def lead_to(self, bench: Bench, port: int, own: int = 0) -> int:
        """Give a port that leads to ``port`` over this path.

        :param own: the port to give, if it had to be known before.
        """
        if self == Path():
            return port
        own = own or free_port()
        words = [str(own), str(port), str(self.delay), str(self.rate)]
        bench.start(PYTHON, "-m", "benchmarks.paths", *words, name=f"path-{own}")
        bench.wait_for_port(own)
        return own


class _End(asyncio.Protocol):
    """One end of a proxied connection: what it receives leaves at the other."""

    other: "_End"
    transport: asyncio.Transport

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued = 0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=1 << 20)
        if self._path.rate:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, _QUEUE)

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        rate = self._path.rate
        if not rate:
            self._queue.append((now + self._path.delay, data))
        for start in range(0, len(data) if rate else 0, _PIECE):
            piece = data[start : start + _PIECE]
            self._free_at = max(now, self._free_at) + len(piece) / rate
            self._queue.append((self._free_at + self._path.delay, piece))
        self._queued += len(data)
        if self._queued > (_QUEUE if rate else _IN_FLIGHT):
            self.transport.pause_reading()
        if self._timer is None:
            self._timer = self._loop.call_at(self._queue[0][0], self._release)

    def eof_received(self) -> bool:
        self._queue.append((self._loop.time() + self._path.delay, b""))
        if self._timer is None:
            self._timer = self._loop.call_at(self._queue[0][0], self._release)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.other.transport.abort()

    def pause_writing(self) -> None:
        self.other._full = True

    def resume_writing(self) -> None:
        self.other._full = False
        if self.other._timer is None:
            self.other._release()

    def _release(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._queue and self._queue[0][0] <= now and not self._full:
            _, data = self._queue.popleft()
            self._queued -= len(data)
            if data:
                self.other.transport.write(data)
            else:
                self.other.transport.write_eof()
        if self._queued <= (_QUEUE if self._path.rate else _IN_FLIGHT) // 2:
            self.transport.resume_reading()
        if self._queue and not self._full:
            self._timer = self._loop.call_at(self._queue[0][0], self._release)


async def _serve(own: int, target: int, path: Path) -> None:
    loop = asyncio.get_running_loop()

    async def join(near: _End) -> None:
        _, far = await loop.create_connection(lambda: _End(path), HOST, target)
        near.other, far.other = far, near
        near.transport.resume_reading()

    class Near(_End):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            # Right after asyncio has begun to read, which Python 3.11.2 does even when paused here.
            loop.call_soon(self.transport.pause_reading)
            tasks.add(loop.create_task(join(self)))

    tasks: set[asyncio.Task[None]] = set()
    server = await loop.create_server(lambda: Near(path), HOST, own, backlog=100)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("own", int), ("target", int), ("delay", float), ("rate", int)):
        parser.add_argument(name, type=kind)
    given = parser.parse_args()
    asyncio.run(_serve(given.own, given.target, Path(given.delay, given.rate)))
