"""Bearer tokens of this API, and one-time links to set a password."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

from attrs import evolve, frozen

from tunnelcloud.domain import entities
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret, new_api_token, new_link_secret
from tunnelcloud.store import api_tokens, invitations, second_factors, users
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.object_writes import version_of
from tunnelcloud.store.revocations import Cause, end_access
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.caller_rights import rank
from tunnelcloud.web.models.credentials import (
    ApiToken,
    ApiTokenChange,
    ApiTokenMade,
    ApiTokenQuery,
    Invitation,
    NewApiToken,
)
from tunnelcloud.web.models.fields import PageQuery
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.problems import conflict, not_found
from tunnelcloud.web.resources.collection import TEXTS, Kind, collection_routes
from tunnelcloud.web.resources.context import OWN, ApiContext, check_own
from tunnelcloud.web.resources.keys import check_expiry
from tunnelcloud.web.routes import ADMINS, EVERYBODY, Call, Item, Route, operation, rows_of


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
    show=values_as(ApiToken),
    made=ApiTokenMade,
    texts={**TEXTS, "create": "Create an API token; its secret is shown only in this answer."},
)

_OWN_API_TOKEN = evolve(
    API_TOKEN,
    query=PageQuery,
    list_page=partial(api_tokens.list_page, sort="-created_at"),
    texts={
        **API_TOKEN.texts,
        "list": "List your API tokens, such as those of command lines.",
        "delete": "Delete one of your API tokens.",
    },
)


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for API tokens and invitations."""
    handlers = _Secrets(context)
    return [
        *collection_routes(context, API_TOKEN, create=handlers.create),
        *(
            route
            for route in collection_routes(context, _OWN_API_TOKEN, OWN)
            if route.name in ("list_own_api_tokens", "delete_own_api_token")
        ),
        *rows_of(handlers),
    ]


@frozen
class _Secrets:
    context: ApiContext

    async def create(self, call: Call) -> Item:
        check_own(call)
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

    @operation(
        "POST", "/users/{user_id}/invitations", ADMINS, answer=Invitation, status=HTTPStatus.CREATED
    )
    async def invite_user(self, call: Call) -> Invitation:
        """Create a one-time link with which a user sets a password; an earlier link ends."""
        check_own(call)
        secret = new_link_secret(self.context.random)
        made = await self.context.acting(call).write(
            invitations.create,
            user_id=call.params["user_id"],
            secret_hash=hash_secret(secret),
            lifetime_seconds=self.context.invitation_lifetime,
        )
        return Invitation(url=self.context.invitation_url(secret), expires_at=made.expires_at)

    @operation("DELETE", "/users/{user_id}/second-factor", ADMINS)
    async def reset_second_factor(self, call: Call) -> None:
        """Remove a user's second factor: the password alone signs them in."""
        user_id = call.params["user_id"]

        def work(transaction: Transaction) -> None:
            if not second_factors.remove(transaction, user_id):
                raise not_found("the user has no second factor")
            end_access(transaction, users.get(transaction, user_id), Cause.SECOND_FACTOR_RESET)

        await self.context.acting(call).write(work)

    @operation("DELETE", "/me/api-token", EVERYBODY)
    async def sign_out(self, call: Call) -> None:
        """Delete the API token that this call is made with."""
        token_id = call.who().api_token_id
        if token_id is None:
            raise conflict("", "this call is made with no API token")
        await self.context.acting(call).write(api_tokens.delete, token_id)


def _check_role(transaction: Transaction, body: NewApiToken) -> None:
    """A user's token has at most the user's role; a token of no user needs more than ``/me``."""
    if body.user_id is None:
        if body.role is Role.USER:
            raise conflict("user_id", "is required for the role user, which has only /me")
        return
    try:
        user = users.get(transaction, body.user_id)
    except NotFound as error:
        raise conflict("user_id", str(error)) from None
    if rank(body.role) > rank(user.role):
        raise conflict("role", f"{user.name} has the role {user.role}, which is less")
