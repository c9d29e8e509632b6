"""Settings and operations of TCP sockets that carry many channels.

Knows Twisted's TCP transports; with any other transport, such as a test's, it does as much as that
one supports.
"""

import errno
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

READ_SIZE = 256 * 1024
"""How much is read at once of a socket that carries many channels, in bytes.  With half
of it bulk data costs a twentieth more CPU time, measured; twice of it saves no more."""

UNSENT_SIZE = 128 * 1024
"""With more unsent, in bytes, a producer is paused."""

SEND_SIZE = 256 * 1024
"""How much is given to a socket at once, in bytes."""

SMALL_READ = 16 * 1024
"""How much is read at once of a peer that sends little, in bytes.  Each byte may cost microseconds:
a record of TLS or a chunk of HTTP may have a single one."""

_UNSENT_IN_KERNEL = 128 * 1024
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A peer that vanished is noticed in two minutes; the system's own defaults take two hours."""
_LAST_ACK_RECEIVED = 56
"""Where Linux's ``struct tcp_info`` has ``tcpi_last_ack_recv``."""
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


def tune_socket(transport: Any, read_size: int = READ_SIZE) -> None:
    """Set a TCP transport up for many channels: large reads, and little waiting in the kernel.

    What waits unsent in the kernel can't be overtaken by control messages, so the kernel is told
    to take no more than it can send soon.
    """
    handle = getattr(transport, "getHandle", lambda: None)()
    if not isinstance(handle, socket.socket):
        return
    transport.bufferSize = read_size
    transport.SEND_LIMIT = SEND_SIZE
    with suppress(OSError):
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        handle.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_IN_KERNEL)


def read_in_small_parts(transport: Any) -> None:
    """Read at most ``SMALL_READ`` bytes in a turn of the reactor.

    :param transport: a TCP transport, or one of TLS on it.
    """
    getattr(transport, "transport", transport).bufferSize = SMALL_READ


def widen_reads(transport: Any, came: int) -> bool:
    """Read up to ``READ_SIZE`` bytes at once if a small read came about as large as it could be.

    :param transport: as for ``read_in_small_parts``.
    :param came: how many bytes came.
    :return: whether it was.
    """
    if came < SMALL_READ // 2:
        return False
    getattr(transport, "transport", transport).bufferSize = READ_SIZE
    return True


def acknowledge_now(transport: Any) -> None:
    """Acknowledge the bytes read now, and not with the next write or 40 ms later.

    For when nothing is to be sent, and the peer (by Nagle's algorithm) waits with its next bytes.
    """
    handle = getattr(transport, "getHandle", lambda: None)()
    if isinstance(handle, socket.socket) and hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def seconds_since_acknowledgement(transport: Any) -> float | None:
    """Tell how long ago the peer's system last acknowledged anything.

    :return: None where the system doesn't tell.
    """
    handle = getattr(transport, "getHandle", lambda: None)()
    if not isinstance(handle, socket.socket) or handle.fileno() < 0:
        return None
    with suppress(OSError, AttributeError):
        told = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK_RECEIVED + 4)
        if len(told) >= _LAST_ACK_RECEIVED + 4:
            (milliseconds,) = struct.unpack_from("=I", told, _LAST_ACK_RECEIVED)
            return float(milliseconds) / 1000
    return None


def was_reset(transport: Any) -> bool:
    """Tell whether a socket that seems to be at the end of its stream was reset by its peer.

    The reactor reports a reset socket as ended, if its reading was resumed in the turn in which the
    reset arrived. (After a FIN the error of a reset is EPIPE, and the stream really had ended.)
    """
    handle = getattr(transport, "getHandle", lambda: None)()
    if not isinstance(handle, socket.socket) or handle.fileno() < 0:
        return False
    return handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) not in (0, errno.EPIPE)


def unacknowledged(transport: Any) -> int | None:
    """Count the bytes that were written and that the peer's system has not acknowledged.

    :return: None where the system doesn't tell.  A FIN that wasn't acknowledged isn't counted.
    """
    handle = getattr(transport, "getHandle", lambda: None)()
    if not isinstance(handle, socket.socket) or handle.fileno() < 0:
        return None
    try:
        in_kernel = struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4)))[0]
    except OSError:
        return None
    if transport._writeDisconnected and in_kernel:
        in_kernel -= 1  # the FIN has a place in the sequence
    return int(in_kernel + transport._tempDataLen + len(transport.dataBuffer) - transport.offset)


def before_close(transport: Any, call: Callable[[], object]) -> None:
    """Call something once, when the connection is over and its socket still is there."""
    handle = getattr(transport, "getHandle", lambda: None)()
    if not isinstance(handle, socket.socket):
        return
    close = transport._closeSocket

    def closing(orderly: bool) -> None:
        del transport._closeSocket
        call()
        close(orderly)

    transport._closeSocket = closing


def write_now(transport: Any, data: "bytes | memoryview") -> bool:
    """Write at once, without waiting for the reactor to report room: there mostly is.

    ``transport.write`` alone costs two changes of what the reactor watches and a turn of it for
    each write.  The reactor handles the bytes that the socket doesn't take now, and any error.
    Only these bytes are copied, and the caller may use ``data`` again.

    :return: False if the socket reported an error.  It reports each once: if this call got the
        reset, the reactor's next read looks like an end of stream.
    """
    healthy = True
    waiting = getattr(transport, "_tempDataLen", 1) or transport.dataBuffer
    if not waiting and transport.connected and not transport.disconnecting:
        sent = transport.writeSomeData(data)
        healthy = isinstance(sent, int)
        if healthy:
            if sent == len(data):
                return True
            data = memoryview(data)[sent:]
    transport.write(bytes(data))
    _pause_producer(transport)
    return healthy


def end_writing(transport: Any) -> None:
    """Send FIN after all that was written: now, where the system has taken all of it.

    ``transport.loseWriteConnection`` costs two changes of what the reactor watches, a turn of it
    and an empty write.
    """
    waiting = getattr(transport, "_tempDataLen", 1) or transport.dataBuffer
    if waiting or not transport.connected or transport.disconnecting:
        transport.loseWriteConnection()
        return
    # Set the marks that Twisted sets itself: the protocol may end the whole connection when it
    # hears of the end.
    transport._writeDisconnecting = transport._writeDisconnected = True
    transport._closeWriteConnection()


def _pause_producer(transport: Any) -> None:
    """Pause it with ``UNSENT_SIZE`` unsent: for Twisted, that size and a read's are one."""
    waiting = getattr(transport, "_tempDataLen", 0)
    if not waiting or waiting + len(transport.dataBuffer) <= UNSENT_SIZE:
        return
    if transport.producer and transport.streamingProducer and not transport.producerPaused:
        transport.producerPaused = True
        transport.producer.pauseProducing()
