"""One's own account: password, second factor, other sign-ins, command lines that are signed in."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from attrs import frozen

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.users import User
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.domain.totp import (
    SECRET_BYTES,
    new_recovery_codes,
    provisioning_uri,
    read_recovery_code,
    secret_text,
)
from tunnelcloud.store import second_factors, users, web_sessions
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import Conflict, NotFound
from tunnelcloud.store.own_pages import read_own_account
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.store.revocations import Cause, end_access
from tunnelcloud.web.portal import second_factor
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.confirmation import asked
from tunnelcloud.web.portal.pages.invitations import faults_of_password, names_of
from tunnelcloud.web.portal.password_attempts import Attempt, SignInAttempts
from tunnelcloud.web.portal.passwords import Passwords
from tunnelcloud.web.portal.second_factor import (
    Judged,
    Judgement,
    fault,
    purpose,
    qr_code,
    unsealed,
)
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_SECOND_FACTOR = "/account/second-factor"
_RECOVERY_CODES = "/account/recovery-codes"
_OTHERS = "/account/sign-ins/end-others"


def account_pages(
    context: ApiContext,
    operations: Operations,
    passwords: Passwords,
    attempts: SignInAttempts,
    refusals: Refusals,
) -> list[PageRoute]:
    """Make the rows of the page table for one's own account."""
    handlers = _Account(context, operations, passwords, attempts, refusals)
    return [
        PageRoute("GET", "/account", EVERYBODY, handlers.account),
        PageRoute("POST", "/account/password", EVERYBODY, handlers.change_password),
        PageRoute("POST", _SECOND_FACTOR, EVERYBODY, handlers.begin_second_factor),
        PageRoute("GET", _SECOND_FACTOR, EVERYBODY, handlers.enrolment),
        PageRoute("POST", f"{_SECOND_FACTOR}/confirm", EVERYBODY, handlers.confirm_second_factor),
        PageRoute("POST", f"{_SECOND_FACTOR}/remove", EVERYBODY, handlers.remove_second_factor),
        PageRoute("GET", _RECOVERY_CODES, EVERYBODY, handlers.recovery_codes),
        PageRoute("POST", _RECOVERY_CODES, EVERYBODY, handlers.renew_recovery_codes),
        PageRoute("GET", _OTHERS, EVERYBODY, handlers.ask_others),
        PageRoute("POST", _OTHERS, EVERYBODY, handlers.end_others),
        PageRoute("POST", "/account/sign-ins/{web_session_id}/end", EVERYBODY, handlers.end_one),
    ]


@frozen
class _Account:
    context: ApiContext
    operations: Operations
    passwords: Passwords
    attempts: SignInAttempts
    refusals: Refusals

    def _acting(self, visit: Visit) -> AsyncStore:
        return self.context.acting_as(visit.who().caller)

    async def account(self, visit: Visit) -> Reply:
        return await self._account(visit, {})

    async def _account(
        self, visit: Visit, errors: Mapping[str, str], status: int | None = None
    ) -> Shown:
        who = visit.who()
        store = self.context.store
        found, tokens = await store.together(
            store.reading(read_own_account, who.user.id),
            self.operations.every(visit, "/me/api-tokens"),
        )
        now = found.now.isoformat()
        values: dict[str, Any] = {
            "errors": errors,
            "web_url": self.context.web_url,
            "has_password": found.has_password,
            "second_factor": found.second_factor,
            "recovery_codes_left": found.recovery_codes_left,
            "sign_ins": [_shown(one, who.web_session_id) for one in found.sign_ins],
            "command_lines": [
                one for one in tokens if one["expires_at"] is None or one["expires_at"] > now
            ],
        }
        if status is None:
            status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("account.html", values, status)

    async def _compare(self, visit: Visit, user: User, password: str) -> tuple[str, str | None]:
        """Compare the password that a change asks for; guesses are slowed.

        :return: what is wrong with it, and the hash that it was compared with.
        """
        attempt = Attempt(user.name, visit.source_ip, visit.who().web_session_id)
        wait = ceil(self.attempts.begin(attempt))
        if wait:
            return f"too many attempts: try again in {wait} s", None
        with self.attempts.unless_unavailable(attempt):
            hashed = await self.context.store.read(users.password_hash, user.id)
            right = await self.passwords.verify(password, hashed)
        if not right:
            await self._refused(visit, "wrong password")
            return "this is not your password", hashed
        self.attempts.succeeded(attempt)
        return "", hashed

    async def _refused(self, visit: Visit, reason: str) -> None:
        """Record that whoever is signed in couldn't prove to be the user."""
        user = visit.who().user
        event = AuditEvent(
            "user.proof_refused",
            actor=user.name,
            actor_id=user.id,
            user_id=user.id,
            user_name=user.name,
            source_ip=visit.source_ip,
            data={"reason": reason},
        )
        await self.refusals.record(event)

    async def change_password(self, visit: Visit) -> Reply:
        who = visit.who()
        new = visit.typed("password")
        errors = faults_of_password(None, new, visit.typed("again"), names_of(who.user))
        wrong, compared = await self._compare(visit, who.user, visit.typed("current"))
        if wrong:
            errors = {"current": wrong, **errors}
        if errors:
            return await self._account(visit, errors)
        hashed = await self.passwords.hash(new)
        try:
            await self._acting(visit).write(
                users.set_password,
                who.user.id,
                hashed,
                staying=who.web_session_id,
                instead_of=compared,
            )
        except Conflict as error:
            return await self._account(visit, {"current": str(error)}, HTTPStatus.CONFLICT)
        return Moved("/account", note="The password is changed; your other sign-ins have ended.")

    async def begin_second_factor(self, visit: Visit) -> Reply:
        user = visit.who().user
        wrong, _ = await self._compare(visit, user, visit.typed("factor-current"))
        if wrong:
            return await self._account(visit, {"factor_current": wrong})
        sealed = self.context.sealer.seal_for_all(
            self.context.random(SECRET_BYTES), purpose(user.id)
        )
        try:
            await self._acting(visit).write(second_factors.begin, user.id, sealed)
        except Conflict as error:
            return await self._account(visit, {"factor": str(error)}, HTTPStatus.CONFLICT)
        return Moved(_SECOND_FACTOR)

    async def enrolment(self, visit: Visit) -> Reply:
        return await self._enrolment(visit, "")

    async def _enrolment(self, visit: Visit, error: str) -> Reply:
        user = visit.who().user
        factor = await self.context.store.read(second_factors.find_pending, user.id)
        if factor is None:
            return Moved("/account")
        secret = unsealed(self.context.sealer, factor)
        uri = provisioning_uri(secret, user.name, "TunnelCloud")
        values = {"uri": uri, "qr": qr_code(uri), "secret": secret_text(secret), "error": error}
        status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
        return Shown("second_factor.html", values, status)

    async def confirm_second_factor(self, visit: Visit) -> Reply:
        user_id = visit.who().user.id
        codes, hashes = self._new_codes()

        if not await self._acting(visit).write(
            second_factor.confirm, self.context.sealer, user_id, visit.typed("code"), hashes
        ):
            text = "The code is wrong. Is the clock of your device right?"
            return await self._enrolment(visit, text)
        return Moved(_RECOVERY_CODES, once={"codes": codes, "first": True})

    async def remove_second_factor(self, visit: Visit) -> Reply:
        user_id = visit.who().user.id
        judged = await self._acting(visit).write(
            second_factor.remove, self.context.sealer, user_id, visit.typed("code")
        )
        return await self._judged(visit, judged) or Moved(
            "/account", note="The second factor is removed: you sign in with the password alone."
        )

    async def renew_recovery_codes(self, visit: Visit) -> Reply:
        user_id = visit.who().user.id
        codes, hashes = self._new_codes()
        judged = await self._acting(visit).write(
            second_factor.renew_recovery_codes,
            self.context.sealer,
            user_id,
            visit.typed("code"),
            hashes,
        )
        moved = Moved(_RECOVERY_CODES, once={"codes": codes, "first": False})
        return await self._judged(visit, judged) or moved

    async def recovery_codes(self, visit: Visit) -> Reply:
        """Show recovery codes that were made, one time."""
        return Shown("recovery_codes.html", visit.once) if visit.once else Moved("/account")

    async def _judged(self, visit: Visit, judged: Judged) -> Reply | None:
        """Return the page for a refused code; None for a good one."""
        if judged.good:
            return None
        if judged.judgement is Judgement.NOT_ASKED:
            return Moved("/account")
        await self._refused(visit, "wrong code")
        return await self._account(visit, {"code": fault(judged)})

    def _new_codes(self) -> tuple[list[str], list[bytes]]:
        codes = new_recovery_codes(self.context.random)
        return codes, [hash_secret(read_recovery_code(code) or "") for code in codes]

    async def ask_others(self, visit: Visit) -> Reply:
        text = "They have to sign in again; command lines and API tokens end, too."
        back = "/account#sign-ins"
        return asked("End every sign-in but this one?", [text], "End all others", back)

    async def end_others(self, visit: Visit) -> Reply:
        who = visit.who()
        await self._acting(visit).write(
            end_access, who.user, Cause.OTHERS_ENDED, staying=who.web_session_id
        )
        return Moved("/account#sign-ins", note="The sign-in has ended.")

    async def end_one(self, visit: Visit) -> Reply:
        who, wanted = visit.who(), visit.params["web_session_id"]
        try:
            await self._acting(visit).write(web_sessions.end_own, who.user.id, wanted)
        except NotFound:
            raise Problem(HTTPStatus.NOT_FOUND, "that sign-in has already ended") from None
        return Moved("/account#sign-ins", note="The sign-in has ended.")


_BROWSERS = ("Firefox", "Edg", "OPR", "Chrome", "Safari")
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "CrOS", "Linux")
_SAID = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS", "CrOS": "ChromeOS"}


def _browser(user_agent: str) -> str:
    """Name a browser and its system by what it says of itself, if it is one that is known."""
    known = [
        next((name for name in names if name in user_agent), "") for names in (_BROWSERS, _SYSTEMS)
    ]
    if not all(known):
        return user_agent
    return " on ".join(_SAID.get(name, name) for name in known)


def _shown(session: web_sessions.WebSession, current: str) -> dict[str, Any]:
    return {
        "id": session.id,
        "current": session.id == current,
        "method": session.method,
        "source_ip": session.source_ip,
        "user_agent": session.user_agent,
        "browser": _browser(session.user_agent),
        "created_at": session.created_at.isoformat(),
        "last_seen_at": session.last_seen_at.isoformat(),
    }
