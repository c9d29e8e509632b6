"""Requests for an approval: asked, approved, refused; and the grants that they lead to."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from attrs import frozen

from tunnelcloud.domain import approvals as domain
from tunnelcloud.domain.entities import UserView
from tunnelcloud.domain.objects.policies import Approval, Policy
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.store import (
    api_tokens,
    approvals,
    emergencies,
    policies,
    timed_grants,
    user_views,
    users,
)
from tunnelcloud.store.errors import InvalidReference, NotFound
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.approvals import (
    Answer,
    ApprovalRequest,
    GrantQuery,
    NewEmergency,
    NewRequest,
    RequestQuery,
    TimedGrant,
)
from tunnelcloud.web.models.fields import Page
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.problems import forbidden
from tunnelcloud.web.resources.collection import listed, page_reader
from tunnelcloud.web.resources.context import ApiContext, own_user_id
from tunnelcloud.web.routes import EVERYBODY, READERS, Call, Listed, Route, operation, rows_of

_ONE = "/requests/{request_id}"


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for requests and grants."""
    return rows_of(_Approvals(context))


@frozen
class _Approvals:
    context: ApiContext

    @operation("GET", "/requests", EVERYBODY, query=RequestQuery, answer=Page[ApprovalRequest])
    async def list_requests(self, call: Call) -> Listed:
        """List requests: yours and those that you may decide; administrators see all."""
        filters = call.query_as(RequestQuery).filters()
        if filters.pop("decidable", False):
            filters["decidable_by"] = own_user_id(call)
        if call.who().role not in READERS:
            filters["concerning"] = own_user_id(call)
        page = await self.context.store.read(page_reader(approvals.list_requests, **filters))
        return listed(self.context, page, values_as(ApprovalRequest))

    @operation(
        "POST",
        "/requests",
        EVERYBODY,
        body=NewRequest,
        answer=ApprovalRequest,
        status=HTTPStatus.CREATED,
    )
    async def create_request(self, call: Call) -> ApprovalRequest:
        """Ask for an approval before it is needed, or to prolong the one that is in force."""
        body, user_id = call.body_as(NewRequest), own_user_id(call)

        view = await self.context.store.read(user_views.load_view, user_id)
        tunnel, policy = _asked_of(view, body.tunnel_id)
        request = await self.context.acting(call).write(
            approvals.ask,
            view.user,
            tunnel,
            policy,
            source_ip=call.source_ip,
            seconds=body.seconds,
            reason=body.reason,
        )
        return ApprovalRequest.model_validate(request)

    @operation("GET", _ONE, EVERYBODY, answer=ApprovalRequest)
    async def show_request(self, call: Call) -> ApprovalRequest:
        """Show a request."""
        request_id = call.params["request_id"]
        request = await self.context.store.read(self._reader(call), request_id)
        return ApprovalRequest.model_validate(request)

    @operation("POST", f"{_ONE}/approve", EVERYBODY, body=Answer, answer=TimedGrant)
    async def approve_request(self, call: Call) -> TimedGrant:
        """Approve a request: as an approver of the policy, or your own in the portal."""
        grant = await self._decide(call, approvals.approve)
        return TimedGrant.model_validate(grant)

    @operation("POST", f"{_ONE}/refuse", EVERYBODY, body=Answer, answer=ApprovalRequest)
    async def refuse_request(self, call: Call) -> ApprovalRequest:
        """Refuse a request."""
        return ApprovalRequest.model_validate(await self._decide(call, approvals.refuse))

    @operation("GET", "/grants", EVERYBODY, query=GrantQuery, answer=Page[TimedGrant])
    async def list_grants(self, call: Call) -> Listed:
        """List grants: yours and emergencies that you may review; administrators see all."""
        filters = call.query_as(GrantQuery).filters()
        if call.who().role not in READERS:
            filters["concerning"] = own_user_id(call)
        page = await self.context.store.read(page_reader(timed_grants.list_page, **filters))
        return listed(self.context, page, values_as(TimedGrant))

    @operation("GET", "/grants/{grant_id}", EVERYBODY, answer=TimedGrant)
    async def show_grant(self, call: Call) -> TimedGrant:
        """Show a grant."""
        grant = await self.context.store.read(self._grant, call)
        return TimedGrant.model_validate(grant)

    @operation(
        "POST",
        "/grants",
        EVERYBODY,
        body=NewEmergency,
        answer=TimedGrant,
        status=HTTPStatus.CREATED,
    )
    async def create_emergency(self, call: Call) -> TimedGrant:
        """Open a tunnel without an approval, where its policy allows that in an emergency."""
        body, user_id = call.body_as(NewEmergency), own_user_id(call)

        view = await self.context.store.read(user_views.load_view, user_id)
        tunnel, policy = _asked_of(view, body.tunnel_id, emergency=True)
        grant = await self.context.acting(call).write(
            emergencies.begin,
            view.user,
            tunnel,
            policy,
            source_ip=call.source_ip,
            reason=body.reason.strip(),
            seconds=body.seconds,
        )
        return TimedGrant.model_validate(grant)

    @operation("POST", "/grants/{grant_id}/review", EVERYBODY, body=Answer, answer=TimedGrant)
    async def review_emergency(self, call: Call) -> TimedGrant:
        """Review another user's emergency, as an approver of its policy or an administrator."""
        answer = call.body_as(Answer).answer

        def work(transaction: Transaction) -> domain.TimedGrant:
            grant, user_id = self._grant(transaction, call), own_user_id(call)
            policies.hold(transaction, grant.policy_id, user_id)
            if user_id == grant.user_id:
                raise forbidden("your own emergency is for somebody else to review")
            _check_maker(transaction, call, grant.user_id)
            if call.who().role is not Role.ADMIN and not self._reviews(transaction, call):
                raise forbidden("only approvers of the policy and administrators review this")
            by = users.get(transaction, user_id)
            return emergencies.review(transaction, grant.id, by, answer=answer)

        return TimedGrant.model_validate(await self.context.acting(call).write(work))

    @operation("DELETE", "/grants/{grant_id}", EVERYBODY)
    async def end_grant(self, call: Call) -> None:
        """End a grant: yours, one that you have allowed or may review, or any as an
        administrator.
        """
        grant_id, who = call.params["grant_id"], call.who()

        def work(transaction: Transaction) -> None:
            grant = self._grant(transaction, call)
            concerned = who.user_id in (grant.user_id, grant.allowed_by_id)
            if (
                who.role is not Role.ADMIN
                and not concerned
                and not self._reviews(transaction, call)
            ):
                raise NotFound("grant", grant_id)
            timed_grants.end(transaction, grant_id)

        await self.context.acting(call).write(work)

    def _grant(self, transaction: Transaction, call: Call) -> domain.TimedGrant:
        """Read the grant that is asked for.

        :raise NotFound: there is none, as far as the caller may know.
        """
        grant, who = timed_grants.get(transaction, call.params["grant_id"]), call.who()
        known = who.role in READERS or who.user_id in (grant.user_id, grant.allowed_by_id)
        if not known and not self._reviews(transaction, call):
            raise NotFound("grant", grant.id)
        return grant

    def _reviews(self, transaction: Transaction, call: Call) -> bool:
        user_id = call.who().user_id
        return user_id is not None and timed_grants.may_review(
            transaction, call.params["grant_id"], user_id
        )

    async def _decide(self, call: Call, decide: Callable[..., Any]) -> Any:
        request_id, answer = call.params["request_id"], call.body_as(Answer).answer
        read, who = self._reader(call), call.who()

        def work(transaction: Transaction) -> Any:
            request = read(transaction, request_id)
            by = self._who_decides(transaction, call, request)
            if request.approval is Approval.SELF and who.api_token_id is not None:
                raise forbidden("confirm your own connection in the portal, not by an API token")
            return decide(transaction, request_id, by, answer=answer)

        return await self.context.acting(call).write(work)

    def _who_decides(
        self, transaction: Transaction, call: Call, request: domain.ApprovalRequest
    ) -> User:
        user_id = own_user_id(call)
        policies.hold(transaction, request.policy_id, user_id)
        if approvals.may_decide(transaction, request.id, user_id):
            _check_maker(transaction, call, request.user_id)
            return users.get(transaction, user_id)
        if user_id == request.user_id:
            raise forbidden("your own request is for the approvers of its policy to decide")
        raise forbidden("only members of the policy's group of approvers decide this request")

    def _reader(self, call: Call) -> Callable[[Transaction, str], domain.ApprovalRequest]:
        if call.who().role in READERS:
            return approvals.get
        user_id = own_user_id(call)
        return lambda transaction, request_id: approvals.get_concerning(
            transaction, request_id, user_id
        )


def _check_maker(transaction: Transaction, call: Call, asker_id: str) -> None:
    """Refuse a decision by an API token that the one who asks created for the one who decides.

    :raise Problem: 403.
    """
    token_id, theirs = call.who().api_token_id, call.who().user_id == asker_id
    if token_id is None or theirs:
        return
    if api_tokens.get(transaction, token_id).made_by_id == asker_id:
        raise forbidden("who asks created this API token: whoever decides uses one of their own")


def _asked_of(view: UserView, tunnel_id: str, *, emergency: bool = False) -> tuple[Tunnel, Policy]:
    """Find a tunnel, and the policy whose approval a user can ask for beforehand.

    :param emergency: find the policy by which they can do without it in an emergency.
    :raise InvalidReference: the tunnel isn't the user's; to them it looks like none.
    """
    found = askable(view).get(tunnel_id)
    if found is None:
        raise InvalidReference("tunnel_id", "tunnel", tunnel_id)
    return found.tunnel, (found.opens_alone or found.policy) if emergency else found.policy


@frozen
class Askable:
    """A tunnel that a user may ask for.

    :ivar policy: whose approval they ask for.
    :ivar opens_alone: by which they can do without one in an emergency; None if none lets them.
    """

    tunnel: Tunnel
    policy: Policy
    opens_alone: Policy | None

    @property
    def emergency_seconds(self) -> int | None:
        """For how long they may open it without an approval in an emergency."""
        return None if self.opens_alone is None else self.opens_alone.emergency_seconds


def askable(view: UserView) -> dict[str, Askable]:
    """List the tunnels, by their ids, that a user may ask others for."""
    found: dict[str, list[Policy]] = {}
    tunnels: dict[str, Tunnel] = {}
    for grant in view.grants:
        for policy in grant.policies:
            if policy.approval is Approval.OTHERS:
                tunnels[grant.tunnel.id] = grant.tunnel
                found.setdefault(grant.tunnel.id, []).append(policy)
    return {
        tunnel_id: Askable(
            tunnels[tunnel_id],
            policies[0],
            next((one for one in policies if one.emergency_seconds is not None), None),
        )
        for tunnel_id, policies in found.items()
    }
