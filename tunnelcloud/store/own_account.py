"""What users see of their own account: their sign-ins, and how they prove who they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from tunnelcloud.store import second_factors, users, web_sessions
from tunnelcloud.store.transaction import Transaction

_MOST_SIGN_INS = 100


@frozen
class OwnAccount:
    """A user's account.

    :ivar sign_ins: those that aren't over, the latest first.
    :ivar now: when this was read.
    """

    sign_ins: Sequence[web_sessions.WebSession]
    has_password: bool
    second_factor: bool
    recovery_codes_left: int
    now: datetime


def read_own_account(transaction: Transaction, user_id: str) -> OwnAccount:
    """Read a user's account."""
    now = transaction.now()
    page = web_sessions.list_page(
        transaction, user_id=user_id, sort="-created_at", limit=_MOST_SIGN_INS
    )
    return OwnAccount(
        [one for one in page.items if one.expires_at > now],
        users.password_hash(transaction, user_id) is not None,
        second_factors.is_confirmed(transaction, user_id),
        second_factors.recovery_codes_left(transaction, user_id),
        now,
    )
