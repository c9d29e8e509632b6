"""Requests to servers elsewhere: bounded in time and size, and never led anywhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from attrs import field, frozen


@frozen
class Fetched:
    """An answer.

    :ivar headers: by their names in small letters.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(factory=dict)


class FetchFailed(Exception):
    """No whole answer came; the text says why, for an administrator.

    :ivar untrusted: whether the server's certificate is by nobody who is trusted.
    """

    def __init__(self, line: str, untrusted: bool = False) -> None:
        super().__init__(line)
        self.untrusted = untrusted


Fetch = Callable[[str, str, Mapping[str, str], bytes | None], Awaitable[Fetched]]
"""Asks by method, address, headers and body; raises ``FetchFailed``."""


async def no_way_out(*_: object) -> Fetched:
    """Stand for the network where there is none."""
    raise FetchFailed("this pod asks nobody")
