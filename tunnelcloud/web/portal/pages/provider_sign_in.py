"""Signing in through an identity provider: there, and back."""

from __future__ import annotations

from http import HTTPStatus

from attrs import frozen
from twisted.logger import Logger

from tunnelcloud.domain.entities import IdentityProvider
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.slugs import name_of
from tunnelcloud.net.escaping import escape
from tunnelcloud.store import identities, identity_providers
from tunnelcloud.store.identities import NotLetIn, Person
from tunnelcloud.store.transaction import Actor, Transaction
from tunnelcloud.web.oidc.claims import Claims
from tunnelcloud.web.oidc.client import Client, is_state
from tunnelcloud.web.oidc.faults import START_AGAIN, ProviderFault
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.sign_in import local_path
from tunnelcloud.web.portal.refusals import Refusals
from tunnelcloud.web.portal.sealed import ProviderStep, ProviderSteps
from tunnelcloud.web.portal.session_start import Entry, begin_session
from tunnelcloud.web.portal.signing import SignIns, new_secret
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.identity_providers import client_secret, redirect_uri
from tunnelcloud.web.routes import ANONYMOUS

_THERE_AND_BACK_SECONDS = 10 * 60
_LONGEST_LOGGED = 500


def provider_pages(context: ApiContext, client: Client, refusals: Refusals) -> list[PageRoute]:
    """Make the rows of the page table for signing in through identity providers."""
    handlers = _ProviderSignIn(context, client, refusals, SignIns(context), ProviderSteps(context))
    there = "/sign-in/with/{provider}"
    return [
        PageRoute("GET", there, ANONYMOUS, handlers.go),
        PageRoute("GET", f"{there}/callback", ANONYMOUS, handlers.come_back),
    ]


def _stranger() -> ProviderFault:
    return ProviderFault(
        "state",
        "This answer doesn't belong to a sign-in that was begun in this browser, or it was "
        "used before.",
        f"{START_AGAIN} If you followed a link that somebody sent you, don't.",
    )


@frozen
class _ProviderSignIn:
    context: ApiContext
    client: Client
    refusals: Refusals
    sign_ins: SignIns
    steps: ProviderSteps
    _log = Logger()

    async def go(self, visit: Visit) -> Reply:
        provider = await self.context.store.read(
            identity_providers.find_enabled, visit.params["provider"]
        )
        if provider is None or visit.cannot_work:
            return Moved("/sign-in")
        secret = new_secret(self.context)
        expires_at = self.context.now().timestamp() + _THERE_AND_BACK_SECONDS
        next_page = local_path(visit.query.get("next", "/"))
        step = ProviderStep(secret, provider.id, next_page, expires_at)
        try:
            address = await self.client.address(
                provider, redirect_uri(self.context, provider), secret
            )
        except ProviderFault as fault:
            return await self._failed(visit, provider, fault)
        return Moved(address, step=self.steps.write([*self.steps.read(visit.step), step]))

    async def come_back(self, visit: Visit) -> Reply:
        provider = await self.context.store.read(
            identity_providers.find_enabled, visit.params["provider"]
        )
        if provider is None:
            return Moved("/sign-in", step="")
        step = self._begun(visit, provider)
        if step is None and visit.signed_in is not None:
            return Moved("/")  # by the back button, or from a second tab
        try:
            if step is None:
                raise _stranger()
            claims = await self.client.redeem(
                provider,
                await client_secret(self.context, provider),
                redirect_uri(self.context, provider),
                step.secret,
                visit.query,
            )
            entry = await self._enter(visit, provider, claims, step)
        except (ProviderFault, NotLetIn) as fault:
            return await self._failed(visit, provider, fault)
        return await entry.reply(visit, self.sign_ins)

    def _begun(self, visit: Visit, provider: IdentityProvider) -> ProviderStep | None:
        """Give what was begun in this browser, with this provider, and is answered now; once."""
        state = visit.query.get("state", "")
        for step in self.steps.read(visit.step):
            if step.provider_id == provider.id and is_state(step.secret, state):
                self.steps.take(step)
                return step
        return None

    async def _enter(
        self, visit: Visit, provider: IdentityProvider, claims: Claims, step: ProviderStep
    ) -> Entry:
        name, made = name_of(claims.names)
        person = Person(
            claims.subject,
            name,
            claims.title,
            claims.email,
            claims.groups,
            made,
            claims.groups_unknown,
        )
        secret = new_secret(self.context)

        def work(transaction: Transaction) -> Entry:
            user = identities.enter(transaction, provider, person)
            return begin_session(
                transaction,
                user,
                secret,
                visit,
                step.next_page,
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
            what=escape(fault.what, _LONGEST_LOGGED),
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
