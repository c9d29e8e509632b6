"""Second factors of users, their recovery codes, and what keeps guessing slow.

A code is taken by one conditional UPDATE that remembers its time step: of any number who show the
same code, on any number of pods, one gets in.  Guesses are counted here too, for all pods at once:
who has the password and many addresses must not have many guesses.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from attrs import field, frozen
from sqlalchemy import delete, func, insert, select, update

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store import users
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import recovery_codes, sign_in_steps
from tunnelcloud.store.schema import second_factors as table
from tunnelcloud.store.transaction import Transaction

FREE_FAILURES = 10
LONGEST_PAUSE = timedelta(hours=1)
_CLOCK_WENT_BACK = timedelta(minutes=1)
"""A transaction that began a moment ago is less behind."""

ENROLMENT = timedelta(minutes=15)
"""How long a second factor waits to be confirmed."""


@frozen
class SecondFactor:
    """A user's second factor; one that isn't confirmed is asked for nowhere.

    :ivar sealed_secret: as a ``tunnelcloud.pki.sealing.Sealer`` made it.
    """

    user_id: str
    created_at: datetime
    sealed_secret: bytes = field(repr=False)
    confirmed_at: datetime | None
    last_step: int
    failures: int
    failed_at: datetime | None

    def pause(self, now: datetime) -> timedelta:
        """Tell how long no code is looked at, after many that were wrong.

        Where the clock went back since then, right codes may have been wrong by the clock of then.
        """
        if self.failed_at is None or self.failures < FREE_FAILURES:
            return timedelta(0)
        if self.failed_at - now > _CLOCK_WENT_BACK:
            return timedelta(0)
        seconds = 2.0 ** min(self.failures - FREE_FAILURES, 12)
        until = self.failed_at + min(timedelta(seconds=seconds), LONGEST_PAUSE)
        return max(until - now, timedelta(0))


def find(transaction: Transaction, user_id: str, *, lock: bool = False) -> SecondFactor | None:
    """Find a user's second factor, confirmed or not.

    :param lock: others who want to change it wait.
    """
    query = select(
        table.c.user_id,
        table.c.created_at,
        table.c.sealed_secret,
        table.c.confirmed_at,
        table.c.last_step,
        table.c.failures,
        table.c.failed_at,
    ).where(table.c.user_id == user_id)
    row = transaction.connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else SecondFactor(*row)


def find_pending(
    transaction: Transaction, user_id: str, *, lock: bool = False
) -> SecondFactor | None:
    """Find a second factor that waits to be confirmed.

    :param lock: it is confirmed now: nobody begins another one in its place meanwhile.
    """
    factor = find(transaction, user_id, lock=lock)
    if factor is None or factor.confirmed_at is not None:
        return None
    return factor if transaction.now() - factor.created_at < ENROLMENT else None


def is_confirmed(transaction: Transaction, user_id: str) -> bool:
    """Tell whether a user signs in with a second factor."""
    found = find(transaction, user_id)
    return found is not None and found.confirmed_at is not None


def begin(transaction: Transaction, user_id: str, sealed_secret: bytes) -> None:
    """Keep a secret until its user confirms it; one that never was confirmed ends.

    :raise NotFound: there is no such user.
    :raise Conflict: there is a confirmed one.
    """
    # One that is begun or confirmed at the same moment comes before this one or after it.
    users.USERS.lock(transaction, user_id)
    if is_confirmed(transaction, user_id):
        raise Conflict("", "there is a second factor already: remove it first")
    transaction.connection.execute(delete(table).where(table.c.user_id == user_id))
    transaction.connection.execute(
        insert(table),
        {
            "user_id": user_id,
            "created_at": transaction.now(),
            "sealed_secret": sealed_secret,
            "last_step": 0,
            "failures": 0,
        },
    )


def confirm(transaction: Transaction, user_id: str, step: int, code_hashes: list[bytes]) -> bool:
    """Let a second factor count from now on, with the recovery codes that come with it.

    :param step: of the code that confirmed it; that one serves no second time.
    :return: False when there is none to confirm.
    """
    confirmed = transaction.connection.execute(
        update(table)
        .where(table.c.user_id == user_id, table.c.confirmed_at.is_(None))
        .values(confirmed_at=transaction.now(), last_step=step)
    ).rowcount
    if not confirmed:
        return False
    _keep_codes(transaction, user_id, code_hashes)
    _audit(transaction, "user.second_factor_added", users.get(transaction, user_id))
    return True


def spend_step(transaction: Transaction, user_id: str, step: int) -> bool:
    """Take a code by its time step, once; later ones only from then on."""
    return bool(
        transaction.connection.execute(
            update(table)
            .where(
                table.c.user_id == user_id,
                table.c.confirmed_at.is_not(None),
                table.c.last_step < step,
            )
            .values(last_step=step, failures=0, failed_at=None)
        ).rowcount
    )


def spend_recovery_code(transaction: Transaction, user_id: str, code_hash: bytes) -> bool:
    """Take a recovery code, once."""
    spent = transaction.connection.execute(
        update(recovery_codes)
        .where(
            recovery_codes.c.user_id == user_id,
            recovery_codes.c.code_hash == code_hash,
            recovery_codes.c.used_at.is_(None),
        )
        .values(used_at=transaction.now())
    ).rowcount
    if spent:
        left = recovery_codes_left(transaction, user_id)
        user = users.get(transaction, user_id)
        _audit(transaction, "user.recovery_code_used", user, left=left)
    return bool(spent)


def failed(transaction: Transaction, user_id: str) -> None:
    """Count a wrong code."""
    transaction.connection.execute(
        update(table)
        .where(table.c.user_id == user_id)
        .values(failures=table.c.failures + 1, failed_at=transaction.now())
    )


def recovery_codes_left(transaction: Transaction, user_id: str) -> int:
    """Count the recovery codes that were not used."""
    query = select(func.count()).where(
        recovery_codes.c.user_id == user_id, recovery_codes.c.used_at.is_(None)
    )
    return int(transaction.connection.execute(query).scalar_one())


def renew_recovery_codes(
    transaction: Transaction, user_id: str, code_hashes: Iterable[bytes]
) -> None:
    """Replace the recovery codes."""
    _keep_codes(transaction, user_id, code_hashes)
    _audit(transaction, "user.recovery_codes_made", users.get(transaction, user_id))


def remove(transaction: Transaction, user_id: str) -> bool:
    """Remove a second factor and its recovery codes; the password alone signs in then.

    :return: whether there was one.
    :raise NotFound: there is no such user.
    """
    user = users.USERS.lock(transaction, user_id)
    was_confirmed = is_confirmed(transaction, user_id)
    for one in (recovery_codes, table, sign_in_steps):
        transaction.connection.execute(delete(one).where(one.c.user_id == user_id))
    if was_confirmed:
        _audit(transaction, "user.second_factor_removed", user)
    return was_confirmed


def _keep_codes(transaction: Transaction, user_id: str, code_hashes: Iterable[bytes]) -> None:
    transaction.connection.execute(
        delete(recovery_codes).where(recovery_codes.c.user_id == user_id)
    )
    transaction.connection.execute(
        insert(recovery_codes),
        [{"user_id": user_id, "code_hash": code_hash} for code_hash in code_hashes],
    )


def _audit(transaction: Transaction, event: str, user: User, **data: object) -> None:
    transaction.audit(AuditEvent(event, user_id=user.id, user_name=user.name, data=data))
