"""The audit to a web address: signed batches of JSON lines, sent until an answer confirms them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from io import BytesIO
from urllib.parse import urlsplit

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from tunnelcloud.net.http_failures import reasons_of, was_cancelled
from tunnelcloud.sinks.interfaces import DeliveryFailed

SIGNATURE = "X-TunnelCloud-Signature"

_MOST_ANSWER = 64 * 1024


def signature(secret: bytes, seconds: int, body: bytes) -> str:
    """Sign a body and the time at which it was sent, so that nobody can change it or send it again.

    :param seconds: the time since 1970.
    """
    mac = hmac.new(secret, b"%d." % seconds + body, hashlib.sha256)
    return f"t={seconds},v1={mac.hexdigest()}"


def _without_secrets(url: str) -> str:
    """Return an address's server alone: the rest may be a secret that lets anybody send there."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class _Ignored(Protocol):
    """Ignores an answer's body, and ends the connection when the body is too long."""

    _size = 0

    def __init__(self, hang_up: Callable[[], None]) -> None:
        self._hang_up = hang_up

    def dataReceived(self, data: bytes) -> None:
        """Count the bytes, and ignore them."""
        self._size += len(data)
        if self._size > _MOST_ANSWER:
            self._hang_up()


@define(eq=False)
class WebhookOutlet:
    """Posts lines.

    :ivar now: gives the seconds since 1970.
    :ivar hang_up: ends the agent's connection, if there is one.
    """

    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    agent: IAgent
    now: Callable[[], float]
    hang_up: Callable[[], None]

    def send(self, lines: Sequence[bytes]) -> Deferred[None]:
        """Post all lines; any answer but 2xx is a failure."""
        body = b"".join(line + b"\n" for line in lines)
        headers = {
            "Content-Type": ["application/x-ndjson"],
            "User-Agent": ["TunnelCloud"],
            SIGNATURE: [signature(self.secret, int(self.now()), body)],
        }
        asking: Deferred[IResponse] = self.agent.request(
            b"POST", self.url.encode("ascii"), Headers(headers), FileBodyProducer(BytesIO(body))
        )
        return asking.addCallbacks(self._answered, self._not_answered)

    def reopen(self) -> None:
        """End the connection; each batch has one of its own."""
        self.hang_up()

    def _answered(self, response: IResponse) -> None:
        response.deliverBody(_Ignored(self.hang_up))
        if not 200 <= response.code < 300:
            raise DeliveryFailed(f"{_without_secrets(self.url)} answered {response.code}")

    def _not_answered(self, failure: Failure) -> Failure:
        error = failure.value
        assert error is not None
        if was_cancelled(error):
            return Failure(CancelledError())
        *_, why = reasons_of(error)
        text = f"{_without_secrets(self.url)}: {Failure(why).getErrorMessage()}"
        return Failure(DeliveryFailed(text))
