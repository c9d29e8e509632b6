"""Answers clients that speak plain HTTP: with the portal's address, or an ACME challenge."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tunnelcloud.pod.acme.challenges import PATH, Answers

_LONGEST_LINE = 2048
_LINE_SECONDS = 10.0
_ASKED = re.compile(rb"GET " + PATH.encode("ascii") + rb"([A-Za-z0-9_-]{1,256})(?:\?\S*)? HTTP/1\.")


def plain_http(portal: str, answers: Answers | None, clock: IReactorTime) -> Factory:
    """Make a factory for one client.

    :param portal: the portal's address.
    :param answers: those to an authority's challenges.
    """
    factory: Factory = Factory.forProtocol(lambda: _PlainHttp(portal, answers, clock))
    factory.noisy = False
    return factory


class _PlainHttp(Protocol):
    """Answers every request alike, except those of an ACME authority."""

    transport: Any
    _timer: IDelayedCall | None = None

    def __init__(self, portal: str, answers: Answers | None, clock: IReactorTime) -> None:
        self._portal = portal
        self._answers = answers
        self._clock = clock
        self._received = b""

    def connectionMade(self) -> None:
        if self._answers:
            self._timer = self._clock.callLater(_LINE_SECONDS, self._redirect)
        else:
            self._redirect()

    def dataReceived(self, data: bytes) -> None:
        if self._timer is None:
            return  # it was answered
        self._received += data
        if b"\n" in self._received or len(self._received) > _LONGEST_LINE:
            asked = _ASKED.match(self._received)
            answer = self._answers and asked and self._answers.of(asked[1].decode("ascii"))
            if answer:
                self._end("200 OK", "Content-Type: application/octet-stream\r\n", answer)
            else:
                self._redirect()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()

    def _redirect(self) -> None:
        self._end("308 Permanent Redirect", f"Location: {self._portal}/\r\n")

    def _end(self, status: str, headers: str, body: str = "") -> None:
        self._stop_waiting()
        answer = (
            f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n{body}"
        )
        self.transport.write(answer.encode("ascii"))
        self.transport.loseConnection()

    def _stop_waiting(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
