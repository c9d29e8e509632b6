"""How much of a handshake a peer may have with us on one connection of TLS.

TLS 1.3 lets a peer ask for new keys as often as it likes, with 27 bytes each time.  OpenSSL takes
all of them that have come in one call, and each costs it tens of microseconds.  So a client without
any credential could keep the reactor's thread for half a second with half a megabyte.
"""

from __future__ import annotations

from OpenSSL import SSL

MOST_STEPS = 400
"""A handshake has 20 to 40 steps, and a change of keys three or four.  Our own connectors and
browsers ask for no new keys."""


def bounded(connection: SSL.Connection) -> SSL.Connection:
    """End a connection that goes on shaking hands, as if its peer had ended it.

    :return: the connection.
    """
    steps = 0

    def count(one: SSL.Connection, _where: int, _code: int) -> None:
        nonlocal steps
        steps += 1
        if steps > MOST_STEPS:
            # OpenSSL reads nothing more then, within the very call that it is in.
            one.set_shutdown(SSL.RECEIVED_SHUTDOWN)

    connection.set_info_callback(count)
    return connection
