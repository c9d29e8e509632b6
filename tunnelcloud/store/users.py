"""Users, the names they answer to, and their passwords.

A user's name and e-mail address are names of one namespace, where case doesn't count.  What a
deleted user did stays in the history under the id and the name they had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, insert, or_, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import update as update_rows

from tunnelcloud.domain.entities import ID
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.store.errors import Conflict, InvalidReference
from tunnelcloud.store.filters import as_referred, equals, has, searches, user_unused_since
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.orders import number_of, text_of, user_last_seen, whether
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.revocations import Cause, end_access
from tunnelcloud.store.schema import (
    group_members,
    identities,
    identity_providers,
    second_factors,
    user_names,
)
from tunnelcloud.store.schema import users as table
from tunnelcloud.store.transaction import Transaction

_SEEN_EVERY = timedelta(days=1)


def _in_group(group_id: str) -> ColumnElement[bool]:
    members = select(group_members.c.user_id).where(group_members.c.group_id == group_id)
    return table.c.id.in_(members)


def _named(name_or_email: str) -> ColumnElement[bool]:
    named = select(user_names.c.user_id).where(user_names.c.name == folded(name_or_email))
    return table.c.id.in_(named)


_SECOND_FACTOR = select(second_factors.c.user_id).where(
    second_factors.c.user_id == table.c.id, second_factors.c.confirmed_at.is_not(None)
)

USERS = Aggregate(
    "user",
    table,
    User,
    filters={
        "q": searches(table.c.name, table.c.title, table.c.email),
        "name": _named,
        "email": equals(table.c.email),
        "role": equals(table.c.role),
        "service": equals(table.c.service),
        "blocked": equals(table.c.blocked),
        "group_id": _in_group,
        "second_factor": has(_SECOND_FACTOR),
        "unused_since": user_unused_since,
    },
    sorts={
        "name": table.c.name,
        "role": text_of(table.c.role),
        "blocked": whether(table.c.blocked),
        "groups": number_of(
            select(group_members).where(group_members.c.user_id == as_referred(table.c.id))
        ),
        "second_factor": whether(_SECOND_FACTOR.exists()),
        "last_seen": user_last_seen(),
    },
)

_BY_LOGIN = Prepared(
    USERS.select()
    .join(user_names, user_names.c.user_id == table.c.id)
    .where(user_names.c.name == bindparam("wanted"))
)
_INSERT_NAME = Prepared(insert(user_names))

get = USERS.get
list_page = USERS.list_page
count = USERS.count


def find(transaction: Transaction, name_or_id: str) -> User:
    """Read a user by name, e-mail address or id.

    :raise NotFound: there is none.
    """
    user = None if ID.fullmatch(name_or_id) else find_login(transaction, name_or_id)
    return USERS.get(transaction, name_or_id) if user is None else user


def find_login(transaction: Transaction, name_or_email: str) -> User | None:
    """Find the user whom a login name means, whatever its case; None when it means nobody."""
    if "\x00" in name_or_email:
        return None
    found = _BY_LOGIN(transaction.connection, {"wanted": folded(name_or_email)})
    return USERS.make(found[0]) if found else None


def find_entrant(transaction: Transaction, name: str) -> tuple[User, str] | None:
    """Find who may sign in with a password under a name, and the hash of their password."""
    user = find_login(transaction, name)
    if user is None or user.blocked or user.service:
        return None
    hashed = password_hash(transaction, user.id)
    return None if hashed is None else (user, hashed)


def create(transaction: Transaction, *, name: str, **values: Any) -> User:
    """Make a user, who can't sign in to the portal before a password is set.

    :param values: as the table of kinds has them.
    :raise Conflict: the name or the e-mail address is a name of another user.
    """
    email = values.get("email")
    _check_names(transaction, None, {"name": name, "email": email})
    lowered = {"name": folded(name), "email": None if email is None else folded(email)}
    user = USERS.new(transaction, **{**values, **lowered})
    _keep_names(transaction, user)
    return user


def update(
    transaction: Transaction,
    user_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: str | None = None,
) -> User:
    """Change some fields of a user; as ``Aggregate.update``.

    :raise Conflict: the name or the e-mail address is a name of another user.
    """
    lowered = {
        name: folded(value) if name in ("name", "email") and value is not None else value
        for name, value in changes.items()
    }
    _check_names(transaction, user_id, lowered)
    before = USERS.lock(transaction, user_id, expected_version)
    user = USERS.update(transaction, user_id, lowered)
    if _administers(before) and not _administers(user):
        field = next(name for name in ("role", "blocked", "service") if name in lowered)
        check_administrators(transaction, field)
    if "name" in lowered or "email" in lowered:
        of_user = user_names.c.user_id == user.id
        transaction.connection.execute(delete_rows(user_names).where(of_user))
        _keep_names(transaction, user)
    for cause in causes(before, user):
        end_access(transaction, user, cause)
    return user


def causes(before: User, after: User) -> Iterator[Cause]:
    """Tell why access of a user ends who was changed."""
    if before.role is Role.ADMIN and after.role is not Role.ADMIN:
        yield Cause.ROLE_LOWERED
    for turned, cause in (("blocked", Cause.BLOCKED), ("service", Cause.BECAME_SERVICE)):
        if getattr(after, turned) and not getattr(before, turned):
            yield cause


def delete(transaction: Transaction, user_id: str, *, expected_version: str | None = None) -> User:
    """Delete a user; as ``Aggregate.delete``.

    :raise Conflict: nobody would be left who can sign in and administer.
    """
    end_access(transaction, USERS.lock(transaction, user_id, expected_version), Cause.DELETED)
    user = USERS.delete(transaction, user_id)
    if _administers(user):
        check_administrators(transaction, "")
    return user


def _administers(user: User) -> bool:
    return user.role is Role.ADMIN and not user.blocked and not user.service


def can_administer_since(transaction: Transaction, moment: datetime) -> bool:
    """Tell whether an administrator could sign in to the portal at a time and can now."""
    enabled = select(identity_providers.c.id).where(identity_providers.c.enabled.is_(True))
    with_provider = select(identities.c.user_id).where(
        identities.c.created_at <= moment, identities.c.provider_id.in_(enabled)
    )
    query = USERS.filtered(
        select(table.c.id), {"role": Role.ADMIN, "blocked": False, "service": False}
    ).where(or_(table.c.password_set_at <= moment, table.c.id.in_(with_provider)))
    return transaction.connection.execute(query.limit(1)).first() is not None


def can_administer_now(transaction: Transaction) -> bool:
    """Tell whether some administrator can sign in to the portal."""
    # Whatever the clock shows: it may have gone back since they set their password.
    return can_administer_since(transaction, datetime.max.replace(tzinfo=UTC))


def check_administrators(transaction: Transaction, field: str) -> None:
    """See that somebody is left who can sign in and administer.

    :raise Conflict: nobody would be.
    """
    # Locked, so that if two administrators demote each other at once, one of them is refused.
    left = USERS.filtered(
        select(table.c.id), {"role": Role.ADMIN, "blocked": False, "service": False}
    )
    if transaction.connection.execute(left.with_for_update()).first() is None:
        raise Conflict(
            field, "this is the last administrator: make another user an administrator first"
        )


def _check_names(transaction: Transaction, user_id: str | None, values: Mapping[str, Any]) -> None:
    for field in ("name", "email"):
        name = values.get(field)
        other = None if name is None else find_login(transaction, name)
        if other is not None and other.id != user_id:
            raise Conflict(field, f"{name} is taken by user {other.name}: choose another")


def _keep_names(transaction: Transaction, user: User) -> None:
    for name in sorted({name for name in (user.name, user.email) if name is not None}):
        _INSERT_NAME(transaction.connection, {"name": name, "user_id": user.id})


def note_seen(transaction: Transaction, user_id: str | Select[tuple[str]]) -> None:
    """Write down that a user is here; once a day, so that it costs hardly any writes.

    :param user_id: or what selects it.
    """
    now = transaction.now()
    late = or_(table.c.last_seen_at.is_(None), table.c.last_seen_at <= now - _SEEN_EVERY)
    which = table.c.id == (user_id if isinstance(user_id, str) else user_id.scalar_subquery())
    transaction.connection.execute(update_rows(table).where(which, late).values(last_seen_at=now))


def lock_unblocked(transaction: Transaction, user_id: str) -> User:
    """Read a user who is given a credential, and keep others from changing them until the commit.

    A block, or a new password, is then committed either before the credential or after it.  If it
    comes after, it ends the credential.  If it comes before, no credential is made: that one would
    become good as soon as the user is unblocked.

    :raise InvalidReference: there is no such user.
    :raise Conflict: they are blocked.
    """
    # Weaker than what an update takes: rows that refer to the user are still written beside it.
    locking = USERS.select().where(table.c.id == user_id).with_for_update(of=table, key_share=True)
    row = None if "\x00" in user_id else transaction.connection.execute(locking).first()
    if row is None:
        raise InvalidReference("user_id", "user", user_id)
    user = USERS.make(row)
    if user.blocked:
        raise Conflict("user_id", f"user {user.name} is blocked: unblock them first")
    return user


def password_hash(transaction: Transaction, user_id: str) -> str | None:
    """Give the hash of a user's password; None when none is set."""
    query = select(table.c.password_hash).where(table.c.id == user_id)
    found: str | None = transaction.connection.execute(query).scalar()
    return found


def set_password(
    transaction: Transaction,
    user_id: str,
    hashed: str,
    *,
    staying: str | None = None,
    instead_of: str | None = None,
) -> User:
    """Set a password; what that ends of the user's access, the table of endings says.

    :param hashed: in PHC form.
    :param staying: the sign-in that sets it, and goes on; None where a link did.
    :param instead_of: the hash that was compared with the old password; None where a link counts.
    :raise NotFound: there is no such user.
    :raise Conflict: the password was changed since it was compared.
    """
    user = USERS.lock(transaction, user_id)
    before = password_hash(transaction, user_id)
    if instead_of is not None and before != instead_of:
        raise Conflict("current", "your password was changed meanwhile: use the new one")
    first = before is None
    transaction.connection.execute(
        update_rows(table)
        .where(table.c.id == user_id)
        .values(password_hash=hashed, password_set_at=transaction.now())
    )
    again = Cause.PASSWORD_CHANGED if staying is not None else Cause.PASSWORD_RESET
    cause = Cause.FIRST_PASSWORD if first else again
    end_access(transaction, user, cause, staying=staying)
    transaction.audit(AuditEvent("user.password_set", user_id=user.id, user_name=user.name))
    return user
