"""Signing in, by password and by the code of a second factor, and out."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from urllib.parse import urlencode, urlsplit

from attrs import frozen

from tunnelcloud.domain.objects.users import User
from tunnelcloud.store import identity_providers, sign_in_steps, users
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.web.oidc.client import Client
from tunnelcloud.web.oidc.faults import ProviderFault
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.password_attempts import Attempt, SignInAttempts
from tunnelcloud.web.portal.passwords import Passwords
from tunnelcloud.web.portal.sealed_cookies import read_device
from tunnelcloud.web.portal.second_factor import Judged, Judgement, fault
from tunnelcloud.web.portal.session_start import (
    CODE_PAGE,
    LONGEST_NAME,
    Entry,
    enter_by_code,
    enter_compared,
    refusal,
)
from tunnelcloud.web.portal.sign_in_cookies import SignIns, new_secret
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ANONYMOUS, EVERYBODY

_WRONG = "The name or the password is wrong."


def sign_in_pages(
    context: ApiContext,
    passwords: Passwords,
    attempts: SignInAttempts,
    client: Client,
    refusals: Refusals,
) -> list[PageRoute]:
    """Make the rows of the page table for signing in and out."""
    handlers = _SignIn(context, passwords, attempts, client, refusals, SignIns(context))
    return [
        PageRoute("GET", "/sign-in", ANONYMOUS, handlers.form),
        PageRoute("POST", "/sign-in", ANONYMOUS, handlers.sign_in),
        PageRoute("POST", "/sign-out", EVERYBODY, handlers.sign_out),
        PageRoute("GET", "/signed-out/{provider}", ANONYMOUS, handlers.signed_out),
        PageRoute("GET", CODE_PAGE, ANONYMOUS, handlers.code_form),
        PageRoute("POST", CODE_PAGE, ANONYMOUS, handlers.code),
    ]


def local_path(address: str) -> str:
    """Return the page to go to after signing in: always one of ours."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    ours = address.startswith("/") and not parts.scheme and not parts.netloc
    plain = address.isascii() and address.isprintable() and "\\" not in address
    return address if ours and plain and not address.startswith("//") else "/"


@frozen
class _SignIn:
    context: ApiContext
    passwords: Passwords
    attempts: SignInAttempts
    client: Client
    refusals: Refusals
    sign_ins: SignIns

    async def form(self, visit: Visit) -> Reply:
        next_page = local_path(visit.query.get("next", "/"))
        if visit.signed_in is not None:
            return Moved(next_page)
        return await self._form(visit, next_page)

    async def _form(
        self,
        visit: Visit,
        next_page: str,
        error: str = "",
        status: int = 200,
        wait: int | None = None,
    ) -> Shown:
        store = self.context.store
        providers, administered = await store.together(
            store.reading(identity_providers.offered), store.reading(users.can_administer_now)
        )
        values = {
            "next": next_page,
            "name": visit.typed("name"),
            "error": error,
            "web_url": self.context.web_url,
            "providers": providers,
            "administered": administered,
        }
        headers = {} if wait is None else {"Retry-After": str(wait)}
        return Shown("sign_in.html", values, status, headers)

    async def sign_in(self, visit: Visit) -> Reply:
        next_page = local_path(visit.typed("next"))
        name, password = visit.typed("name").strip()[:LONGEST_NAME], visit.typed("password")
        found = await self.context.store.read(users.find_entrant, name)
        device = read_device(self.context, visit.device)
        attempt = Attempt(
            name, visit.source_ip, "" if found is None else device.id_for(found[0].id)
        )
        wait = ceil(self.attempts.begin(attempt))
        if wait:
            entry = await self._slowed(attempt, found, password, visit, next_page)
            if entry is not None:
                return await entry.reply(visit, self.sign_ins)
            text = f"Too many attempts: try again in {wait} s."
            return await self._form(visit, next_page, text, HTTPStatus.TOO_MANY_REQUESTS, wait)
        with self.attempts.unless_unavailable(attempt):
            right = await self._is_right(password, found, "" if attempt.device else visit.party)
        if found is None or not right:
            whose = await self.context.store.read(users.find_login, name)
            event = refusal(whose, name, visit.source_ip, "wrong name or password")
            await self.refusals.record(event)
            return await self._form(visit, next_page, _WRONG, HTTPStatus.UNPROCESSABLE_ENTITY)
        with self.attempts.unless_unavailable(attempt):
            entry = await self._entered(name, found, visit, next_page)
        if entry is None:
            return await self._form(visit, next_page, _WRONG, HTTPStatus.UNPROCESSABLE_ENTITY)
        self.attempts.succeeded(attempt)
        return await entry.reply(visit, self.sign_ins)

    async def _is_right(self, password: str, found: tuple[User, str] | None, stranger: str) -> bool:
        hashed = None if found is None else found[1]
        return await self.passwords.verify(password, hashed, stranger)

    async def _entered(
        self,
        name: str,
        found: tuple[User, str],
        visit: Visit,
        next_page: str,
        with_code_only: bool = False,
    ) -> Entry | None:
        """Sign in a user whose password was right, or ask for their code."""
        return await self.context.store.write(
            enter_compared,
            name,
            found,
            new_secret(self.context),
            visit,
            next_page,
            with_code_only=with_code_only,
        )

    async def _slowed(
        self,
        attempt: Attempt,
        found: tuple[User, str] | None,
        password: str,
        visit: Visit,
        next_page: str,
    ) -> Entry | None:
        """Let on to their code whose neighbours make their network wait: guessing the password
        alone wins nothing there.  Everybody else is refused in the same words and time.
        """
        if not self.attempts.begin_slowed(attempt):
            return None
        try:
            right = await self._is_right(password, found, visit.party)
            if found is None or not right:
                return None
            return await self._entered(attempt.name, found, visit, next_page, with_code_only=True)
        finally:
            self.attempts.end_slowed(attempt)

    async def code_form(self, visit: Visit) -> Reply:
        step = await self.context.store.read(sign_in_steps.find_awaited, visit.step)
        return Moved("/sign-in", step="") if step is None else _code_form()

    async def code(self, visit: Visit) -> Reply:
        secret = new_secret(self.context)
        found = await self.context.store.write(enter_by_code, self.context.sealer, secret, visit)
        if isinstance(found, Entry):
            return await found.reply(visit, self.sign_ins)
        if found is None:
            return Moved("/sign-in", step="")
        await self.refusals.record(found.event)
        return _code_form(found.judged)

    async def sign_out(self, visit: Visit) -> Reply:
        who = visit.who()
        provider = await self.context.store.read(
            identity_providers.find_of_sign_in, who.web_session_id
        )
        await self.sign_ins.end(who)
        gone = Moved("/sign-in", session="")
        if provider is None:
            return gone
        try:
            metadata = await self.client.directory.metadata(provider.issuer)
        except ProviderFault:
            return gone
        if metadata.end_session_endpoint is None:
            return gone
        # A page with a link: forms of ours lead nowhere else, and they are not asked for their id.
        return Moved(f"/signed-out/{provider.name}", session="")

    async def signed_out(self, visit: Visit) -> Reply:
        provider = await self.context.store.read(
            identity_providers.find_offered, visit.params["provider"]
        )
        address = None
        if provider is not None:
            try:
                metadata = await self.client.directory.metadata(provider.issuer)
                address = metadata.end_session_endpoint
            except ProviderFault:
                address = None
        if provider is None or address is None:
            return Moved("/sign-in")
        query = urlencode({"client_id": provider.client_id})
        values = {
            "provider": provider.title or provider.name,
            "address": f"{address}{'&' if urlsplit(address).query else '?'}{query}",
        }
        return Shown("signed_out.html", values)


def _code_form(judged: Judged | None = None) -> Shown:
    if judged is None:
        return Shown("sign_in_code.html", {"error": ""})
    early = judged.judgement is Judgement.TOO_EARLY
    return Shown(
        "sign_in_code.html",
        {"error": fault(judged)},
        HTTPStatus.TOO_MANY_REQUESTS if early else HTTPStatus.UNPROCESSABLE_ENTITY,
        {"Retry-After": str(judged.wait)} if early else {},
    )
