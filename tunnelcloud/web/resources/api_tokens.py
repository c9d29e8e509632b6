"""Bearer tokens of this API, and one-time links to set a password."""

from __future__ import annotations

from http import HTTPStatus

from attrs import frozen

from tunnelcloud.domain import entities
from tunnelcloud.domain.tokens import hash_secret, new_api_token, new_link_secret
from tunnelcloud.store import api_tokens, invitations, users
from tunnelcloud.store.aggregate import version_of
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.authentication import RANKS
from tunnelcloud.web.models.access import (
    ApiToken,
    ApiTokenChange,
    ApiTokenMade,
    ApiTokenQuery,
    Invitation,
    NewApiToken,
)
from tunnelcloud.web.problems import invalid_field
from tunnelcloud.web.resources.collection import Kind, collection_routes
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.keys import check_expiry
from tunnelcloud.web.routes import ADMINS, Call, Item, Route


def _update(
    transaction: Transaction,
    token_id: str,
    changes: dict[str, object],
    *,
    expected_version: str | None = None,
) -> entities.ApiToken:
    token = api_tokens.update(transaction, token_id, changes, expected_version=expected_version)
    if "expires_at" in changes:
        check_expiry(transaction, token.expires_at)
    return token


API_TOKEN = Kind(
    noun="api_token",
    article="an",
    plural="api-tokens",
    shown=ApiToken,
    new=NewApiToken,
    change=ApiTokenChange,
    query=ApiTokenQuery,
    get=api_tokens.get,
    list_page=api_tokens.list_page,
    create=api_tokens.create,
    update=_update,
    delete=api_tokens.delete,
    show=ApiToken.model_validate,
)


def api_token_routes(context: ApiContext) -> list[Route]:
    """Make the rows for API tokens and invitations."""
    handlers = _Secrets(context)
    return [
        *(route for route in collection_routes(context, API_TOKEN) if route.method != "POST"),
        Route(
            "POST",
            "/api-tokens",
            "create_api_token",
            "Make an API token; its secret is shown this once.",
            ADMINS,
            handlers.create,
            body=NewApiToken,
            answer=ApiTokenMade,
            status=HTTPStatus.CREATED,
            item=True,
        ),
        Route(
            "POST",
            "/users/{user_id}/invitations",
            "invite_user",
            "Make a one-time link by which a user sets a password; the one before ends.",
            ADMINS,
            handlers.invite,
            answer=Invitation,
            status=HTTPStatus.CREATED,
        ),
    ]


@frozen
class _Secrets:
    context: ApiContext

    async def create(self, call: Call) -> Item:
        body = call.body_as(NewApiToken)
        secret = new_api_token(self.context.random)

        def work(transaction: Transaction) -> entities.ApiToken:
            check_expiry(transaction, body.expires_at)
            _check_role(transaction, body)
            return api_tokens.create(
                transaction,
                title=body.title,
                role=body.role,
                secret_hash=hash_secret(secret),
                user_id=body.user_id,
                expires_at=body.expires_at,
            )

        token = await self.context.acting(call).write(work)
        shown = ApiToken.model_validate(token)
        return Item(ApiTokenMade(**shown.model_dump(), token=secret), version_of(token))

    async def invite(self, call: Call) -> Invitation:
        secret = new_link_secret(self.context.random)
        made = await self.context.acting(call).write(
            invitations.create,
            user_id=call.params["user_id"],
            secret_hash=hash_secret(secret),
            lifetime_seconds=self.context.invitation_lifetime,
        )
        return Invitation(url=self.context.invitation_url(secret), expires_at=made.expires_at)


def _check_role(transaction: Transaction, body: NewApiToken) -> None:
    """A token of a user's is for what that user may do; one of nobody's is for more than C{/me}."""
    if body.user_id is None:
        if body.role is entities.Role.USER:
            raise invalid_field("user_id", "is required for the role user, which has only /me")
        return
    try:
        user = users.get(transaction, body.user_id)
    except NotFound as error:
        raise invalid_field("user_id", str(error)) from None
    if RANKS[body.role] > RANKS[user.role]:
        raise invalid_field("role", f"{user.name} has the role {user.role}, which is less")
