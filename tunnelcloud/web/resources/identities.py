"""Operations on users' links with identity providers, for administrators."""

from __future__ import annotations

from http import HTTPStatus

from attrs import frozen

from tunnelcloud.store import identity_links
from tunnelcloud.web.models.fields import Page
from tunnelcloud.web.models.identity_providers import Identity, NewIdentity
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS, Call, Listed, Route, operation, rows_of

_ALL = "/users/{user_id}/identities"


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for users' identities."""
    return rows_of(_Identities(context))


@frozen
class _Identities:
    context: ApiContext

    @operation("GET", _ALL, READERS, answer=Page[Identity])
    async def list_identities(self, call: Call) -> Listed:
        """List who a user is at identity providers."""
        found = await self.context.store.read(identity_links.list_of, call.params["user_id"])
        return Listed(found, None, values_as(Identity), self.context.showing.run)

    @operation("POST", _ALL, ADMINS, body=NewIdentity, answer=Identity, status=HTTPStatus.CREATED)
    async def create_identity(self, call: Call) -> Identity:
        """Link somebody's account at an identity provider with a user."""
        body = call.body_as(NewIdentity)
        made = await self.context.acting(call).write(
            identity_links.link, call.params["user_id"], body.identity_provider_id, body.subject
        )
        return Identity.model_validate(made)

    @operation("DELETE", f"{_ALL}/{{identity_provider_id}}", ADMINS)
    async def delete_identity(self, call: Call) -> None:
        """Remove a user's link with an identity provider; sign-ins through it end."""
        params = call.params
        await self.context.acting(call).write(
            identity_links.unlink, params["user_id"], params["identity_provider_id"]
        )
