"""Signing in through an identity provider: there, and back."""

from __future__ import annotations

from http import HTTPStatus

from attrs import frozen
from twisted.logger import Logger

from tunnelcloud.domain.entities import IdentityProvider
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.names import BadName, read_user_name
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import identities, identity_providers, sign_in_steps
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.identities import NotLetIn, Person
from tunnelcloud.store.sign_in_steps import Awaited, SignInStep
from tunnelcloud.store.transaction import Actor, Transaction
from tunnelcloud.web.oidc.client import Claims, Client, is_state
from tunnelcloud.web.oidc.faults import START_AGAIN, ProviderFault
from tunnelcloud.web.portal.entering import Entry, begin_session
from tunnelcloud.web.portal.pages.sign_in import local_path
from tunnelcloud.web.portal.refusals import Refusals
from tunnelcloud.web.portal.signing import SignIns, new_secret
from tunnelcloud.web.portal.visits import Moved, Page, Reply, Shown, Visit
from tunnelcloud.web.proxies import network_of
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.identity_providers import client_secret, redirect_uri
from tunnelcloud.web.routes import ANONYMOUS

_THERE_AND_BACK_SECONDS = 10 * 60


def provider_pages(context: ApiContext, client: Client, refusals: Refusals) -> list[Page]:
    """Make the rows of the page table for signing in through identity providers."""
    handlers = _ProviderSignIn(context, client, refusals, SignIns(context))
    there = "/sign-in/with/{provider}"
    return [
        Page("GET", there, ANONYMOUS, handlers.go),
        Page("GET", f"{there}/callback", ANONYMOUS, handlers.come_back),
    ]


def _take(transaction: Transaction, secret: str) -> tuple[SignInStep, IdentityProvider] | None:
    """Take the step that a browser's secret stands for: whatever comes of it, it is over now."""
    step = sign_in_steps.take(transaction, Awaited.PROVIDER, hash_secret(secret))
    if step is None or step.provider_id is None:
        return None
    try:
        return step, identity_providers.get(transaction, step.provider_id)
    except NotFound:
        return None


@frozen
class _ProviderSignIn:
    context: ApiContext
    client: Client
    refusals: Refusals
    sign_ins: SignIns
    _log = Logger()

    async def go(self, visit: Visit) -> Reply:
        provider = await self.context.store.read(
            identity_providers.find_enabled, visit.params["provider"]
        )
        if provider is None or visit.cannot_work:
            return Moved("/sign-in")
        secret = new_secret(self.context)
        try:
            address = await self.client.address(
                provider, redirect_uri(self.context, provider), secret
            )
        except ProviderFault as fault:
            return await self._failed(visit, provider, fault)
        await self.context.store.write(
            sign_in_steps.begin,
            Awaited.PROVIDER,
            secret_hash=hash_secret(secret),
            lifetime_seconds=_THERE_AND_BACK_SECONDS,
            source=network_of(visit.source_ip),
            provider_id=provider.id,
            content={"next": local_path(visit.query.get("next", "/"))},
        )
        return Moved(address, step=secret)

    async def come_back(self, visit: Visit) -> Reply:
        provider = await self.context.store.read(
            identity_providers.find_enabled, visit.params["provider"]
        )
        if provider is None:
            return Moved("/sign-in", step="")
        try:
            step = await self._begun(visit, provider)
            claims = await self.client.redeem(
                provider,
                await client_secret(self.context, provider),
                redirect_uri(self.context, provider),
                visit.step,
                visit.query,
            )
            entry = await self._enter(visit, provider, claims, step)
        except (ProviderFault, NotLetIn) as fault:
            return await self._failed(visit, provider, fault)
        return await entry.reply(visit, self.sign_ins)

    async def _begun(self, visit: Visit, provider: IdentityProvider) -> SignInStep:
        """Give what was begun in this browser, with this provider, and is answered now."""
        stranger = ProviderFault(
            "state",
            "This answer doesn't belong to a sign-in that was begun in this browser, or it was "
            "used before.",
            f"{START_AGAIN} If you followed a link that somebody sent you, don't.",
        )
        if not visit.step or not is_state(visit.step, visit.query.get("state", "")):
            raise stranger
        taken = await self.context.store.write(_take, visit.step)
        if taken is None or taken[1].id != provider.id:
            raise stranger
        return taken[0]

    async def _enter(
        self, visit: Visit, provider: IdentityProvider, claims: Claims, step: SignInStep
    ) -> Entry:
        try:
            name = read_user_name(claims.name)
        except BadName:
            name = ""
        person = Person(claims.subject, name, claims.title, claims.email, claims.groups)
        secret = new_secret(self.context)

        def work(transaction: Transaction) -> Entry:
            user = identities.enter(transaction, provider, person)
            return begin_session(
                transaction,
                user,
                secret,
                visit,
                step.content["next"],
                provider.title or provider.name,
                provider.id,
            )

        actor = Actor(f"provider {provider.name}", provider.id)
        return await self.context.store.acting(actor).write(work)

    async def _failed(
        self, visit: Visit, provider: IdentityProvider, fault: ProviderFault | NotLetIn
    ) -> Reply:
        self._log.info(
            "sign-in through {provider} refused: {code}: {what}",
            provider=provider.name,
            code=fault.code,
            what=fault.what,
        )
        data = {"provider": provider.name, "reason": fault.code}
        await self.refusals.record(
            AuditEvent("web_login.refused", source_ip=visit.source_ip, data=data)
        )
        values = {
            "provider": provider.title or provider.name,
            "what": fault.what,
            "advice": fault.advice,
        }
        return Shown("provider_failed.html", values, HTTPStatus.FORBIDDEN)
