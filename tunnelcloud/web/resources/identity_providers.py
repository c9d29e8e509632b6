"""Identity providers as administrators set them; a client secret goes in and never comes out."""

from __future__ import annotations

from typing import Any

from tunnelcloud.domain.objects.identity_providers import IdentityProvider as KeptProvider
from tunnelcloud.net.escaping import escape
from tunnelcloud.store import identity_providers
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.identity_providers import SealSecret
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.fields import NamedQuery, Shown
from tunnelcloud.web.models.identity_providers import (
    IdentityProvider,
    IdentityProviderChange,
    NewIdentityProvider,
)
from tunnelcloud.web.oidc.directory import Directory
from tunnelcloud.web.oidc.faults import ProviderFault
from tunnelcloud.web.resources.collection import Kind, collection_routes, item_of
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, Call, Item, Route

_LONGEST_FAULT = 500


def redirect_uri(context: ApiContext, provider: KeptProvider) -> str:
    """Give where a provider sends people back to; each has a place of its own."""
    return f"{context.web_url}/sign-in/with/{provider.name}/callback"


def _purpose(provider_id: str) -> str:
    return f"client secret of {provider_id}"


async def client_secret(context: ApiContext, provider: KeptProvider) -> str | None:
    """Give the client secret of a provider; None for a public client.

    :raise CannotUnseal: another pod's key sealed it.
    """
    sealed = await context.store.read(identity_providers.sealed_client_secret, provider.id)
    if sealed is None:
        return None
    return context.sealer.open(sealed, _purpose(provider.id)).decode("utf-8")


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for identity providers."""

    def sealing(secret: str | None) -> SealSecret | None:
        if secret is None:
            return None
        return lambda provider_id: context.sealer.seal_for_all(
            secret.encode(), _purpose(provider_id)
        )

    def create(transaction: Transaction, **values: Any) -> KeptProvider:
        seal_secret = sealing(values.pop("client_secret", None))
        return identity_providers.create(transaction, seal_secret=seal_secret, **values)

    def update(
        transaction: Transaction, provider_id: str, changes: dict[str, Any], **kwargs: Any
    ) -> KeptProvider:
        if "client_secret" in changes:
            rest = {name: value for name, value in changes.items() if name != "client_secret"}
            changes = {**rest, "seal_secret": sealing(changes["client_secret"])}
        return identity_providers.update(transaction, provider_id, changes, **kwargs)

    def show(provider: KeptProvider) -> Shown:
        return IdentityProvider.model_validate(
            {**_fields(provider), "redirect_uri": redirect_uri(context, provider)}
        )

    async def check(call: Call) -> Item:
        provider_id = call.params["identity_provider_id"]
        provider = await context.store.read(identity_providers.get, provider_id)
        return item_of(await _check(context, context.acting(call), provider), show)

    kind = Kind(
        noun="identity_provider",
        article="an",
        plural="identity-providers",
        shown=IdentityProvider,
        new=NewIdentityProvider,
        change=IdentityProviderChange,
        query=NamedQuery,
        get=identity_providers.get,
        list_page=identity_providers.list_page,
        create=create,
        update=update,
        delete=identity_providers.delete,
        show=show,
        afterwards=_check_enabled,
    )
    return [
        *collection_routes(context, kind),
        Route(
            "POST",
            "/identity-providers/{identity_provider_id}/check",
            "check_identity_provider",
            "Ask an identity provider for all that a sign-in needs.",
            ADMINS,
            check,
            answer=IdentityProvider,
        ),
    ]


async def _check_enabled(
    context: ApiContext, store: AsyncStore, provider: KeptProvider
) -> KeptProvider:
    return await _check(context, store, provider) if provider.enabled else provider


async def _check(context: ApiContext, store: AsyncStore, provider: KeptProvider) -> KeptProvider:
    """Ask a provider for all that a sign-in needs, and note what came of it.

    :param store: as whoever asks for it.
    """
    fault = ""
    try:
        await Directory(context.fetch, context.clock.seconds).check(provider.issuer)
    except ProviderFault as error:
        fault = escape(error.what, _LONGEST_FAULT)
        if error.code == "issuer":
            fault += " Its issuer can't be changed here: delete it, and make it with the right one."
    return await store.write(identity_providers.note_check, provider.id, fault)


def _fields(provider: KeptProvider) -> dict[str, Any]:
    names = IdentityProvider.model_fields
    return {name: getattr(provider, name) for name in names if name != "redirect_uri"}
