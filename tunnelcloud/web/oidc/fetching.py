"""Requests to a provider: bounded in time and size, and never led elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from attrs import frozen
from OpenSSL import SSL
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet import defer, error
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from tunnelcloud.web.oidc.faults import ProviderFault

_SECONDS = 10
_MAX_BODY = 512 * 1024


@frozen
class Fetched:
    """An answer."""

    status: int
    body: bytes


class FetchFailed(Exception):
    """No whole answer came; the text says why, for an administrator."""


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (VerificationError, "its certificate is for another name"),
    (
        SSL.Error,
        "its certificate isn't one that this machine trusts (SSL_CERT_FILE adds a CA)",
    ),
    (error.DNSLookupError, "there is no such host"),
    (error.ConnectionRefusedError, "the connection was refused"),
    ((error.TimeoutError, error.TCPTimedOutError), f"no answer within {_SECONDS} s"),
    (error.NoRouteError, "there is no way to that address"),
    (
        (error.ConnectionLost, error.ConnectionDone, ResponseNeverReceived),
        "it hung up before it had answered",
    ),
)

_FAILURES = (
    error.ConnectError,
    error.ConnectionClosed,
    VerificationError,
    SSL.Error,
    OSError,
    ValueError,
)

Fetch = Callable[[str, str, Mapping[str, str], bytes | None], Awaitable[Fetched]]
"""Asks by method, address, headers and body; raises ``FetchFailed``."""


async def ask(
    fetch: Fetch, method: str, address: str, headers: Mapping[str, str], body: bytes | None = None
) -> Fetched:
    """Ask a provider.

    :raise ProviderFault: it can't be reached.
    """
    try:
        return await fetch(method, address, headers, body)
    except FetchFailed as error:
        raise ProviderFault(
            "unreachable",
            f"The provider can't be reached at {address}: {error}.",
            "Try again in a while. If it stays so, tell an administrator of TunnelCloud.",
        ) from None


async def no_way_out(*_: object) -> Fetched:
    """Stand for the network where there is none."""
    raise FetchFailed("this pod asks nobody")


def _reason(*errors: BaseException) -> str:
    """Say why no answer came, for who is to mend it."""
    for kinds, text in _REASONS:
        if any(isinstance(one, kinds) for one in errors):
            return text
    return "the connection failed"


class HttpFetch:
    """Asks over HTTP and HTTPS, trusting what the machine trusts (``SSL_CERT_FILE`` adds a CA)."""

    def __init__(self, reactor: Any) -> None:
        agent = Agent(reactor, BrowserLikePolicyForHTTPS(), connectTimeout=_SECONDS)
        self._client = HTTPClient(agent)
        self._reactor = reactor

    async def __call__(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None
    ) -> Fetched:
        """Ask; a redirect is an answer like any other."""
        asking = defer.Deferred.fromCoroutine(self._ask(method, address, headers, body))
        asking.addTimeout(_SECONDS, self._reactor)
        try:
            return await asking
        except defer.TimeoutError:
            raise FetchFailed(f"no answer within {_SECONDS} s") from None
        except ResponseFailed as failed:
            reasons = [reason.value for reason in failed.reasons]
            raise FetchFailed(_reason(*reasons)) from None
        except _FAILURES as failed:
            raise FetchFailed(_reason(failed)) from None

    async def _ask(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None
    ) -> Fetched:
        response = await self._client.request(
            method,
            address,
            headers=Headers({name: [value] for name, value in headers.items()}),
            data=body,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        gathered = _Body()
        response.deliverBody(gathered)
        return Fetched(response.code, await gathered.whole)


class _Body(Protocol):
    """Gathers an answer's body.  Its connection goes when it is too long, or nobody waits for it.

    :ivar whole: fires with the body.
    """

    def __init__(self) -> None:
        self.whole: defer.Deferred[bytes] = defer.Deferred(lambda _: self._hang_up())
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
            self._hang_up()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give the body, if it is whole."""
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(reason)

    def _hang_up(self) -> None:
        if self.transport is not None:
            cast(ITCPTransport, self.transport).abortConnection()
