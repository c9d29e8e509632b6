"""Asks over HTTP and HTTPS, by Twisted's client, which takes half a megabyte."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from io import BytesIO
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import defer, error
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, ResponseDone, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.net.bounded_connections import (
    CONNECT_SECONDS,
    OneConnection,
    SaidTooMuch,
    bounded_agent,
)
from tunnelcloud.net.fetching import Fetched, FetchFailed
from tunnelcloud.net.http_failures import WRAPPERS, reasons_of
from tunnelcloud.net.outgoing_tls import HttpsPolicy

_SECONDS = 10
_MAX_BODY = 512 * 1024
_MAX_SAID = _MAX_BODY + 128 * 1024  # with the headers, and what TLS adds

assert CONNECT_SECONDS <= _SECONDS


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (VerificationError, "its certificate is for another name"),
    (
        SSL.Error,
        "its certificate isn't one that this machine trusts (SSL_CERT_FILE adds a CA)",
    ),
    (error.DNSLookupError, "there is no such host"),
    (error.ConnectionRefusedError, "the connection was refused"),
    (
        (error.TimeoutError, error.TCPTimedOutError, defer.CancelledError),
        f"no answer within {_SECONDS} s",
    ),
    (error.NoRouteError, "there is no way to that address"),
    (SaidTooMuch, f"it says more than {_MAX_SAID} bytes"),
    (
        (error.ConnectionLost, error.ConnectionDone, ResponseNeverReceived),
        "it hung up before it had answered",
    ),
)

_FAILURES = (
    error.ConnectError,
    error.ConnectionClosed,
    SaidTooMuch,
    VerificationError,
    SSL.Error,
    OSError,
    ValueError,
)


def _failed(*errors: BaseException) -> FetchFailed:
    """Say why no answer came, for who is to mend it."""
    for kinds, text in _REASONS:
        if any(isinstance(one, kinds) for one in errors):
            return FetchFailed(text, untrusted=kinds is SSL.Error)
    return FetchFailed("the connection failed")


class HttpFetch:
    """Asks over HTTP and HTTPS.

    :param trust: whose certificates are trusted; by default what the machine trusts
        (``SSL_CERT_FILE`` adds a CA).
    """

    def __init__(self, reactor: Any, trust: Any = None) -> None:
        self._policy = HttpsPolicy(trust)
        self._cooperator = Cooperator(scheduler=partial(reactor.callLater, 0))
        self._reactor = reactor

    async def __call__(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None
    ) -> Fetched:
        """Ask; a redirect is an answer like any other."""
        connection = OneConnection(self._reactor)
        asking = defer.Deferred.fromCoroutine(self._ask(connection, method, address, headers, body))
        asking.addTimeout(_SECONDS, self._reactor)
        try:
            return await asking
        except defer.TimeoutError:
            raise FetchFailed(f"no answer within {_SECONDS} s") from None
        except WRAPPERS as failed:
            raise _failed(*reasons_of(failed)) from None
        except _FAILURES as failed:
            raise _failed(failed) from None
        finally:
            # The server may drip, have more to say, or not agree that the connection is over.
            connection.hang_up()

    async def _ask(
        self,
        connection: OneConnection,
        method: str,
        address: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Fetched:
        response = await self._agent(connection).request(
            method.encode("ascii"),
            address.encode("ascii"),
            Headers({name: [value] for name, value in headers.items()}),
            None if body is None else FileBodyProducer(BytesIO(body), self._cooperator),
        )
        gathered = _Body()
        response.deliverBody(gathered)
        said = {
            folded(name.decode("latin-1")): b", ".join(values).decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        return Fetched(response.code, await gathered.whole, said)

    def _agent(self, connection: OneConnection) -> Any:
        return bounded_agent(self._reactor, self._policy, _MAX_SAID, connection)


class _Body(Protocol):
    """Gathers an answer's body.

    :ivar whole: fires with the body, or fails as soon as it is too long.
    """

    def __init__(self) -> None:
        self.whole: defer.Deferred[bytes] = defer.Deferred()
        self._pieces: list[bytes] = []
        self._length = 0

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece."""
        if self.whole.called:
            return
        self._pieces.append(data)
        self._length += len(data)
        if self._length > _MAX_BODY:
            self.whole.errback(FetchFailed(f"the answer is bigger than {_MAX_BODY} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give the body, if it is whole."""
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(reason)
