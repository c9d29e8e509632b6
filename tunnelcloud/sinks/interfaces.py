"""The interface of an outlet, which takes batches of lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred


class DeliveryFailed(Exception):
    """The lines didn't get there; the text says why, for an administrator."""


class Outlet(Protocol):
    """Takes lines to where they are to go."""

    def send(self, lines: Sequence[bytes]) -> Deferred[None]:
        """Fire once the other side has them; fail, and they are sent again.

        Cancelling gives up.
        """

    def reopen(self) -> None:
        """Close the file or connection; the next lines get a new one."""
