"""Handshakes of TLS in memory."""

import contextlib

from OpenSSL import SSL


def shake_hands(client, server):
    """Let both ends of a connection shake hands, without a socket."""
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))
