"""Turns exceptions of the database and its driver into the store's errors.

An unknown error means that the database can't be used now.  So writers try again later, and no
write is lost because of an unknown error code of the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tunnelcloud.store.constraint_errors import explain_integrity_error
from tunnelcloud.store.errors import BadValue, StoreError, StoreUnavailable, Trouble

# By PostgreSQL's SQLSTATE, or the two characters of its class.
_STATES = {
    "25006": Trouble.READ_ONLY,
    "53100": Trouble.FULL,
    "53": Trouble.GONE,
    "55P03": Trouble.SLOW,
    "57014": Trouble.SLOW,
    "57": Trouble.GONE,
    "08": Trouble.GONE,
}
# By SQLite's primary result code.
_CODES = {5: Trouble.SLOW, 6: Trouble.SLOW, 8: Trouble.READ_ONLY, 13: Trouble.FULL}


def trouble_of(error: BaseException) -> Trouble:
    """Classify an error of SQLAlchemy."""
    if isinstance(error, PoolTimeout):
        return Trouble.SLOW
    cause = getattr(error, "orig", None)
    state = getattr(cause, "sqlstate", None)
    if state:
        return _STATES.get(state) or _STATES.get(state[:2]) or Trouble.OTHER
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return _CODES.get(code & 0xFF, Trouble.OTHER)
    # psycopg gives no state where there was no answer.
    gone = cause is not None and type(cause).__module__.startswith("psycopg")
    return Trouble.GONE if gone else Trouble.OTHER


def unavailable(error: BaseException) -> StoreUnavailable:
    """Say that the database failed, how, and what it said itself."""
    trouble = trouble_of(error)
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    return StoreUnavailable(f"{trouble.value}: {said}", trouble)


def translate(error: SQLAlchemyError) -> StoreError:
    """Give the store's error for one of the database's."""
    if isinstance(error, IntegrityError):
        return explain_integrity_error(error)
    if isinstance(error, DataError):
        return BadValue(" ".join(str(error.orig).split()))
    return unavailable(error)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn a database's errors into the store's."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error) from error
