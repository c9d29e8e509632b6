"""How dialling a target can fail: codes on the wire, and the words a user reads.

A connector sends the code alone, as the description of CHANNEL_OPEN_FAILURE, so that no connector
can put words into the mouth of a pod.
"""

import enum

from tunnelcloud.domain.commands import PublicAddress

ADMINISTRATIVELY_PROHIBITED = 1
CONNECT_FAILED = 2
RESOURCE_SHORTAGE = 4


class DialFailure(enum.Enum):
    """Why a target could not be reached: wire code, reason code (RFC 4254, 5.1), user text."""

    REFUSED = ("refused", CONNECT_FAILED, "refused")
    TIMED_OUT = ("timed-out", CONNECT_FAILED, "timed out")
    UNREACHABLE = ("unreachable", CONNECT_FAILED, "unreachable")
    NAME_NOT_FOUND = ("name-not-found", CONNECT_FAILED, "no such name")
    NAME_LOOKUP_FAILED = ("name-lookup-failed", CONNECT_FAILED, "name look-up failed")
    DENIED = (
        "denied",
        ADMINISTRATIVELY_PROHIBITED,
        "not allowed by the connector's allow and deny lists",
    )
    LIMIT = ("limit", RESOURCE_SHORTAGE, "the connector has too many connections")
    DRAINING = ("draining", RESOURCE_SHORTAGE, "the connector is stopping")
    FAILED = ("failed", CONNECT_FAILED, "failed")

    def __init__(self, code: str, reason_code: int, text: str) -> None:
        self.code = code
        self.reason_code = reason_code
        self.text = text


_BY_CODE = {failure.code: failure for failure in DialFailure}


class DialError(Exception):
    """A target could not be reached."""

    def __init__(self, failure: DialFailure) -> None:
        super().__init__(failure.text)
        self.failure = failure


def read_dial_failure(code: str) -> DialFailure:
    """Give the failure that a connector's code stands for; what isn't known has just failed."""
    return _BY_CODE.get(code, DialFailure.FAILED)


def dial_failure_text(host: str, port: int, failure: DialFailure) -> str:
    """Say to a user why a target could not be reached."""
    return f"connect to {PublicAddress(host, port)}: {failure.text}"
