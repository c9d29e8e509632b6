"""How dialling a target can fail: codes on the wire, and texts for users.

A connector sends the code alone, as the description of CHANNEL_OPEN_FAILURE, so that no connector
can make a pod show a text of its own.
"""

import enum
from collections.abc import Mapping
from typing import Self

from tunnelcloud.domain.ssh_command import PublicAddress

_ADMINISTRATIVELY_PROHIBITED = 1
_CONNECT_FAILED = 2
_RESOURCE_SHORTAGE = 4


class DialFailure(enum.StrEnum):
    """Why a target could not be reached; the values are the codes on the wire."""

    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    UNREACHABLE = "unreachable"
    NAME_NOT_FOUND = "name-not-found"
    NAME_LOOKUP_FAILED = "name-lookup-failed"
    DENIED = "denied"
    LIMIT = "limit"
    DRAINING = "draining"
    NO_CONNECTOR = "no-connector"
    LINK_LOST = "link-lost"
    FAILED = "failed"

    @classmethod
    def read(cls, code: str) -> Self:
        """Return the failure for a connector's code; an unknown code is a plain failure."""
        try:
            return cls(code)
        except ValueError:
            return cls("failed")

    @property
    def reason_code(self) -> int:
        """The reason code of CHANNEL_OPEN_FAILURE (RFC 4254, 5.1)."""
        return _REASON_CODES.get(self, _CONNECT_FAILED)

    @property
    def text(self) -> str:
        """The failure in words, for people at either end."""
        return _TEXTS[self]


_REASON_CODES: Mapping[DialFailure, int] = {
    DialFailure.DENIED: _ADMINISTRATIVELY_PROHIBITED,
    DialFailure.LIMIT: _RESOURCE_SHORTAGE,
    DialFailure.DRAINING: _RESOURCE_SHORTAGE,
}

_TEXTS: Mapping[DialFailure, str] = {
    DialFailure.REFUSED: "refused",
    DialFailure.TIMED_OUT: "timed out",
    DialFailure.UNREACHABLE: "unreachable",
    DialFailure.NAME_NOT_FOUND: "no such name",
    DialFailure.NAME_LOOKUP_FAILED: "name look-up failed",
    DialFailure.DENIED: "not allowed by the allow and deny lists in connector.toml",
    DialFailure.LIMIT: "the connector has too many connections",
    DialFailure.DRAINING: "the connector is stopping",
    DialFailure.NO_CONNECTOR: "no connector is attached",
    DialFailure.LINK_LOST: "the connector was lost meanwhile; try again",
    DialFailure.FAILED: "failed",
}


class DialError(Exception):
    """A target could not be reached."""

    def __init__(self, failure: DialFailure) -> None:
        super().__init__(failure)
        self.failure = failure


def failure_text(failure: DialFailure, host: str, port: int, site_name: str) -> str:
    """Say to a user why a target could not be reached."""
    if failure is DialFailure.NO_CONNECTOR:
        return f"site {site_name}: {failure.text}"
    return f"connect to {PublicAddress(host, port)}: {failure.text}"
