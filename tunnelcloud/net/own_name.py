"""This machine's own name."""

import socket


def own_name() -> str:
    """Return the full name, or the plain one if no name service can be asked for it.

    This waits for a name service that doesn't answer.
    """
    try:
        return socket.getfqdn()
    except UnicodeError:  # Linux lets a name have 64 characters, and DNS at most 63.
        return socket.gethostname()
