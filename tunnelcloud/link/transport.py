"""TLS for links, made for throughput.

Twisted's TLS transport hands OpenSSL 16 KiB at a time, and moves the outcome in pieces of 32 KiB,
each with its own write and its own event.  A link carries bulk data, so here one write is one
call into OpenSSL and one write of the socket; and one read of the socket is one event with all
its clear text, decrypted in place into a buffer that is used again.  Measured on bulk data this
costs two thirds of the CPU time on both ends.  (It takes contexts whose mode lets SSL_write go on
to its end, as ``tunnelcloud.link.tls`` makes them.)

It uses private names of Twisted's transport and of pyOpenSSL (whose own ``recv_into`` copies
through another buffer); the tests talk to Twisted's transport at the other end, and fail when
either changes.

This module knows TLS and sockets, and nothing of what they carry.
"""

from typing import Any

from OpenSSL import SSL
from OpenSSL._util import ffi, lib
from twisted.internet.interfaces import ITransport
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.shared_buffers import BufferPool
from tunnelcloud.net.sockets import READ_SIZE, tune_socket, write_now
from tunnelcloud.net.tls_server import TurnTakingTLS

_RECORD = 16 * 1024
_CLEAR_SIZE = READ_SIZE + 2 * _RECORD
_CIPHER_SIZE = 320 * 1024


def _clear_buffer() -> tuple[memoryview, Any]:
    buffer = bytearray(_CLEAR_SIZE)
    return memoryview(buffer), ffi.from_buffer("char[]", buffer)


_clear_buffers = BufferPool(_clear_buffer)
_cipher_buffers = BufferPool(lambda: ffi.new("char[]", _CIPHER_SIZE))
_ignored = ffi.new("char**")


class LinkTransport(TurnTakingTLS):
    """TLS between a socket and a protocol.

    The protocol's ``dataReceived`` gets a memoryview that is valid during the call, and ``write``
    takes any buffer, which may be used again when it returns.
    """

    transport: ITransport

    def makeConnection(self, transport: ITransport) -> None:
        """Tune the socket and start the handshake."""
        tune_socket(transport)
        super().makeConnection(transport)

    def give_back(self) -> None:
        """Give back the memory that the handshake and past traffic needed.

        OpenSSL's buffers between TLS and socket stay as large as they ever were: 5 KiB after a
        handshake, and hundreds after bulk data.
        """
        connection = self._tlsConnection
        if self._lostTLSConnection or connection is None:
            return
        used = connection._into_ssl, connection._from_ssl
        if not any(lib.BIO_get_mem_data(one, _ignored) for one in used):
            fresh = [lib.BIO_new(lib.BIO_s_mem()) for _ in used]
            lib.SSL_set_bio(connection._ssl, *fresh)  # frees the others
            connection._into_ssl, connection._from_ssl = fresh

    def _flushSendBIO(self) -> None:
        bio = self._tlsConnection._from_ssl
        cipher = _cipher_buffers.take()
        count = lib.BIO_read(bio, cipher, _CIPHER_SIZE)
        while count > 0:
            write_now(self.transport, memoryview(ffi.buffer(cipher, count)))
            if count < _CIPHER_SIZE:
                break
            count = lib.BIO_read(bio, cipher, _CIPHER_SIZE)
        _cipher_buffers.give_back(cipher)

    def _write(self, data: "bytes | bytearray | memoryview") -> None:
        view = memoryview(data)
        while len(view) and not self._lostTLSConnection:
            ssl = self._tlsConnection._ssl
            sent = lib.SSL_write(ssl, ffi.from_buffer(view), len(view))
            if sent <= 0:
                try:
                    self._tlsConnection._raise_ssl_error(ssl, sent)
                except SSL.WantReadError:
                    self._bufferedWrite(bytes(view))
                except SSL.Error:
                    self._tlsShutdownFinished(Failure())
                return
            view = view[sent:]
            self._flushSendBIO()

    def _flushReceiveBIO(self) -> None:
        buffer = _clear_buffers.take()
        try:
            self._decrypt(*buffer)
        finally:
            _clear_buffers.give_back(buffer)
        if self._tlsConnection is not None:
            self._flushSendBIO()

    def _decrypt(self, clear: memoryview, pointer: Any) -> None:
        connection = self._tlsConnection
        ssl = connection._ssl
        filled = 0
        count = 1
        while count > 0 and not self._lostTLSConnection:
            if _CLEAR_SIZE - filled < _RECORD:
                self._deliver(clear[:filled])
                filled = 0
                continue
            count = lib.SSL_read(ssl, pointer + filled, _CLEAR_SIZE - filled)
            filled += max(0, count)
            # Reading until OpenSSL has no more ends with a call that fails, and an exception.
            # (To ask what is left makes the BIO move it: not in the midst of bulk data.)
            if 0 < count < _RECORD and not (
                lib.BIO_get_mem_data(connection._into_ssl, _ignored) or lib.SSL_pending(ssl)
            ):
                self._deliver(clear[:filled])
                return
        try:
            if count <= 0:
                connection._raise_ssl_error(ssl, count)
        except SSL.WantReadError:
            self._deliver(clear[:filled])
        except SSL.ZeroReturnError:
            self._deliver(clear[:filled])
            self._shutdownTLS()
            self._tlsShutdownFinished(None)
        except SSL.Error:
            failure = Failure()
            self._deliver(clear[:filled])
            self._tlsShutdownFinished(failure)

    def _deliver(self, clear: memoryview) -> None:
        if clear and not self._aborted:
            ProtocolWrapper.dataReceived(self, clear)


class LinkTransportFactory(TLSMemoryBIOFactory):
    """Wraps a factory's protocols in ``LinkTransport``; constructed as its base class is.

    :ivar turns: in which the handshakes of a server are computed; None for a client.
    """

    protocol = LinkTransport
    turns: HandshakeQueue | None = None
