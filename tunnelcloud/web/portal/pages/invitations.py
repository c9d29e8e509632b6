"""The one-time links that let people choose a password."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from attrs import frozen

from tunnelcloud.domain.names import read_user_name
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store.errors import Conflict
from tunnelcloud.web.portal import invitations
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.passwords import Passwords, UnusablePassword, check_new_password
from tunnelcloud.web.portal.session_start import enter_by_invitation
from tunnelcloud.web.portal.sign_in_cookies import SignIns, new_secret
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ANONYMOUS


def invitation_pages(context: ApiContext, passwords: Passwords) -> list[PageRoute]:
    """Make the rows of the page table for links that let people choose a password."""
    handlers = _Invitations(context, passwords, SignIns(context))
    invitation = "/invitation/{secret}"
    return [
        PageRoute("GET", invitation, ANONYMOUS, handlers.invitation),
        PageRoute("POST", invitation, ANONYMOUS, handlers.accept),
    ]


@frozen
class _Invitations:
    context: ApiContext
    passwords: Passwords
    sign_ins: SignIns

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
        chosen, names = (name, [name]) if user is None else (None, names_of(user))
        errors = faults_of_password(chosen, password, visit.typed("again"), names)
        if errors:
            return self._choose(visit, user, **errors)
        hashed = await self.passwords.hash(password)
        secret = new_secret(self.context)
        try:
            entry = await self.context.store.write(
                enter_by_invitation, link, name, hashed, secret, visit
            )
        except invitations.LinkIsOver:
            return _over()
        except Conflict as error:
            return self._choose(visit, user, name=str(error))
        return Moved("/sign-in") if entry is None else await entry.reply(visit, self.sign_ins)


def names_of(user: User) -> list[str]:
    """Give the names by which somebody who guesses a user's password may know them."""
    return list(filter(None, (user.name, user.email, user.title)))


def faults_of_password(
    name: str | None, password: str, again: str, names: Sequence[str]
) -> dict[str, str]:
    """Say what is wrong with a password that was chosen, and a name beside it, by the field.

    :param names: of its user.
    """
    errors = {}
    if name is not None:
        try:
            read_user_name(name)
        except ValueError as error:
            errors["name"] = str(error)
    try:
        check_new_password(password, names)
    except UnusablePassword as error:
        errors["password"] = str(error)
    if password != again:
        errors["again"] = "the two are not the same"
    return errors


def _over() -> Shown:
    values = {
        "title": "This link has expired",
        "text": "It was used, has expired, or was replaced by a newer one. "
        "Ask an administrator for another.",
    }
    return Shown("failed.html", values, HTTPStatus.GONE)
