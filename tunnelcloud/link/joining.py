"""The protocol of joining: one request, one answer, over TLS with the ALPN of joining.

A uint32 length comes before each; they have 16 KiB at most.  A connector asks with its join token's
secret and a signing request, or with a certificate that has ended in place of the secret; the pod
answers with a new certificate, or with the reason of a refusal.
"""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.domain.addresses import canonical_address
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused
from tunnelcloud.link.join_messages import (
    BadMessage,
    JoinAnswer,
    JoinDenied,
    JoinGranted,
    Request,
    read_answer,
    read_request,
)
from tunnelcloud.link.tls import pinned_authority

MAX_MESSAGE = 16 * 1024


class _JoinProtocol(Int32StringReceiver):
    MAX_LENGTH = MAX_MESSAGE
    transport: TLSMemoryBIOProtocol

    def dataReceived(self, data: "bytes | memoryview") -> None:
        """Take what arrived; a link's transport may hand out a view of its buffer."""
        super().dataReceived(bytes(data))  # type: ignore[no-untyped-call]

    def send(self, message: Request | JoinAnswer) -> None:
        """Send one message."""
        self.sendString(message.encode())  # type: ignore[no-untyped-call]


def _unheard(answer: JoinAnswer) -> None:
    """Ignore the answer: only the connector hears it."""


class JoinServer(_JoinProtocol):
    """The pod's end: passes the request to ``answer`` and sends its result.

    :param answer: may take its time; the owner limits how long the connection lasts.
    :ivar answered: hears of the answer before it is sent.
    """

    log: ClassVar[Logger] = Logger()

    def __init__(self, answer: "Callable[[Request], Deferred[JoinAnswer]]") -> None:
        self._answer = answer
        self._asked = False
        self.answered: Callable[[JoinAnswer], None] = _unheard

    def stringReceived(self, string: bytes) -> None:
        """Take the one request there is."""
        if self._asked:
            self.transport.abortConnection()
            return
        self._asked = True
        try:
            request = read_request(string)
        except BadMessage:
            self._reply(JoinDenied(problem=JoinProblem.BAD_REQUEST))
            return
        source = canonical_address(getattr(self.transport.getPeer(), "host", ""))
        self._answer(evolve(request, source=source)).addErrback(self._failed).addCallback(
            self._reply
        )

    def _failed(self, failure: Failure) -> JoinAnswer:
        self.log.failure("a connector could not be let join", failure)
        return JoinDenied(problem=JoinProblem.UNAVAILABLE)

    def _reply(self, answer: JoinAnswer) -> None:
        self.answered(answer)
        if self.transport.connected:
            self.send(answer)
            self.transport.loseConnection()


@implementer(IHandshakeListener)
class JoinClient(_JoinProtocol):
    """The connector's end: checks the pod, asks, and fires ``answered`` with what it got.

    :param ca_pin: the SHA-256 digest of the CA's certificate.

    :ivar answered: fires with the granted answer and the CA's certificate (PEM), or fails with
        ``JoinRefused`` or with why the connection was lost.
    """

    def __init__(self, ca_pin: bytes, request: Request, now: Callable[[], datetime]) -> None:
        self.answered: Deferred[tuple[JoinGranted, bytes]] = Deferred(lambda _: self._give_up())
        self._ca_pin = ca_pin
        self._request = request
        self._now = now
        self._authority: x509.Certificate | None = None
        self._done = False

    def handshakeCompleted(self) -> None:
        """Ask, but only a pod of the CA that is known: the request may hold a secret."""
        try:
            self._authority = pinned_authority(self.transport, self._ca_pin, self._now())
        except JoinRefused:
            self._fail(Failure())
        else:
            self.send(self._request)

    def stringReceived(self, string: bytes) -> None:
        """Take the answer."""
        if self._done or self._authority is None:
            return
        try:
            answer = read_answer(string)
            if isinstance(answer, JoinDenied):
                raise JoinRefused(answer.problem)
        except (BadMessage, JoinRefused):
            self._fail(Failure())
        else:
            self._done = True
            self.transport.loseConnection()
            self.answered.callback((answer, self._authority.public_bytes(Encoding.PEM)))

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Fail, unless the answer has come."""
        self._fail(reason)

    def _fail(self, reason: Failure) -> None:
        if not self._done:
            self._give_up()
            self.answered.errback(reason)

    def _give_up(self) -> None:
        self._done = True
        if self.transport is not None:
            self.transport.abortConnection()
