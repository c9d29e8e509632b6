"""Judges codes of a second factor: the secret is unsealed only meanwhile."""

from __future__ import annotations

import io
from enum import Enum, auto
from math import ceil

from attrs import frozen
from markupsafe import Markup

from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.domain.totp import matching_step, read_recovery_code
from tunnelcloud.pki.sealing import Sealer
from tunnelcloud.store import second_factors
from tunnelcloud.store.second_factors import SecondFactor
from tunnelcloud.store.transaction import Transaction


class Judgement(Enum):
    """The result of checking a code."""

    CODE = auto()
    RECOVERY_CODE = auto()
    WRONG = auto()
    TOO_EARLY = auto()
    NOT_ASKED = auto()


@frozen
class Judged:
    """A judgement.

    :ivar wait: seconds until another code is looked at.
    """

    judgement: Judgement
    wait: int = 0

    @property
    def good(self) -> bool:
        """Whether the code was right, and is used up."""
        return self.judgement in (Judgement.CODE, Judgement.RECOVERY_CODE)


def purpose(user_id: str) -> str:
    """Return the purpose for which a user's secret is sealed."""
    return f"second factor of {user_id}"


def unsealed(sealer: Sealer, factor: SecondFactor) -> bytes:
    """Give the secret of a second factor.

    :raise CannotUnseal: another pod's key sealed it.
    """
    return sealer.open(factor.sealed_secret, purpose(factor.user_id))


def judge(transaction: Transaction, sealer: Sealer, user_id: str, typed: str) -> Judged:
    """Use up a code of a user's confirmed second factor, or a recovery code.

    Many wrong codes make the next ones wait, on all pods.  Recovery codes can't be guessed and
    don't wait, so that the real user can still sign in.
    """
    factor = second_factors.find(transaction, user_id, lock=True)
    if factor is None or factor.confirmed_at is None:
        return Judged(Judgement.NOT_ASKED)
    recovery_code = read_recovery_code(typed)
    if recovery_code is not None:
        if second_factors.spend_recovery_code(transaction, user_id, hash_secret(recovery_code)):
            return Judged(Judgement.RECOVERY_CODE)
        return Judged(Judgement.WRONG)
    now = transaction.now()
    pause = factor.pause(now)
    if pause:
        return Judged(Judgement.TOO_EARLY, ceil(pause.total_seconds()))
    step = matching_step(unsealed(sealer, factor), typed, now.timestamp())
    if step is not None and second_factors.spend_step(transaction, user_id, step):
        return Judged(Judgement.CODE)
    second_factors.failed(transaction, user_id)
    return Judged(Judgement.WRONG)


def confirm(
    transaction: Transaction, sealer: Sealer, user_id: str, typed: str, code_hashes: list[bytes]
) -> bool:
    """Turn a second factor on, if a code proves that its user has it.

    :param code_hashes: of the recovery codes that come with it.
    """
    factor = second_factors.find_pending(transaction, user_id, lock=True)
    if factor is None:
        return False
    step = matching_step(unsealed(sealer, factor), typed, transaction.now().timestamp())
    return step is not None and second_factors.confirm(transaction, user_id, step, code_hashes)


def remove(transaction: Transaction, sealer: Sealer, user_id: str, typed: str) -> Judged:
    """Remove a user's second factor, if their code is good."""
    judged = judge(transaction, sealer, user_id, typed)
    if judged.good:
        second_factors.remove(transaction, user_id)
    return judged


def renew_recovery_codes(
    transaction: Transaction, sealer: Sealer, user_id: str, typed: str, code_hashes: list[bytes]
) -> Judged:
    """Replace a user's recovery codes, if their code is good."""
    judged = judge(transaction, sealer, user_id, typed)
    if judged.good:
        second_factors.renew_recovery_codes(transaction, user_id, code_hashes)
    return judged


def fault(judged: Judged) -> str:
    """Say what is wrong with a code that was not good."""
    if judged.judgement is Judgement.TOO_EARLY:
        return f"Too many wrong codes: try again in {judged.wait} s, or use a recovery code."
    return "The code is wrong, or was used before: wait for the next one."


def qr_code(text: str) -> Markup:
    """Draw a QR code, as SVG that stands in a page."""
    # Few ever need it.
    import segno

    out = io.BytesIO()
    segno.make(text, error="m").save(
        out, kind="svg", xmldecl=False, svgns=True, omitsize=True, light="#fff", border=4,
        svgclass=None, lineclass=None, title="QR code of the second factor's secret",
    )  # fmt: skip
    # Made of numbers and of the title above: nothing of a request is in it.
    return Markup(out.getvalue().decode("utf-8"))  # noqa: S704
