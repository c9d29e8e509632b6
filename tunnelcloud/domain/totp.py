"""Codes of a second factor: TOTP (RFC 6238) as authenticator programs have it, and recovery codes.

A code is good for its own step of 30 seconds and the ones before and after, so that a clock may be
off by one; which step it was of is told, so that the caller can refuse it a second time.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

SECRET_BYTES = 20
STEP_SECONDS = 30
DRIFT_STEPS = 1
RECOVERY_CODES = 10
_DIGITS = 6
_RECOVERY_CODE = re.compile(r"[a-z2-7]{16}")


def _totp(secret: bytes) -> TOTP:
    # SHA-1 is what every authenticator program knows; HMAC doesn't rest on its collisions.
    return TOTP(secret, _DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303


def matching_step(secret: bytes, code: str, seconds: float) -> int | None:
    """Tell which step a code is of.

    :param code: as typed; spaces don't count.
    :param seconds: the time since the epoch.
    :return: the number of the step; None when the code is wrong.
    """
    digits = re.sub(r"\s", "", code[:32])
    if not re.fullmatch(r"[0-9]{6}", digits, re.ASCII):
        return None
    now = int(seconds) // STEP_SECONDS
    found = None
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        try:
            _totp(secret).verify(digits.encode("ascii"), step * STEP_SECONDS)
        except InvalidToken:
            continue
        found = step
    return found


def provisioning_uri(secret: bytes, account: str, issuer: str) -> str:
    """Give the ``otpauth:`` address that authenticator programs read, from a QR code mostly."""
    return _totp(secret).get_provisioning_uri(account, issuer)


def secret_text(secret: bytes) -> str:
    """Give a secret in base32, in groups of four, for typing it in."""
    text = base64.b32encode(secret).decode("ascii")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def new_recovery_codes(random: Callable[[int], bytes]) -> list[str]:
    """Make codes that stand in for a lost device, 80 bits each, as ``xxxx-xxxx-xxxx-xxxx``."""
    codes = []
    for _ in range(RECOVERY_CODES):
        text = base64.b32encode(random(10)).decode("ascii").lower()
        codes.append("-".join(text[start : start + 4] for start in range(0, 16, 4)))
    return codes


def read_recovery_code(typed: str) -> str | None:
    """Take a recovery code as typed, whatever its case and dashes; None when it can't be one."""
    text = re.sub(r"[\s-]", "", typed[:64]).lower()
    return text if _RECOVERY_CODE.fullmatch(text) else None
