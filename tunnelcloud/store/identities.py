"""Finds, links or creates the user for a person whom an identity provider vouches for."""

from __future__ import annotations

from collections.abc import Set
from typing import NoReturn

from attrs import frozen
from sqlalchemy import and_, insert, select, update

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.domain.objects.identity_providers import IdentityProvider, LinkBy
from tunnelcloud.domain.objects.users import User
from tunnelcloud.domain.slugs import numbered
from tunnelcloud.store import groups, users
from tunnelcloud.store.errors import Conflict, NotFound
from tunnelcloud.store.schema import identities as table
from tunnelcloud.store.schema import identity_providers as providers
from tunnelcloud.store.transaction import Transaction

_MOST_ENDINGS = 100
_MOST_SHOWN = 100


class NotLetIn(Exception):
    """The provider vouches for them, and still they have no way in here.

    :ivar code: a word for the audit.
    :ivar what: what is wrong.
    :ivar advice: what to do.
    """

    def __init__(self, code: str, what: str, advice: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.advice = advice


@frozen
class Person:
    """Somebody whom a provider vouches for.

    :ivar name: a user's name, or empty if the provider's value can't be one.
    :ivar email: verified by the provider.
    :ivar groups: None when it isn't known which.
    :ivar made: the name was made of something that can't be one: whoever has it is somebody else.
    :ivar groups_unknown: why it isn't known.
    """

    subject: str
    name: str
    title: str
    email: str | None
    groups: Set[str] | None
    made: bool = False
    groups_unknown: str = ""


class Rehearsed(Exception):
    """The user whom somebody would be here: raised as an exception, so that nothing is committed.

    :ivar by: how they were found, as in the audit; empty if they were linked before.
    :ivar groups: the groups that they would be in.
    """

    def __init__(self, user: User, by: str, groups: list[str]) -> None:
        super().__init__(user.name)
        self.user = user
        self.by = by
        self.groups = groups


def rehearse(transaction: Transaction, provider: IdentityProvider, person: Person) -> NoReturn:
    """Find out who a person would be.

    :raise NotLetIn: as :func:`enter`.
    :raise Rehearsed: who they would be.
    """
    user, by = _enter(transaction, provider, person)
    page = groups.list_page(transaction, user_id=user.id, limit=_MOST_SHOWN)
    raise Rehearsed(user, by, [group.name for group in page.items])


def enter(transaction: Transaction, provider: IdentityProvider, person: Person) -> User:
    """Give the user that a person is, and put them into the groups the provider says.

    :raise NotLetIn: they are no user, and don't become one.
    """
    user, _ = _enter(transaction, provider, person)
    return user


def _enter(
    transaction: Transaction, provider: IdentityProvider, person: Person
) -> tuple[User, str]:
    user, by = _known(transaction, provider, person), ""
    if user is None:
        user, by = _newcomer(transaction, provider, person)
        _link(transaction, provider, person, user, by)
    try:
        user = users.lock_unblocked(transaction, user.id)
    except Conflict:
        raise _not_allowed(user) from None
    if user.service:
        raise _not_allowed(user)
    _sync_groups(transaction, provider, person, user)
    return user, by


def _not_allowed(user: User) -> NotLetIn:
    return NotLetIn(
        "blocked",
        f"The user {user.name} may not sign in.",
        "Ask an administrator of TunnelCloud.",
    )


def _known(transaction: Transaction, provider: IdentityProvider, person: Person) -> User | None:
    theirs = (table.c.provider_id == provider.id) & (table.c.subject == person.subject)
    # Whoever unlinks them waits for this row, or has deleted it.
    used = update(table).where(theirs).values(last_used_at=transaction.now())
    found = transaction.connection.execute(used.returning(table.c.user_id)).scalar()
    return None if found is None else users.get(transaction, found)


def _newcomer(
    transaction: Transaction, provider: IdentityProvider, person: Person
) -> tuple[User, str]:
    by_email = provider.link_by is LinkBy.EMAIL
    wanted = person.email if by_email else ("" if person.made else person.name)
    if provider.link_by is not LinkBy.NOTHING and wanted:
        user = users.find_login(transaction, wanted)
        # The two are one namespace: an e-mail that serves as a name is still no name.
        same = user is not None and folded(wanted) == (user.email if by_email else user.name)
        if user is not None and same and not _is_linked(transaction, provider, user):
            return user, str(provider.link_by)
    if not provider.create_users:
        raise NotLetIn(
            "unknown",
            f"{provider.title or provider.name} knows you, but there is no user for you here.",
            "Ask an administrator of TunnelCloud to make one"
            + (f" with the e-mail {person.email}." if person.email else "."),
        )
    if not person.name:
        raise NotLetIn(
            "name",
            f"{provider.title or provider.name} gives no name that a user here can have.",
            "Ask an administrator of TunnelCloud: the provider's settings say which claim "
            "names the user.",
        )
    name = _free_name(transaction, person.name) if person.made else person.name
    for taken in (name, person.email):
        if taken is not None and users.find_login(transaction, taken) is not None:
            raise NotLetIn(
                "taken",
                f"There is a user {taken} here already, who is not linked with you at "
                f"{provider.title or provider.name}.",
                "If that is you, ask an administrator of TunnelCloud to link the two.",
            )
    user = users.create(transaction, name=name, title=person.title, email=person.email)
    return user, "created"


def _free_name(transaction: Transaction, name: str) -> str:
    """Give a made name an ending that nobody has."""
    tried = 1
    free = name
    while users.find_login(transaction, free) is not None:
        tried += 1
        if tried > _MOST_ENDINGS:
            break
        free = numbered(name, tried)
    return free


def _is_linked(transaction: Transaction, provider: IdentityProvider, user: User) -> bool:
    query = select(table.c.subject).where(
        table.c.provider_id == provider.id, table.c.user_id == user.id
    )
    return transaction.connection.execute(query).first() is not None


def _link(
    transaction: Transaction, provider: IdentityProvider, person: Person, user: User, by: str
) -> None:
    now = transaction.now()
    transaction.connection.execute(
        insert(table),
        {
            "provider_id": provider.id,
            "subject": person.subject,
            "user_id": user.id,
            "created_at": now,
            "last_used_at": now,
        },
    )
    transaction.audit(
        AuditEvent(
            "identity.linked",
            user_id=user.id,
            user_name=user.name,
            data={"provider": provider.name, "subject": person.subject, "by": by},
        )
    )


def _sync_groups(
    transaction: Transaction, provider: IdentityProvider, person: Person, user: User
) -> None:
    """Put a user into the groups that the claim names, and out of others that it fills."""
    if person.groups is None:
        if provider.group_map and provider.groups_claim:
            data = {"provider": provider.name, "reason": person.groups_unknown}
            transaction.audit(
                AuditEvent("identity.groups_kept", user_id=user.id, user_name=user.name, data=data)
            )
        return
    wanted = {name for value, name in provider.group_map.items() if value in person.groups}
    for name in sorted(set(provider.group_map.values())):
        try:
            group = groups.find(transaction, name)
        except NotFound:
            continue
        if name in wanted:
            groups.add_member(transaction, group.id, user.id)
        else:
            groups.remove_member(transaction, group.id, user.id)


def shared_provider(transaction: Transaction, user_id: str, other_id: str) -> str:
    """Name the provider for which two users are one person: it gave both the same subject.

    Within one provider a subject is one user; two providers may have the same issuer.

    :return: empty when there is none.
    """
    own, their = table.alias(), table.alias()
    at, there = providers.alias(), providers.alias()
    query = (
        select(at.c.name)
        .select_from(
            own.join(at, at.c.id == own.c.provider_id)
            .join(their, and_(their.c.subject == own.c.subject, their.c.user_id == other_id))
            .join(there, and_(there.c.id == their.c.provider_id, there.c.issuer == at.c.issuer))
        )
        .where(own.c.user_id == user_id)
        .limit(1)
    )
    found = None if user_id == other_id else transaction.connection.execute(query).scalar()
    return str(found or "")
