"""The audit to a web address: signed batches of JSON lines, until an answer says they came."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from io import BytesIO

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from tunnelcloud.sinks.interfaces import DeliveryFailed

SIGNATURE = "X-TunnelCloud-Signature"

_MOST_ANSWER = 64 * 1024


def signature(secret: bytes, seconds: int, body: bytes) -> str:
    """Sign a body and the time at which it was sent, so that neither can be changed or sent again.

    :param seconds: the time since 1970.
    """
    mac = hmac.new(secret, b"%d." % seconds + body, hashlib.sha256)
    return f"t={seconds},v1={mac.hexdigest()}"


class _Ignored(Protocol):
    """Reads an answer's body, and hangs up on one that goes on and on."""

    _size = 0

    def dataReceived(self, data: bytes) -> None:
        """Count, and take no notice otherwise."""
        self._size += len(data)
        if self._size > _MOST_ANSWER and self.transport is not None:
            self.transport.loseConnection()


@define(eq=False)
class WebhookOutlet:
    """Posts lines.

    :ivar now: gives the seconds since 1970.
    """

    url: str
    secret: bytes
    agent: IAgent
    now: Callable[[], float]

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
        """Do nothing: each batch is a request of its own."""

    def _answered(self, response: IResponse) -> None:
        response.deliverBody(_Ignored())
        if not 200 <= response.code < 300:
            raise DeliveryFailed(f"{self.url} answered {response.code}")

    def _not_answered(self, failure: Failure) -> Failure:
        value = failure.value
        why = value.reasons[0] if isinstance(value, ResponseFailed) else failure
        return Failure(DeliveryFailed(f"{self.url}: {why.getErrorMessage()}"))
