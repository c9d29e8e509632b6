"""One-time tokens: made for a user by an administrator, or by users for themselves."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from http import HTTPStatus

from attrs import frozen

from tunnelcloud.domain.entities import Grant, Method, UserView
from tunnelcloud.domain.names import usable
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import Ask, allowed_token_sessions, shut_for_tokens, token_paths
from tunnelcloud.domain.ssh_command import (
    ASKED_FOR_TOKEN,
    OWN_CONNECTION,
    PublicAddress,
    own_host,
    ssh_command,
)
from tunnelcloud.domain.tokens import hash_secret, new_token
from tunnelcloud.store import tokens, user_views
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.site_health import offline_sites
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.credentials import NewOwnToken, NewToken, Token, TokenMade, TokenQuery
from tunnelcloud.web.models.fields import Page, PageQuery
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.problems import conflict
from tunnelcloud.web.resources.attached_connectors import attachments_now, offline_text
from tunnelcloud.web.resources.collection import listed, page_reader
from tunnelcloud.web.resources.context import ANYBODYS, OWN, ApiContext, Whose, own_user_id
from tunnelcloud.web.routes import READERS, Call, Listed, Route


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for one-time tokens."""
    anybodys = _Tokens(context, ANYBODYS)
    return [
        *_rows(anybodys),
        Route(
            "GET",
            "/tokens/{token_id}",
            "show_token",
            "Show a one-time token, never its secret.",
            READERS,
            anybodys.show,
            answer=Token,
        ),
        *_rows(_Tokens(context, OWN)),
    ]


def _rows(handlers: _Tokens) -> list[Route]:
    whose = handlers.whose
    path = f"{whose.path}/tokens"
    return [
        Route(
            "GET",
            path,
            f"list_{whose.own}tokens",
            "List your one-time tokens."
            if whose.own
            else "List one-time tokens, never their secrets.",
            whose.readers,
            handlers.list_all,
            query=handlers.query,
            answer=Page[Token],
        ),
        Route(
            "POST",
            path,
            f"create_{whose.own}token",
            f"Create a one-time token for {'oneself' if whose.own else 'a user'}; "
            "its secret is shown this once.",
            whose.writers,
            handlers.create,
            body=NewOwnToken if whose.own else NewToken,
            answer=TokenMade,
            status=HTTPStatus.CREATED,
        ),
        Route(
            "DELETE",
            f"{path}/{{token_id}}",
            f"revoke_{whose.own}token",
            "Revoke one of your one-time tokens." if whose.own else "Revoke a one-time token.",
            whose.writers,
            handlers.revoke,
        ),
    ]


def tunnels_of(grants: Iterable[Grant]) -> list[Tunnel]:
    """Give the tunnels of grants, each once, in their order."""
    return list({grant.tunnel.id: grant.tunnel for grant in grants}.values())


def token_command(view: UserView, tunnel: Tunnel | None, address: PublicAddress) -> str:
    """Give the command that a token is for: of its tunnel, or the only one that it can open.

    Where there are several, the command logs in and shows them.
    """
    if tunnel is None:
        opened = tunnels_of(usable(view, Method.TOKEN, None))
        tunnel = opened[0] if len(opened) == 1 else None
    if tunnel is None:
        login = f"{view.user.name}@{address.host}"
        port = str(address.port)
        return shlex.join(["ssh", *OWN_CONNECTION, *ASKED_FOR_TOKEN, "-p", port, login])
    target = own_host(view, tunnel)
    return ssh_command(tunnel, view.user.name, Method.TOKEN, address, target=target)


def _bound_tunnel(view: UserView, body: NewOwnToken) -> Tunnel | None:
    """Find the tunnel for a token, and compare ``sessions`` with the tunnel's policies."""
    if body.tunnel_id is None:
        if body.sessions > 1:
            raise conflict("sessions", "more than one needs a token that is bound to a tunnel")
        return None
    paths = token_paths(view, body.tunnel_id)
    if not paths:
        raise conflict("tunnel_id", f"{view.user.name} has no such tunnel that opens with a token")
    allowed = allowed_token_sessions(view, body.tunnel_id)
    if body.sessions > allowed:
        text = f"use {allowed} or less: a policy can allow a token more sessions"
        raise conflict("sessions", text)
    return paths[0].tunnel


@frozen
class _Tokens:
    context: ApiContext
    whose: Whose

    @property
    def query(self) -> type[PageQuery]:
        """What a list can be asked: whose the tokens are is asked of administrators alone."""
        return PageQuery if self.whose.own else TokenQuery

    async def list_all(self, call: Call) -> Listed:
        filters = self.whose.filters(call, self.query)
        page = await self.context.store.read(
            page_reader(tokens.list_page, sort="-created_at", **filters)
        )
        return listed(self.context, page, values_as(Token))

    async def show(self, call: Call) -> Token:
        found = await self.context.store.read(tokens.get, call.params["token_id"])
        return Token.model_validate(found)

    async def create(self, call: Call) -> TokenMade:
        body = call.body_as(NewOwnToken)
        user_id = body.user_id if isinstance(body, NewToken) else own_user_id(call)
        secret = new_token(self.context.random)

        attachments, now = attachments_now(self.context), self.context.now()

        def look(transaction: Transaction) -> tuple[UserView, Tunnel | None, str]:
            """Read what the token would open.  In a write, logins would wait for it."""
            try:
                view = user_views.load_view(transaction, user_id)
            except NotFound as error:
                raise conflict("user_id", str(error)) from None
            if view.user.blocked:
                raise conflict("user_id", f"user {view.user.name} is blocked: unblock them first")
            tunnel = _bound_tunnel(view, body)
            opened = [tunnel] if tunnel is not None else tunnels_of(view.grants)
            sites = offline_sites(transaction, {one.site_id for one in opened}, attachments)
            offline = {
                one.id: f"{one.name}: {offline_text(one, sites[one.site_id], now)}"
                for one in opened
                if one.site_id in sites
            }
            ask = Ask("", 0, Method.TOKEN, call.source_ip, now)
            return view, tunnel, shut_for_tokens(view, body.tunnel_id, ask, offline)

        view, tunnel, shut = await self.context.store.read(look)
        token = await self.context.acting(call).write(
            tokens.create,
            user_id=view.user.id,
            secret_hash=hash_secret(secret),
            lifetime_seconds=self.context.token_lifetime,
            tunnel_id=body.tunnel_id,
            sessions=body.sessions,
        )
        return TokenMade(
            id=token.id,
            token=secret,
            expires_at=token.expires_at,
            command=token_command(view, tunnel, self.context.live.ssh_public_address),
            warnings=[f"the token opens nothing now: {shut}"] if shut else [],
        )

    async def revoke(self, call: Call) -> None:
        token_id, owners = call.params["token_id"], self.whose.owners(call)

        def work(transaction: Transaction) -> None:
            if owners:
                tokens.get(transaction, token_id, **owners)
            tokens.revoke(transaction, token_id)

        await self.context.acting(call).write(work)
