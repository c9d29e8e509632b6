"""Identity providers, and who their people are here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select, union
from sqlalchemy import update as update_rows

from tunnelcloud.domain.objects.identity_providers import IdentityProvider
from tunnelcloud.store import web_sessions
from tunnelcloud.store.errors import InvalidReference, NotFound
from tunnelcloud.store.filters import equals, searches
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.revocations import Cause, end_command_lines
from tunnelcloud.store.schema import api_tokens, device_logins, groups, identities
from tunnelcloud.store.schema import identity_providers as table
from tunnelcloud.store.transaction import Actor, Transaction

PROVIDERS = Aggregate(
    "identity_provider",
    table,
    IdentityProvider,
    joined={"has_client_secret": table.c.sealed_client_secret.is_not(None)},
    filters={"q": searches(table.c.name, table.c.title), "name": equals(table.c.name)},
    sorts={"name": table.c.name},
    # Whoever a subject is, they are so at one issuer only.
)

get = PROVIDERS.get
list_page = PROVIDERS.list_page


SealSecret = Callable[[str], bytes]
"""Gives the client secret, sealed for the provider with an id."""


def create(
    transaction: Transaction, *, seal_secret: SealSecret | None = None, **values: Any
) -> IdentityProvider:
    """Make a provider.

    :param seal_secret: None for no secret.
    :param values: as the table of kinds has them.
    :raise Conflict: the name is taken.
    :raise InvalidReference: a group that it maps to isn't there.
    """
    _check_groups(transaction, values)
    made = PROVIDERS.new(transaction, **values)
    if seal_secret is None:
        return made
    return _keep_secret(transaction, made.id, seal_secret(made.id))


def update(
    transaction: Transaction,
    provider_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: str | None = None,
) -> IdentityProvider:
    """Change some fields; who came through one that is disabled is signed out, command lines too.

    :param changes: ``seal_secret`` among them as for ``create``, None to have no secret any more.
    """
    rest = dict(changes)
    given = "seal_secret" in rest
    seal_secret: SealSecret | None = rest.pop("seal_secret", None)
    _check_groups(transaction, rest)
    before = PROVIDERS.lock(transaction, provider_id)
    changed = PROVIDERS.update(transaction, provider_id, rest, expected_version=expected_version)
    if before.enabled and not changed.enabled:
        _end_command_lines(transaction, provider_id)
    if not changed.enabled:
        web_sessions.end_through(transaction, provider_id, reason="the provider was disabled")
    if not given:
        return changed
    sealed = None if seal_secret is None else seal_secret(provider_id)
    changed = _keep_secret(transaction, provider_id, sealed)
    words = "removed" if sealed is None else "replaced"
    PROVIDERS.record(transaction, "changed", changed, {"client_secret": {"to": words}})
    return changed


def delete(
    transaction: Transaction, provider_id: str, *, expected_version: str | None = None
) -> IdentityProvider:
    """Delete a provider; who came through it is signed out, command lines too.

    :raise NotFound: there is no such provider.
    :raise Stale: it isn't of the expected version any more.
    """
    PROVIDERS.lock(transaction, provider_id, expected_version)
    _end_command_lines(transaction, provider_id)
    web_sessions.end_through(transaction, provider_id, reason="the provider was deleted")
    return PROVIDERS.delete(transaction, provider_id)


def _end_command_lines(transaction: Transaction, provider_id: str) -> None:
    """End the command lines of everybody whom a provider may have vouched for."""
    linked = select(identities.c.user_id).where(identities.c.provider_id == provider_id)
    signed_in = union(select(api_tokens.c.made_by_id), select(device_logins.c.user_id))
    end_command_lines(
        transaction, linked.where(identities.c.user_id.in_(signed_in)), Cause.PROVIDER_ENDED
    )


def sealed_client_secret(transaction: Transaction, provider_id: str) -> bytes | None:
    """Give the client secret as it is kept; None when there is none."""
    query = select(table.c.sealed_client_secret).where(table.c.id == provider_id)
    found: bytes | None = transaction.connection.execute(query).scalar()
    return found


_OFFERED = (
    PROVIDERS.select()
    .where(table.c.enabled.is_(True), table.c.checked_at.is_not(None))
    .order_by(table.c.name)
)
"""Put together once: each time leaves a cycle behind."""


def offered(transaction: Transaction) -> list[IdentityProvider]:
    """List the providers that people may come through, in the order of their names.

    One that never answered as it should is not among them.
    """
    return [PROVIDERS.make(row) for row in transaction.connection.execute(_OFFERED)]


def find_offered(transaction: Transaction, name: str) -> IdentityProvider | None:
    """Find a provider that people may come through by its name."""
    return next((one for one in offered(transaction) if one.name == name), None)


def find_of_sign_in(transaction: Transaction, web_session_id: str) -> IdentityProvider | None:
    """Find the provider through which a sign-in began; None when there is none, or it is over."""
    try:
        session = web_sessions.get(transaction, web_session_id)
    except NotFound:
        return None
    return None if session.provider_id is None else get(transaction, session.provider_id)


def actor_of(provider: IdentityProvider) -> Actor:
    """Give whom the audit names for what a provider's word does."""
    return Actor(f"provider {provider.name}", provider.id)


def find_any(transaction: Transaction, name: str) -> IdentityProvider | None:
    """Find a provider by its name, whether people may come through it or not."""
    query = PROVIDERS.select().where(table.c.name == name)
    row = transaction.connection.execute(query).first()
    return None if row is None else PROVIDERS.make(row)


def is_offered(provider: IdentityProvider) -> bool:
    """Tell whether the sign-in page offers a provider."""
    return provider.enabled and provider.checked_at is not None


def lock_offered(transaction: Transaction, provider_id: str) -> IdentityProvider | None:
    """Read a provider that somebody comes through; who disables it waits, and ends their sign-in.

    :return: None when people may not come through it any more.
    """
    query = PROVIDERS.select().where(table.c.id == provider_id)
    locking = query.with_for_update(of=table, read=True, key_share=True)
    row = transaction.connection.execute(locking).first()
    provider = None if row is None else PROVIDERS.make(row)
    return provider if provider is not None and is_offered(provider) else None


def note_check(transaction: Transaction, provider_id: str, fault: str) -> IdentityProvider:
    """Note what came of asking a provider.

    :param fault: what is wrong; empty if nothing: from now on the sign-in page offers it.
    """
    before = PROVIDERS.get(transaction, provider_id)
    values: dict[str, Any] = {"check_fault": fault}
    if not fault:
        values["checked_at"] = transaction.now()
    transaction.connection.execute(
        update_rows(table).where(table.c.id == provider_id).values(values)
    )
    checked = PROVIDERS.get(transaction, provider_id)
    if fault != before.check_fault or (not fault and before.checked_at is None):
        changes = {"check_fault": {"from": before.check_fault, "to": fault}}
        PROVIDERS.record(transaction, "checked", checked, changes)
    return checked


def _keep_secret(
    transaction: Transaction, provider_id: str, sealed: bytes | None
) -> IdentityProvider:
    transaction.connection.execute(
        update_rows(table).where(table.c.id == provider_id).values(sealed_client_secret=sealed)
    )
    return PROVIDERS.get(transaction, provider_id)


def follow_group(transaction: Transaction, name: str, new_name: str | None) -> None:
    """Keep what providers' claims say of a group with that group, whatever its name.

    :param new_name: None for a group that was deleted: another one of its name is another one.
    """
    for provider in _all(transaction):
        if name in provider.group_map.values():
            followed = {
                value: new_name if group == name else group
                for value, group in provider.group_map.items()
            }
            kept = {value: group for value, group in followed.items() if group is not None}
            PROVIDERS.update(transaction, provider.id, {"group_map": kept})


def _all(transaction: Transaction) -> list[IdentityProvider]:
    query = PROVIDERS.select().order_by(table.c.name)
    return [PROVIDERS.make(row) for row in transaction.connection.execute(query)]


def _check_groups(transaction: Transaction, values: Mapping[str, Any]) -> None:
    names = set(values.get("group_map", {}).values())
    query = select(groups.c.name).where(groups.c.name.in_(names))
    missing = names - set(transaction.connection.execute(query).scalars()) if names else names
    for name in sorted(missing):
        raise InvalidReference("group_map", "group", name)
