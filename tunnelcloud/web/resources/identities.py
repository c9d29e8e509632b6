"""Operations on users' links with identity providers, for administrators."""

from __future__ import annotations

from http import HTTPStatus

from attrs import frozen

from tunnelcloud.store import identity_links
from tunnelcloud.web.models.fields import Page
from tunnelcloud.web.models.identity_providers import Identity, NewIdentity
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS, Call, Listed, Route


def identity_routes(context: ApiContext) -> list[Route]:
    """Make the rows for users' identities."""
    handlers = _Identities(context)
    path = "/users/{user_id}/identities"
    return [
        Route(
            "GET",
            path,
            "list_identities",
            "List who a user is at identity providers.",
            READERS,
            handlers.list_all,
            answer=Page[Identity],
        ),
        Route(
            "POST",
            path,
            "create_identity",
            "Link somebody's account at an identity provider with a user.",
            ADMINS,
            handlers.link,
            body=NewIdentity,
            answer=Identity,
            status=HTTPStatus.CREATED,
        ),
        Route(
            "DELETE",
            f"{path}/{{identity_provider_id}}",
            "delete_identity",
            "Remove a user's link with an identity provider; sign-ins through it end.",
            ADMINS,
            handlers.unlink,
        ),
    ]


@frozen
class _Identities:
    context: ApiContext

    async def list_all(self, call: Call) -> Listed:
        found = await self.context.store.read(identity_links.list_of, call.params["user_id"])
        return Listed(found, None, values_as(Identity), self.context.showing.run)

    async def link(self, call: Call) -> Identity:
        body = call.body_as(NewIdentity)
        made = await self.context.acting(call).write(
            identity_links.link, call.params["user_id"], body.identity_provider_id, body.subject
        )
        return Identity.model_validate(made)

    async def unlink(self, call: Call) -> None:
        params = call.params
        await self.context.acting(call).write(
            identity_links.unlink, params["user_id"], params["identity_provider_id"]
        )
