"""Signing in through an identity provider: there, and back."""

from __future__ import annotations

import json
from http import HTTPStatus
from random import random

from attrs import frozen
from twisted.logger import Logger

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.identity_providers import IdentityProvider
from tunnelcloud.domain.slugs import name_of
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.fair_work import FairWork, TooMuchWork
from tunnelcloud.net.source_limits import REFUSED_LOGIN, FloodControl, FloodLimits
from tunnelcloud.store import identities, identity_providers
from tunnelcloud.store.identities import NotLetIn, Person, Rehearsed
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.web.oidc.claims import Claims
from tunnelcloud.web.oidc.client import Client, is_state
from tunnelcloud.web.oidc.faults import START_AGAIN, ProviderFault
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.sign_in import local_path
from tunnelcloud.web.portal.sealed_cookies import ProviderStep, ProviderSteps
from tunnelcloud.web.portal.session_start import Entry, enter_through
from tunnelcloud.web.portal.sign_in_cookies import SignIns, new_secret
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.identity_providers import client_secret, redirect_uri
from tunnelcloud.web.routes import ADMINS, ANONYMOUS

_THERE_AND_BACK_SECONDS = 10 * 60
_MOST_ASKED = 32
"""How many sign-ins may wait for providers at a time."""

_LONGEST_LOGGED = 500
_LONGEST_CLAIM = 300
_MOST_CLAIMS = 100


def provider_pages(
    context: ApiContext, operations: Operations, client: Client, refusals: Refusals
) -> list[PageRoute]:
    """Make the rows of the page table for coming in through identity providers, and trying them."""
    handlers = _ProviderSignIn(
        context,
        operations,
        client,
        refusals,
        SignIns(context),
        ProviderSteps(context),
        FairWork(_MOST_ASKED),
        FloodControl(context.clock, random, FloodLimits(per_source=_MOST_ASKED)),
    )
    there = "/sign-in/with/{provider}"
    one = "/admin/settings/providers/{identity_provider_id}"
    return [
        PageRoute("GET", there, ANONYMOUS, handlers.go),
        PageRoute("GET", f"{there}/callback", ANONYMOUS, handlers.come_back),
        PageRoute("GET", f"{one}/test", ADMINS, handlers.go_to_test),
        PageRoute("POST", f"{one}/check", ADMINS, handlers.check),
    ]


def _stranger() -> ProviderFault:
    return ProviderFault(
        "state",
        "This answer doesn't belong to a sign-in that was begun in this browser, or it was "
        "used before.",
        f"{START_AGAIN} If you followed a link that somebody sent you, don't.",
    )


def _busy() -> ProviderFault:
    return ProviderFault(
        "busy",
        "Too many sign-ins from your network wait for this provider.",
        "Try again in a while.",
    )


def _is_tester(visit: Visit, step: ProviderStep | None) -> bool:
    """Tell whether it is still the administrator who began a test."""
    who = visit.signed_in
    if who is None or step is None:
        return False
    return who.user.id == step.tester_id and who.caller.role in ADMINS


def _person(claims: Claims) -> Person:
    name, made = name_of(claims.names)
    return Person(
        claims.subject,
        name,
        claims.title,
        claims.email,
        claims.groups,
        made,
        claims.groups_unknown,
    )


def _said(claims: Claims) -> list[tuple[str, str]]:
    """Give what a provider said, for a page."""
    rows = sorted(claims.said.items())[:_MOST_CLAIMS]
    return [
        (
            escape(name, _LONGEST_CLAIM),
            escape(json.dumps(value, ensure_ascii=False), _LONGEST_CLAIM),
        )
        for name, value in rows
    ]


@frozen
class _ProviderSignIn:
    context: ApiContext
    operations: Operations
    client: Client
    refusals: Refusals
    sign_ins: SignIns
    steps: ProviderSteps
    asking: FairWork
    flood: FloodControl
    _log = Logger()

    async def go(self, visit: Visit) -> Reply:
        provider = await self.context.store.read(
            identity_providers.find_offered, visit.params["provider"]
        )
        if provider is None or visit.cannot_work:
            return Moved("/sign-in")
        try:
            return await self._leave(visit, provider, local_path(visit.query.get("next", "/")))
        except ProviderFault as fault:
            return await self._failed(visit, provider, fault)

    async def go_to_test(self, visit: Visit) -> Reply:
        """Let an administrator try a provider, whether the sign-in page offers it or not."""
        provider = await self.context.store.read(
            identity_providers.get, visit.params["identity_provider_id"]
        )
        try:
            return await self._leave(visit, provider, "/", visit.who().user.id)
        except ProviderFault as fault:
            return await self._tested(visit, provider, fault)

    async def check(self, visit: Visit) -> Reply:
        """Ask a provider for all that a sign-in needs."""
        path = f"/identity-providers/{visit.params['identity_provider_id']}"
        found = await self.operations(visit, "POST", f"{path}/check")
        note = "The check failed." if found["check_fault"] else "The provider answers as it should."
        return Moved(f"/admin/settings/providers/{found['id']}", note=note)

    async def _leave(
        self, visit: Visit, provider: IdentityProvider, next_page: str, tester_id: str = ""
    ) -> Moved:
        secret = new_secret(self.context)
        expires_at = self.context.now().timestamp() + _THERE_AND_BACK_SECONDS
        step = ProviderStep(secret, provider.id, next_page, expires_at, tester_id)
        address = await self.client.address(provider, redirect_uri(self.context, provider), secret)
        return Moved(address, step=self.steps.write([*self.steps.read(visit.step), step]))

    async def come_back(self, visit: Visit) -> Reply:
        provider = await self.context.store.read(
            identity_providers.find_any, visit.params["provider"]
        )
        step = None if provider is None else self._begun(visit, provider)
        tested = step is not None and step.tester_id != ""
        if provider is None or not (tested or identity_providers.is_offered(provider)):
            return Moved("/sign-in", step="")
        if step is None and visit.signed_in is not None:
            return Moved("/")  # by the back button, or from a second tab
        try:
            if step is None or (tested and not _is_tester(visit, step)):
                raise _stranger()
            claims = await self._redeemed(visit, provider, step)
            if tested:
                return await self._rehearse(visit, provider, claims)
            entry = await self._enter(visit, provider, claims, step)
        except (ProviderFault, NotLetIn) as fault:
            if isinstance(fault, ProviderFault) and tested and _is_tester(visit, step):
                return await self._tested(visit, provider, fault)
            return await self._failed(visit, provider, fault)
        return await entry.reply(visit, self.sign_ins)

    async def _redeemed(
        self, visit: Visit, provider: IdentityProvider, step: ProviderStep
    ) -> Claims:
        """Ask the provider who came back, while there is room: each question is a connection.

        Whoever comes with codes that the provider never gave waits after a few: the provider might
        else take this service for the attacker.
        """
        source, is_test = visit.source_ip, step.tester_id != ""
        if self.flood.connection_made(source):
            raise _busy()
        try:
            return await self._asked(visit, provider, step)
        except ProviderFault as fault:
            if fault.code == "code" and not is_test:
                self.flood.offended(source, REFUSED_LOGIN)
            raise
        finally:
            self.flood.connection_lost(source)

    async def _asked(self, visit: Visit, provider: IdentityProvider, step: ProviderStep) -> Claims:
        redeeming = self.client.redeem(
            provider,
            await client_secret(self.context, provider),
            redirect_uri(self.context, provider),
            step.secret,
            visit.query,
        )
        try:
            return await self.asking.run(visit.source_ip, redeeming)
        except TooMuchWork:
            raise _busy() from None

    def _begun(self, visit: Visit, provider: IdentityProvider) -> ProviderStep | None:
        """Return the step that this browser began with this provider and that is answered now;
        once.
        """
        state = visit.query.get("state", "")
        for step in self.steps.read(visit.step):
            if step.provider_id == provider.id and is_state(step.secret, state):
                self.steps.take(step)
                return step
        return None

    async def _enter(
        self, visit: Visit, provider: IdentityProvider, claims: Claims, step: ProviderStep
    ) -> Entry:
        store = self.context.store.acting(identity_providers.actor_of(provider))
        secret = new_secret(self.context)
        return await store.write(
            enter_through, provider, _person(claims), secret, visit, step.next_page
        )

    async def _rehearse(self, visit: Visit, provider: IdentityProvider, claims: Claims) -> Reply:
        """Show an administrator what a provider said of them, and which user they would be here."""
        outcome: Rehearsed | NotLetIn | None = None
        try:
            await self.context.store.write(identities.rehearse, provider, _person(claims))
        except (Rehearsed, NotLetIn) as found:
            outcome = found
        return await self._tested(visit, provider, None, claims, outcome)

    async def _tested(
        self,
        visit: Visit,
        provider: IdentityProvider,
        fault: ProviderFault | None,
        claims: Claims | None = None,
        outcome: Rehearsed | NotLetIn | None = None,
    ) -> Reply:
        text = "" if fault is None else escape(fault.what, _LONGEST_LOGGED)
        store = self.context.acting_as(visit.who().caller)
        await store.write(identity_providers.note_check, provider.id, text)
        values = {
            "provider": provider,
            "fault": fault,
            "claims": claims,
            "said": [] if claims is None else _said(claims),
            "outcome": outcome if isinstance(outcome, Rehearsed) else None,
            "refusal": outcome if isinstance(outcome, NotLetIn) else None,
        }
        return Shown("admin_provider_tested.html", values)

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
