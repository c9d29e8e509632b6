"""Faults of a provider, in words for the administrator who has to fix them."""

from __future__ import annotations

ADMINISTRATOR = "Tell an administrator of TunnelCloud what stands here."
START_AGAIN = "Start again from the sign-in page."
IF_AGAIN = "If it happens again, tell an administrator of TunnelCloud."


class ProviderFault(Exception):
    """A provider can't be reached, or its answer can't be believed.

    :ivar code: a word for the audit, such as ``nonce``.
    :ivar what: what happened.
    :ivar advice: what to do.
    """

    def __init__(self, code: str, what: str, advice: str = ADMINISTRATOR) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.advice = advice
