"""What is said when a connector joins or comes late to renew: one request, one answer, in JSON.

Fields that a newer peer adds are ignored.  The messages are read without a library of models, which
would take a tenth of a connector's memory.  Knows bytes and no connection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from tunnelcloud.domain.join_tokens import SECRET_LENGTH, JoinProblem, read_pod_address
from tunnelcloud.net.foreign_json import read_foreign_json

_SECRET = re.compile(rf"[0-9a-f]{{{2 * SECRET_LENGTH}}}")
_LONGEST_REQUEST = 4096
_LONGEST_VERSION = 64


class BadMessage(ValueError):
    """A message that can't be read; the text names the field and nothing of its value."""


@frozen
class JoinRequest:
    """What a connector asks for."""

    secret: str = field(repr=False)
    """The join token's secret, in hexadecimal."""
    certificate_request: str
    """PKCS #10, PEM."""
    version: str = ""
    """The connector's software version."""
    source: str = ""
    """The address that it came from, as the pod sees it; not part of the message."""

    def encode(self) -> bytes:
        """Give the bytes that :func:`read_request` reads."""
        return _encode(
            {
                "secret": self.secret,
                "certificate_request": self.certificate_request,
                "version": self.version,
            }
        )


@frozen
class RenewalRequest:
    """The request of a connector whose certificate has ended: another one for the same key."""

    certificate_request: str
    """PKCS #10, PEM."""
    certificate: str
    """The one that has ended, PEM."""
    source: str = ""
    """As of ``JoinRequest``."""

    def encode(self) -> bytes:
        """Give the bytes that :func:`read_request` reads."""
        return _encode(
            {
                "certificate_request": self.certificate_request,
                "certificate": self.certificate,
            }
        )


Request = JoinRequest | RenewalRequest


@frozen
class JoinGranted:
    """The pod's answer when it grants the request."""

    connector_id: str
    certificate: str
    """The connector's certificate, PEM."""
    pods: tuple[str, ...] = ()
    """``host:port`` of the pods that are known."""

    def encode(self) -> bytes:
        """Give the bytes that :func:`read_answer` reads."""
        fields = {
            "outcome": "granted",
            "connector_id": self.connector_id,
            "certificate": self.certificate,
            "pods": list(self.pods),
        }
        return _encode({"answer": fields})


@frozen
class JoinDenied:
    """The pod's answer when it refuses the request."""

    problem: JoinProblem

    def encode(self) -> bytes:
        """Give the bytes that :func:`read_answer` reads."""
        return _encode({"answer": {"outcome": "denied", "problem": self.problem.value}})


JoinAnswer = JoinGranted | JoinDenied


def read_request(data: bytes) -> Request:
    """Read what a connector asks for.

    :raise BadMessage: it isn't a request.
    """
    document = _decode(data)
    if "certificate" in document:
        return RenewalRequest(
            _text(document, "certificate_request", _LONGEST_REQUEST),
            _text(document, "certificate", _LONGEST_REQUEST),
        )
    secret = _text(document, "secret", 2 * SECRET_LENGTH)
    if _SECRET.fullmatch(secret) is None:
        raise BadMessage("secret")
    return JoinRequest(
        secret,
        _text(document, "certificate_request", _LONGEST_REQUEST),
        _text({"version": "", **document}, "version", _LONGEST_VERSION),
    )


def read_answer(data: bytes) -> JoinAnswer:
    """Read what a pod answers.

    :raise BadMessage: it isn't an answer.
    """
    answer = _decode(data).get("answer")
    if not isinstance(answer, dict):
        raise BadMessage("answer")
    if answer.get("outcome") == "denied":
        try:
            return JoinDenied(JoinProblem(_text(answer, "problem")))
        except ValueError:
            raise BadMessage("problem") from None
    if answer.get("outcome") != "granted":
        raise BadMessage("outcome")
    return JoinGranted(
        _text(answer, "connector_id"), _text(answer, "certificate"), _pods(answer.get("pods", []))
    )


def _pods(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadMessage("pods")
    try:
        for one in value:
            read_pod_address(one)
    except ValueError:
        raise BadMessage("pods") from None
    return tuple(value)


def _text(document: Mapping[str, Any], name: str, longest: int | None = None) -> str:
    value = document.get(name)
    if not isinstance(value, str) or (longest is not None and len(value) > longest):
        raise BadMessage(name)
    return value


def _decode(data: bytes) -> dict[str, Any]:
    try:
        document = read_foreign_json(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise BadMessage("a JSON object")
    return document


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("utf-8")
