"""Signing in and out, and the one-time links that let people choose a password."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from urllib.parse import urlsplit

from attrs import frozen

from tunnelcloud.domain.entities import User
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.names import read_user_name
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import users, web_sessions
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal import invitations
from tunnelcloud.web.portal.attempts import SignInAttempts
from tunnelcloud.web.portal.passwords import Passwords, UnusablePassword, check_new_password
from tunnelcloud.web.portal.signing import IDLE_SECONDS, SignIns, new_secret
from tunnelcloud.web.portal.visits import Moved, Page, Reply, Shown, Visit
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ANONYMOUS, EVERYBODY

_WRONG = "The name or the password is wrong."


def sign_in_pages(context: ApiContext, passwords: Passwords) -> list[Page]:
    """Make the rows of the page table for signing in and out."""
    handlers = _SignIn(context, passwords, SignInAttempts(context.clock), SignIns(context))
    invitation = "/invitation/{secret}"
    return [
        Page("GET", "/sign-in", ANONYMOUS, handlers.form),
        Page("POST", "/sign-in", ANONYMOUS, handlers.sign_in),
        Page("POST", "/sign-out", EVERYBODY, handlers.sign_out),
        Page("GET", invitation, ANONYMOUS, handlers.invitation),
        Page("POST", invitation, ANONYMOUS, handlers.accept),
    ]


def local_path(address: str) -> str:
    """Give where to go after signing in: a page of ours, whatever was asked for."""
    parts = urlsplit(address)
    ours = address.startswith("/") and not parts.scheme and not parts.netloc
    plain = address.isascii() and address.isprintable() and "\\" not in address
    return address if ours and plain and not address.startswith("//") else "/"


def _login(transaction: Transaction, name: str) -> tuple[User, str] | None:
    """Find who may sign in under a name, and the hash of their password."""
    user = users.find_login(transaction, name)
    if user is None or user.blocked or user.service:
        return None
    hashed = users.password_hash(transaction, user.id)
    return None if hashed is None else (user, hashed)


@frozen
class _SignIn:
    context: ApiContext
    passwords: Passwords
    attempts: SignInAttempts
    sign_ins: SignIns

    async def form(self, visit: Visit) -> Reply:
        next_page = local_path(visit.query.get("next", "/"))
        if visit.signed_in is not None:
            return Moved(next_page)
        return self._form(visit, next_page)

    def _form(
        self,
        visit: Visit,
        next_page: str,
        error: str = "",
        status: int = 200,
        wait: int | None = None,
    ) -> Shown:
        values = {"next": next_page, "name": visit.typed("name"), "error": error,
                  "web_url": self.context.web_url}  # fmt: skip
        headers = {} if wait is None else {"Retry-After": str(wait)}
        return Shown("sign_in.html", values, status, headers)

    async def sign_in(self, visit: Visit) -> Reply:
        next_page = local_path(visit.typed("next"))
        name, password = visit.typed("name").strip()[:320], visit.typed("password")
        wait = ceil(self.attempts.begin(name, visit.source_ip))
        if wait:
            text = f"Too many attempts: try again in {wait} s."
            return self._form(visit, next_page, text, HTTPStatus.TOO_MANY_REQUESTS, wait)
        found = await self.context.store.read(_login, name)
        right = await self.passwords.verify(password, None if found is None else found[1])
        if found is None or not right:
            await self.context.store.write(_refused, name, visit.source_ip)
            return self._form(visit, next_page, _WRONG, HTTPStatus.UNPROCESSABLE_ENTITY)
        user, hashed = found
        secret = new_secret(self.context)

        def work(transaction: Transaction) -> bool:
            # Whoever was blocked, or got another password, while this one was compared: not them.
            if _login(transaction, name) != (user, hashed):
                return False
            self._begin(transaction, user, secret, visit, "password")
            return True

        if not await self.context.store.write(work):
            return self._form(visit, next_page, _WRONG, HTTPStatus.UNPROCESSABLE_ENTITY)
        self.attempts.succeeded(name, visit.source_ip)
        await self._end_former(visit)
        return Moved(next_page, session=secret)

    async def sign_out(self, visit: Visit) -> Reply:
        await self.sign_ins.end(visit.who())
        return Moved("/sign-in", session="")

    async def invitation(self, visit: Visit) -> Reply:
        try:
            _, user = await self.context.store.read(invitations.invited, visit.params["secret"])
        except invitations.LinkIsOver:
            return _over()
        return self._choose(visit, user)

    def _choose(self, visit: Visit, user: User | None, **errors: str) -> Shown:
        values = {
            "whose": None if user is None else user.name,
            "name": visit.typed("name"),
            "errors": errors,
            "web_url": self.context.web_url,
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("invitation.html", values, status)

    async def accept(self, visit: Visit) -> Reply:
        link = visit.params["secret"]
        try:
            _, user = await self.context.store.read(invitations.invited, link)
        except invitations.LinkIsOver:
            return _over()
        name, password = visit.typed("name").strip(), visit.typed("password")
        errors = _faults(None if user is not None else name, password, visit.typed("again"))
        if errors:
            return self._choose(visit, user, **errors)
        hashed = await self.passwords.hash(password)
        secret = new_secret(self.context)

        def work(transaction: Transaction) -> None:
            accepted = invitations.accept(transaction, link, name, hashed)
            if not accepted.blocked:
                self._begin(transaction, accepted, secret, visit, "invitation")

        try:
            await self.context.store.write(work)
        except invitations.LinkIsOver:
            return _over()
        except Conflict as error:
            return self._choose(visit, user, name=str(error))
        await self._end_former(visit)
        return Moved("/", session=secret)

    def _begin(
        self, transaction: Transaction, user: User, secret: str, visit: Visit, method: str
    ) -> None:
        web_sessions.create(
            transaction,
            user_id=user.id,
            secret_hash=hash_secret(secret),
            lifetime_seconds=IDLE_SECONDS,
            method=method,
            source_ip=visit.source_ip,
            user_agent=visit.user_agent,
        )

    async def _end_former(self, visit: Visit) -> None:
        """End the sign-in that this browser had: it keeps one."""
        if visit.signed_in is not None:
            await self.sign_ins.end(visit.signed_in)


def _refused(transaction: Transaction, name: str, source_ip: str) -> None:
    user = users.find_login(transaction, name)
    transaction.audit(
        AuditEvent(
            "web_login.refused",
            user_id=None if user is None else user.id,
            user_name=None if user is None else user.name,
            source_ip=source_ip,
            data={"login_name": name, "reason": "wrong name or password"},
        )
    )


def _faults(name: str | None, password: str, again: str) -> dict[str, str]:
    errors = {}
    if name is not None:
        try:
            read_user_name(name)
        except ValueError as error:
            errors["name"] = str(error)
    try:
        check_new_password(password)
    except UnusablePassword as error:
        errors["password"] = str(error)
    if not errors and password != again:
        errors["again"] = "the two are not the same"
    return errors


def _over() -> Shown:
    values = {
        "title": "This link is over",
        "text": "It was used, has expired, or was replaced by a newer one. "
        "Ask an administrator for another.",
    }
    return Shown("failed.html", values, HTTPStatus.GONE)
