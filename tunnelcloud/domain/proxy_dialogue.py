"""What is said to a proxy before it carries a connection: HTTP's CONNECT, or SOCKS 5.

Bytes in, bytes out; knows no sockets.  Whatever a proxy answers is bounded, and becomes at most one
line for people, which names the proxy, never a password.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import Protocol

from tunnelcloud.domain.proxy_choice import Proxy
from tunnelcloud.domain.ssh_command import bracketed

MAX_ANSWER = 16 * 1024
"""A proxy's answer may be so long, in bytes."""

ANSWER_SECONDS = 20.0
"""A proxy has so long to answer."""

_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b[ ]*([^\r\n]*)")
_SOCKS_TEXTS = {
    1: "says that something failed",
    2: "doesn't allow it: ask for an exception",
    3: "can't reach the network",
    4: "can't reach the host, or doesn't find its name",
    5: "was refused by the host",
    6: "gave up waiting for the host",
    7: "knows no connections by SOCKS",
    8: "knows no addresses of this kind",
}


class ProxyRefused(Exception):
    """A proxy doesn't carry a connection; the message is one line that says what to do."""


class Dialogue(Protocol):
    """One talk with a proxy."""

    @property
    def open(self) -> bool:
        """Whether the proxy carries the connection from here on."""

    @property
    def rest(self) -> bytes:
        """What came behind the proxy's answer: the first bytes of the other end."""

    def begin(self) -> bytes:
        """Give what is said first."""

    def feed(self, data: bytes) -> bytes:
        """Take what the proxy says, and give the answer.

        :raise ProxyRefused: it won't carry the connection.
        """


def dialogue_with(proxy: Proxy, host: str, port: int) -> Dialogue:
    """Begin a talk with a proxy.

    :param host: where it shall connect to.
    """
    kind = _Socks if proxy.scheme == "socks5h" else _Connect
    return kind(proxy, host, port)


def no_answer(proxy: Proxy, host: str, port: int) -> str:
    """Say that a proxy is silent."""
    destination = f"{bracketed(host)}:{port}"
    return (
        f"the proxy {proxy} didn't answer within {ANSWER_SECONDS:.0f} s when asked for "
        f"{destination}: it hangs, or drops what it doesn't allow"
    )


def hung_up(proxy: Proxy, host: str, port: int) -> str:
    """Say that a proxy closed the connection in the midst of the talk."""
    return f"the proxy {proxy} hung up when asked for {bracketed(host)}:{port}"


class _Talk:
    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self.open = False
        self.rest = b""
        self._proxy = proxy
        self._host = host
        self._port = port
        self._received = b""

    @property
    def _destination(self) -> str:
        return f"{bracketed(self._host)}:{self._port}"

    def _refused(self, why: str) -> ProxyRefused:
        return ProxyRefused(f"the proxy {self._proxy} {why}")

    def feed(self, data: bytes) -> bytes:
        """See :meth:`Dialogue.feed`."""
        self._received += data
        answer = self._step()
        if not self.open and len(self._received) > MAX_ANSWER:
            raise self._refused("answers without an end: it is no proxy")
        return answer

    def _step(self) -> bytes:
        raise NotImplementedError


class _Connect(_Talk):
    """CONNECT (RFC 9110, 9.3.6), with Basic authentication."""

    def begin(self) -> bytes:
        """See :meth:`Dialogue.begin`."""
        lines = [f"CONNECT {self._destination} HTTP/1.1", f"Host: {self._destination}"]
        if self._proxy.user:
            secret = f"{self._proxy.user}:{self._proxy.password}".encode()
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(secret).decode('ascii')}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")

    def _step(self) -> bytes:
        head, end, rest = self._received.partition(_HEAD_END)
        if not end:
            if not b"HTTP/1.".startswith(head[:7]):
                raise self._refused("doesn't speak HTTP: check its address and kind")
            return b""
        status = _STATUS.match(head)
        if status is None:
            raise self._refused("doesn't speak HTTP: check its address and kind")
        if not status[1].startswith(b"2"):
            raise self._refused(self._why(int(status[1]), status[2], head))
        self.open = True
        self.rest = rest
        return b""

    def _why(self, status: int, words: bytes, head: bytes) -> str:
        if status == 407:
            schemes = re.findall(rb"(?im)^proxy-authenticate:[ \t]*([a-z0-9-]+)", head)
            if schemes and b"basic" not in {one.lower() for one in schemes}:
                kinds = " or ".join(dict.fromkeys(one.decode("ascii") for one in schemes))
                return f"wants {kinds} (407), and Basic alone is known here: ask for an exception"
            if self._proxy.user:
                return "refuses the user name or the password (407)"
            return "wants a user name and a password (407): http://user:password@…"
        if status == 403:
            why = f"refuses {self._destination} (403)"
            if self._port == 443:
                return f"{why}: ask for an exception"
            return (
                f"{why}: CONNECT to port {self._port} is not allowed: use 443, see One port in "
                "the README"
            )
        text = re.sub(r"[^\x20-\x7e]", "?", words.decode("latin-1"))[:80]
        return f"answers {status} {text} when asked for {self._destination}".replace("  ", " ")


class _Socks(_Talk):
    """SOCKS 5 (RFC 1928) with a user name and a password (RFC 1929); the proxy looks names up."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        super().__init__(proxy, host, port)
        self._state = self._method_chosen

    def begin(self) -> bytes:
        """See :meth:`Dialogue.begin`."""
        return b"\x05\x02\x00\x02" if self._proxy.user else b"\x05\x01\x00"

    def _step(self) -> bytes:
        return self._state()

    def _take(self, count: int) -> bytes:
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def _method_chosen(self) -> bytes:
        if len(self._received) < 2:
            return b""
        version, method = self._take(2)
        if version != 5:
            raise self._refused("doesn't speak SOCKS 5: check its address and kind")
        if method == 2 and self._proxy.user:
            self._state = self._authenticated
            user, password = (
                text.encode()[:255] for text in (self._proxy.user, self._proxy.password)
            )
            return b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password
        if method == 0:
            return self._ask()
        if self._proxy.user:
            raise self._refused("takes no user name and password: ask how one signs in to it")
        raise self._refused("wants a user name and a password: socks5h://user:password@…")

    def _authenticated(self) -> bytes:
        if len(self._received) < 2:
            return b""
        if self._take(2)[1]:
            raise self._refused("refuses the user name or the password")
        return self._ask()

    def _ask(self) -> bytes:
        self._state = self._connected
        return b"\x05\x01\x00" + _socks_address(self._host) + self._port.to_bytes(2, "big")

    def _connected(self) -> bytes:
        received = self._received
        if len(received) >= 2 and received[1]:
            text = _SOCKS_TEXTS.get(received[1], f"answers {received[1]}")
            raise self._refused(f"{text}, when asked for {self._destination}")
        if len(received) < 5:
            return b""
        length = {1: 4, 4: 16, 3: 1 + received[4]}.get(received[3])
        if length is None:
            raise self._refused("doesn't speak SOCKS 5: check its address and kind")
        if len(received) < 6 + length:
            return b""
        self.rest = received[6 + length :]
        self.open = True
        return b""


def _socks_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return b"\x03" + bytes([len(name)]) + name
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed
