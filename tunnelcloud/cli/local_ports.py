"""Finds ports of this machine that ssh can listen on."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.output import say
from tunnelcloud.domain.ssh_command import FIRST_UNPRIVILEGED_PORT, MAX_PORT, bracketed

_TRIED_PORTS = 100


def check_free(address: str, port: int) -> None:
    """Check that a port which a user chose can be listened on.

    :raise Failed: it can't; the text says why.
    """
    fault = _fault(address, port)
    if fault:
        raise Failed(f"{bracketed(address)}:{port} {_WHY.get(fault, os.strerror(fault))}")


def free_port(
    address: str, wanted: int, taken: set[int], tell: Callable[[str], None] | None = None
) -> int:
    """Give the first local port from ``wanted`` on that can be listened on.

    Where ``wanted`` needs an administrator's rights it is one above 1024, and the user is told.

    :param taken: ports that other tunnels are going to use.
    :param tell: takes the reason why another port is used; None prints it at once.
    :raise Failed: there is none near.
    """
    first = wanted
    if _fault(address, wanted) == errno.EACCES:
        (tell or say)(f"only an administrator may listen on port {wanted}: another is used")
        first = max(wanted, FIRST_UNPRIVILEGED_PORT) + 1
    for port in range(first, min(first + _TRIED_PORTS, MAX_PORT + 1)):
        if port in taken:
            continue
        fault = _fault(address, port)
        if not fault:
            return port
        if fault == errno.EADDRNOTAVAIL:
            check_free(address, port)
    raise Failed(f"no port from {first} on is free at {address}: choose one with --local")


def is_free(address: str, port: int) -> bool:
    """Tell whether a port can be listened on."""
    return not _fault(address, port)


def can_have(address: str) -> bool:
    """Tell whether this machine has an address."""
    return not _fault(address, 0)


_WHY = {
    errno.EACCES: "needs an administrator's rights: choose another --local, above 1024",
    errno.EADDRINUSE: "is in use: choose another --local",
    errno.EADDRNOTAVAIL: "can't be used: this machine doesn't have that address",
}


def _fault(address: str, port: int) -> int:
    """Return the system's error number if nobody can listen there; 0 if somebody can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno or errno.EADDRINUSE
    return 0
