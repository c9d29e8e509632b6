"""Reads which field a violated constraint is about, on either database."""

from __future__ import annotations

import re

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.exc import IntegrityError

from tunnelcloud.store.errors import Conflict, StoreError
from tunnelcloud.store.schema import metadata

_CHECK_VIOLATION = "23514"  # of PostgreSQL
_SQLITE_UNIQUE = re.compile(r"UNIQUE constraint failed: (?P<columns>[\w., ]+)")


def _columns_by_constraint() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for table in metadata.tables.values():
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint | ForeignKeyConstraint | CheckConstraint):
                found[str(constraint.name)] = tuple(constraint.columns.keys())
        found[f"pk_{table.name}"] = tuple(table.primary_key.columns.keys())
    return found


_COLUMNS = _columns_by_constraint()


def violated_columns(error: IntegrityError) -> tuple[str, ...]:
    """Name the columns of the constraint that was violated; none when that isn't told."""
    match = _SQLITE_UNIQUE.search(str(error.orig))
    if match is not None:
        return tuple(column.strip().rpartition(".")[2] for column in match["columns"].split(","))
    name = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    return _COLUMNS.get(name or "", ())


def explain_integrity_error(error: IntegrityError) -> StoreError:
    """Say what to do about a constraint that the store functions didn't foresee.

    They check first and word it better; this is for two who change the same thing at once.
    """
    if _is_refused_value(error):
        return Conflict(
            "",
            "the database doesn't keep such a value; if other pods run a newer TunnelCloud, make "
            "this change on one of them, and upgrade this pod",
        )
    columns = violated_columns(error)
    if not columns:
        return Conflict("", "another object needs this one, or is missing: read both again")
    field = columns[-1]
    return Conflict(field, f"another object has this {field.replace('_', ' ')}: choose another")


def _is_refused_value(error: IntegrityError) -> bool:
    """Tell whether a CHECK failed: none does for what this version writes."""
    is_check = getattr(error.orig, "sqlstate", None) == _CHECK_VIOLATION
    return is_check or "CHECK constraint failed" in str(error.orig)
