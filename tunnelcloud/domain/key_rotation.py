"""What a key that pods share is used for while another one takes its place."""

from __future__ import annotations

from enum import StrEnum


class KeyUse(StrEnum):
    """What a host key, or a CA, is used for.

    :ivar CURRENT: pods prove themselves with it.
    :ivar NEW: others may learn it; it becomes the current one.
    :ivar OLD: it was the current one, and is still told to those who know it.
    """

    CURRENT = "current"
    NEW = "new"
    OLD = "old"


AUTHORITY = "authority"
"""The name under which the CA is kept."""

NEW_AUTHORITY = "authority new"
"""The name under which the CA is kept that takes its place."""

HOST_KEYS = "host key "
"""What the names begin with under which host keys are kept."""


def host_key_name(algorithm: str, use: KeyUse) -> str:
    """Give the name under which the host key of an algorithm is kept."""
    return f"{HOST_KEYS}{algorithm}" + ("" if use is KeyUse.CURRENT else f" {use}")
