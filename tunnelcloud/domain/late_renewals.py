"""Whether a connector whose certificate has ended gets a new one for the same key.

A copy of an old state directory has the same key, and a certificate that was good once.  So the
shown certificate decides, not the key's last one: no other may have been issued before it ended.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import frozen

from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused

BETWEEN = timedelta(seconds=60)
"""How soon after a late renewal the same certificate may be renewed again."""

TO_ASK_AGAIN = timedelta(hours=1)
"""How long, from the first answer on, a connector may ask again because the answer was lost."""

_A_COPY = (
    "a copy of an old certificate was shown: another one was issued before it ended; a connector "
    "that never got that one needs a new join token"
)
_USED = (
    "a copy of an old certificate was shown: the one that was issued in its place is in use; a "
    "connector that never got that one needs a new join token"
)
_TOO_LATE_AGAIN = (
    "another certificate was issued in place of this one more than an hour ago; a connector that "
    "never got that one needs a new join token"
)


@frozen
class LateRenewal:
    """The request of a connector whose certificate has ended.

    :ivar connector_id: of the shown certificate, like the other attributes.
    :ivar grace: how long ago the certificate may have ended.
    """

    connector_id: str
    serial: str
    key_fingerprint: str
    grace: timedelta


@frozen
class Issued:
    """A certificate as the store has it."""

    serial: str
    connector_id: str
    issued_at: datetime
    expires_at: datetime
    is_revoked: bool = False


def end_of_shown(
    asked: LateRenewal, issued: Sequence[Issued], now: datetime, seen_at: datetime | None = None
) -> datetime:
    """Check that a certificate may be renewed though it has ended.

    :param issued: all certificates of its key, in the order in which they were issued.
    :param seen_at: when the connector was attached last, which takes a certificate that is good.
    :return: when it ended.
    :raise JoinRefused: it is unknown, revoked or another connector's, good still, over for too
        long, or another one was issued in its place.
    """
    shown = next((one for one in issued if one.serial == asked.serial), None)
    if shown is None or not all(_is_good(one, asked) for one in (shown, issued[-1])):
        raise JoinRefused(JoinProblem.REVOKED)
    if shown.expires_at > now:
        raise JoinRefused(JoinProblem.UNAVAILABLE)
    if shown.expires_at <= now - asked.grace:
        raise JoinRefused(JoinProblem.ENDED)
    later = [one for one in issued if one.issued_at > shown.issued_at]
    _check_later(shown, later, now, seen_at)
    return shown.expires_at


def _is_good(certificate: Issued, asked: LateRenewal) -> bool:
    return certificate.connector_id == asked.connector_id and not certificate.is_revoked


def _check_later(
    shown: Issued, later: Sequence[Issued], now: datetime, seen_at: datetime | None
) -> None:
    """Check that certificates issued since were late renewals too, whose answer may have been
    lost."""
    if not later:
        return
    first, last = later[0], later[-1]
    if first.issued_at < shown.expires_at:
        raise JoinRefused(JoinProblem.REVOKED, _A_COPY)
    if seen_at is not None and seen_at > first.issued_at:
        raise JoinRefused(JoinProblem.REVOKED, _USED)
    if now - first.issued_at > TO_ASK_AGAIN:
        raise JoinRefused(JoinProblem.REVOKED, _TOO_LATE_AGAIN)
    if now - last.issued_at < BETWEEN:
        raise JoinRefused(JoinProblem.UNAVAILABLE)
