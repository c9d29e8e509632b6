"""What goes through a tunnel: a target that serves all kinds of load, and the clients of it.

A client's first byte says what it wants of the target: ``d`` drain what I send and answer with one
byte at the end, ``s`` send as many bytes as the next eight say, ``e`` echo, ``m`` measure how fast
I send, once as many bytes came as the next eight say, and answer with bytes a second, ``p`` answer
with a byte whenever a part of 64 KiB has come.
"""

import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from benchmarks.processes import HOST

_BLOCK = 1 << 20
_ZEROS = bytes(_BLOCK)
_PART = 64 * 1024


def connect(port: int) -> socket.socket:
    """Connect to a tunnel's local end."""
    sock = socket.create_connection((HOST, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def upload(port: int, size: int) -> None:
    """Send, and wait until the target has it all."""
    with connect(port) as sock:
        sock.sendall(b"d")
        left = size
        while left:
            left -= sock.send(memoryview(_ZEROS)[: min(left, _BLOCK)])
        sock.shutdown(socket.SHUT_WR)
        if sock.recv(1) != b"d":
            raise SystemExit("the stream was cut")


def download(port: int, size: int) -> None:
    """Receive."""
    with connect(port) as sock:
        sock.sendall(b"s" + size.to_bytes(8, "big"))
        buffer = bytearray(_BLOCK)
        left = size
        while left:
            count = sock.recv_into(buffer)
            if not count:
                raise SystemExit("the stream was cut")
            left -= count


def timed_upload(port: int, ramp: int, size: int) -> float:
    """Send ``ramp`` bytes and ``size`` more; give how many of the latter came a second."""
    with connect(port) as sock:
        sock.sendall(b"m" + ramp.to_bytes(8, "big"))
        left = ramp + size
        while left:
            left -= sock.send(memoryview(_ZEROS)[: min(left, _BLOCK)])
        sock.shutdown(socket.SHUT_WR)
        return float(struct.unpack(">d", _exactly(sock, 8))[0])


def timed_download(port: int, ramp: int, size: int) -> float:
    """Receive ``ramp`` bytes and ``size`` more; give how many of the latter came a second."""
    with connect(port) as sock:
        sock.sendall(b"s" + (ramp + size).to_bytes(8, "big"))
        return _measure(sock, ramp)


def _measure(sock: socket.socket, ramp: int) -> float:
    buffer = bytearray(_BLOCK)
    left = ramp
    while left > 0:
        left -= sock.recv_into(buffer) or sys.exit("the stream was cut")
    started = time.perf_counter()
    received = 0
    while count := sock.recv_into(buffer):
        received += count
    return received / (time.perf_counter() - started)


def endless_download(port: int) -> Iterator[int]:
    """Receive for as long as the caller wants; give how much each read brought."""
    with connect(port) as sock:
        sock.sendall(b"s" + (1 << 60).to_bytes(8, "big"))
        buffer = bytearray(_BLOCK)
        while count := sock.recv_into(buffer):
            yield count


def endless_upload(port: int) -> Iterator[int]:
    """Send for as long as the caller wants; give how much more the target says it has."""
    with connect(port) as sock:
        sock.sendall(b"p")
        sock.setblocking(False)
        while True:
            readable, writable, _ = select.select([sock], [sock], [])
            if writable:
                sock.send(memoryview(_ZEROS)[:_PART])
            if readable:
                yield _PART * len(sock.recv(_PART))


def together(work: "list[threading.Thread]") -> None:
    """Run threads to their end."""
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


def transfer(direction: str, port: int, size: int, channels: int = 1) -> None:
    """Move ``size`` bytes in all over so many channels at once."""
    call = {"up": upload, "down": download}[direction]
    share = size // channels
    together([threading.Thread(target=call, args=(port, share)) for _ in range(channels)])


def round_trips(port: int, count: int, size: int = 64) -> list[float]:
    """Seconds each echo of a small message took."""
    message = bytes(size)
    taken = []
    with connect(port) as sock:
        sock.sendall(b"e")
        for _ in range(count):
            started = time.perf_counter()
            sock.sendall(message)
            left = size
            while left:
                left -= len(sock.recv(left))
            taken.append(time.perf_counter() - started)
    return taken


def open_and_close(port: int, count: int) -> None:
    """Connect, two bytes each way, close; so many times, one after the other."""
    for _ in range(count):
        with connect(port) as sock:
            sock.sendall(b"ex")
            if sock.recv(1) != b"x":
                raise SystemExit("the stream was cut")
            sock.sendall(b"y")
            if sock.recv(1) != b"y":
                raise SystemExit("the stream was cut")


def _serve(sock: socket.socket) -> None:
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray(_BLOCK)
        wish = sock.recv(1)
        if wish == b"d":
            while sock.recv_into(buffer):
                pass
            sock.sendall(b"d")
        elif wish == b"s":
            left = int.from_bytes(_exactly(sock, 8), "big")
            while left:
                left -= sock.send(memoryview(_ZEROS)[: min(left, _BLOCK)])
        elif wish == b"m":
            rate = _measure(sock, int.from_bytes(_exactly(sock, 8), "big"))
            sock.sendall(struct.pack(">d", rate))
        elif wish == b"p":
            parts, received = 0, 0
            while count := sock.recv_into(buffer):
                received += count
                sock.sendall(b"." * (received // _PART - parts))
                parts = received // _PART
        elif wish == b"e":
            while count := sock.recv_into(buffer):
                sock.sendall(memoryview(buffer)[:count])


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def serve(ports: Sequence[int]) -> None:
    """Be the target, on these ports."""
    listeners = [socket.create_server((HOST, port), backlog=1024) for port in ports]
    while True:
        for listener in select.select(listeners, [], [])[0]:
            sock, _ = listener.accept()
            threading.Thread(target=_serve, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    serve([int(port) for port in sys.argv[1:]])
