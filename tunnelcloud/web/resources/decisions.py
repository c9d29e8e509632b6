"""Operations that explain a decision, check a path, and answer ``/me``."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from tunnelcloud.domain.entities import Method, UserView
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import Ask, decide_tunnel, to_an_administrator
from tunnelcloud.domain.policy_sentences import waiting_text
from tunnelcloud.domain.ssh_command import own_host, ssh_command
from tunnelcloud.domain.tunnel_standing import Standing
from tunnelcloud.store import groups, tunnels, user_views, users
from tunnelcloud.store.column_types import plain
from tunnelcloud.store.errors import BadCursor, NotFound
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.credentials import Me, MyTunnel
from tunnelcloud.web.models.decisions import (
    Check,
    CheckQuery,
    Explanation,
    LastCheck,
    Question,
    RuleShown,
    Step,
)
from tunnelcloud.web.models.fields import PageQuery, Shown, page_model
from tunnelcloud.web.models.tunnels import PUBLISHED
from tunnelcloud.web.models.users import User
from tunnelcloud.web.problems import conflict
from tunnelcloud.web.resources.context import ApiContext, own_user_id
from tunnelcloud.web.resources.tokens import tunnels_of
from tunnelcloud.web.resources.tunnel_standing import own_standing, reader_of_sites
from tunnelcloud.web.routes import EVERYBODY, READERS, Call, Listed, Route, operation, rows_of


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for explanations, checks and ``/me``."""
    return rows_of(_Decisions(context))


def own_tunnel(
    tunnel: Tunnel, view: UserView, stands: Standing, context: ApiContext
) -> dict[str, Any]:
    """Show a tunnel to the user it is for."""
    paths = view.by_tunnel.get(tunnel.id, ())
    methods = sorted({method for grant in paths for method in grant.methods})
    method = Method.TOKEN if Method.TOKEN in methods else Method.KEY
    command = ssh_command(
        tunnel,
        view.user.name,
        method,
        context.live.ssh_public_address,
        target=own_host(view, tunnel),
    )
    return {
        **PUBLISHED(tunnel),
        "standing": str(stands.kind),
        "state": stands.text,
        "methods": plain(methods),
        "command": command,
        "ssh_address": str(context.live.ssh_public_address),
    }


@frozen
class _Decisions:
    context: ApiContext

    @operation("POST", "/explain", READERS, body=Question, answer=Explanation)
    async def explain(self, call: Call) -> Explanation:
        """Say whether a user may open a tunnel, and each rule that leads to it."""
        question = call.body_as(Question)

        def work(transaction: Transaction) -> tuple[UserView, Tunnel]:
            try:
                user = users.find(transaction, question.user)
            except NotFound as error:
                raise conflict("user", str(error)) from None
            try:
                tunnel = tunnels.find(transaction, question.tunnel)
            except NotFound as error:
                raise conflict("tunnel", str(error)) from None
            return user_views.load_view(transaction, user.id), tunnel

        view, tunnel = await self.context.store.read(work)
        usage = self.context.live.usage(view.user.id)
        decided = decide_tunnel(
            view,
            Ask(
                host=own_host(view, tunnel),
                port=question.port or tunnel.target_ports[0].first,
                method=question.method,
                source_ip=question.source_ip or call.source_ip,
                at=question.at or self.context.now(),
                session_seconds=question.session_seconds,
                open_sessions=lambda: usage.sessions,
                open_channels=lambda tunnel_id: usage.channels.get(tunnel_id, 0),
            ),
            tunnel,
        )
        decision = to_an_administrator(decided, view, tunnel)
        reason, awaited = decision.reason, decision.awaited
        if awaited is not None:
            approvers = await self.context.store.read(_group_name, awaited.approvers_id)
            reason = waiting_text(tunnel.name, view.user.name, awaited, approvers)
        return Explanation(
            allowed=decision.allowed,
            held=awaited is not None,
            reason=reason,
            rules=[RuleShown.model_validate(rule) for rule in decision.rules],
        )

    @operation("POST", "/tunnels/{tunnel_id}/check", READERS, query=CheckQuery, answer=Check)
    async def check_tunnel(self, call: Call) -> Check:
        """Check every hop from this pod to a tunnel's target."""
        tunnel = await self.context.store.read(tunnels.get, call.params["tunnel_id"])
        port = call.query_as(CheckQuery).port or tunnel.target_ports[0].first
        if not tunnel.publishes(port):
            raise conflict("port", f"{tunnel.name} doesn't publish port {port}")
        steps = await self.context.live.check_tunnel(tunnel, port, call.who().id)
        return Check(
            ok=all(step.ok for step in steps), steps=[Step.model_validate(step) for step in steps]
        )

    @operation("GET", "/tunnels/{tunnel_id}/check", READERS, answer=LastCheck)
    async def show_check(self, call: Call) -> LastCheck:
        """Show what this pod's last check of a tunnel found."""
        tunnel = await self.context.store.read(tunnels.get, call.params["tunnel_id"])
        found = self.context.live.last_check(tunnel.id)
        if found is None:
            return LastCheck(checked_at=None, ok=None, steps=[])
        steps = [Step.model_validate(step) for step in found.steps]
        return LastCheck(checked_at=found.at, ok=found.ok, steps=steps)

    @operation("GET", "/me", EVERYBODY, answer=Me)
    async def show_me(self, call: Call) -> Shown:
        """Say who is asking."""
        caller = call.who()
        if caller.user_id is None:
            return Me.model_validate({"role": caller.role, "user": None})
        user = await self.context.store.read(users.get, caller.user_id)
        return Me.model_validate({"role": caller.role, "user": User.model_validate(user)})

    @operation("GET", "/me/tunnels", EVERYBODY, query=PageQuery, answer=page_model(MyTunnel))
    async def list_own_tunnels(self, call: Call) -> Listed:
        """List your tunnels, with the command that opens each."""
        query = call.query_as(PageQuery)
        view = await self.context.store.read(user_views.load_view, own_user_id(call))
        found = tunnels_of(view.grants)
        start = 0
        if query.cursor is not None:
            ids = [tunnel.id for tunnel in found]
            if query.cursor not in ids:
                raise BadCursor
            start = ids.index(query.cursor) + 1
        page = found[start : start + query.limit]
        more = start + query.limit < len(found)
        offline = await self.context.store.read(reader_of_sites(self.context), page)

        def show(tunnel: Tunnel) -> dict[str, Any]:
            stands = own_standing(self.context, view, tunnel, call.source_ip, offline)
            return own_tunnel(tunnel, view, stands, self.context)

        next_cursor = page[-1].id if more else None
        # Each is decided on, by all the hours that its policies have.
        return Listed(page, next_cursor, show, self.context.showing.run, at_once=0)


def _group_name(transaction: Transaction, group_id: str | None) -> str:
    """Give the name of a group; empty where there is none."""
    try:
        return "" if group_id is None else groups.get(transaction, group_id).name
    except NotFound:
        return ""
