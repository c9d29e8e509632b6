"""What is wrong with the head of a request, whoever asks and whatever for.

Twisted refuses most of what breaks RFC 9112.  What it takes all the same is judged here.
"""

from __future__ import annotations

import re

from attrs import frozen
from twisted.web.http import Request

from tunnelcloud.web.sizes import MAX_PATH, MAX_SEGMENTS

_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")
"""A host and perhaps a port (RFC 3986, 3.2.2 and 3.2.3)."""


@frozen
class Fault:
    """Why a request is answered with 400.

    :ivar text: what is wrong, for whoever wrote the client.
    :ivar is_about_length: nobody can tell where the next request begins, so there is none.
    """

    text: str
    is_about_length: bool = False


def fault_of(request: Request) -> Fault | None:
    """Find what is wrong with a request; behind this, every header is text."""
    name = _unreadable_header(request)
    if name is not None:
        return Fault(f"the header {name} is not UTF-8")
    return _length_fault(request) or _host_fault(request) or _path_fault(request)


def _path_fault(request: Request) -> Fault | None:
    """Refuse what can't be an address of ours: to take it apart costs more than its length.

    Twisted takes any first character for the slash, and a proxy that lets only some paths through
    takes that address for another one.
    """
    if not request.path.startswith(b"/"):
        return Fault("the address that is asked for is no path, which begins with a /")
    if len(request.path) > MAX_PATH:
        return Fault(f"the path is longer than {MAX_PATH} bytes")
    if request.path.count(b"/") > MAX_SEGMENTS:
        return Fault(f"the path has more than {MAX_SEGMENTS} parts")
    return None


def _unreadable_header(request: Request) -> str | None:
    for name, values in request.requestHeaders.getAllRawHeaders():
        for value in values:
            try:
                value.decode("utf-8")
            except UnicodeDecodeError:
                return name.decode("ascii", "replace")
    return None


def _length_fault(request: Request) -> Fault | None:
    """Judge how the end of the body is told (RFC 9112, 6.1 and 6.3)."""
    codings = request.requestHeaders.getRawHeaders(b"transfer-encoding", [])
    if not codings:
        return None
    if [coding.lower() for coding in codings] != [b"chunked"]:
        return Fault("the only Transfer-Encoding that is taken is chunked", is_about_length=True)
    if request.clientproto != b"HTTP/1.1":
        return Fault("HTTP/1.0 has no Transfer-Encoding", is_about_length=True)
    return None


def _host_fault(request: Request) -> Fault | None:
    """Judge the header Host (RFC 9112, 3.2)."""
    hosts = request.requestHeaders.getRawHeaders(b"host", [])
    if len(hosts) > 1:
        return Fault("there is more than one header Host")
    if not hosts:
        return Fault("there is no header Host") if request.clientproto == b"HTTP/1.1" else None
    return None if _HOST.fullmatch(hosts[0]) else Fault("the header Host is no host name")
