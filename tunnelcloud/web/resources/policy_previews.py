"""A policy before it is saved: what it says, whom it concerns, and what it would cut.

Nothing is written.  The sessions are judged in a thread of the store, by the function that
enforcement decides with.
"""

from __future__ import annotations

from attrs import frozen

from tunnelcloud.domain.entities import Channel
from tunnelcloud.domain.objects import POLICY
from tunnelcloud.domain.objects.policies import Policy
from tunnelcloud.domain.policy_effects import Cut
from tunnelcloud.domain.policy_sentences import policy_sentence, standing_sentence
from tunnelcloud.store import policies, policy_effects
from tunnelcloud.store.policy_effects import Effects
from tunnelcloud.web.models import policies as models
from tunnelcloud.web.models.policy_previews import PolicyCut, PolicyPreview
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, Call, Route, operation, rows_of

_DESTINATIONS = 3


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for policies that aren't saved yet."""
    return rows_of(_Previews(context))


@frozen
class _Previews:
    context: ApiContext

    @operation("POST", "/policies/preview", ADMINS, body=models.NewPolicy, answer=PolicyPreview)
    async def preview_new_policy(self, call: Call) -> PolicyPreview:
        """Say what a new policy would mean; nothing is saved."""
        values = POLICY.with_defaults(call.body_as(models.NewPolicy).given())
        made = Policy(id="", created_at=self.context.now(), **values)
        checked = policies.changed(made, {"valid_until": made.valid_until})
        return self._preview(checked, Effects())

    @operation(
        "POST",
        "/policies/{policy_id}/preview",
        ADMINS,
        body=models.PolicyChange,
        answer=PolicyPreview,
    )
    async def preview_policy(self, call: Call) -> PolicyPreview:
        """Say whom a policy concerns, and which sessions a change of it would cut now; nothing is
        saved."""
        changes = call.body_as(models.PolicyChange).given()
        planned = await self.context.store.read_long(
            policy_effects.of_plan, call.params["policy_id"], changes, self.context.now()
        )
        return self._preview(planned.policy, planned.effects)

    def _preview(self, policy: Policy, effects: Effects) -> PolicyPreview:
        shown = models.Policy.model_validate(policy).model_dump(mode="json")
        return PolicyPreview(
            sentence=policy_sentence(shown),
            standing=standing_sentence(policy, self.context.now()),
            users=effects.users,
            tunnels=effects.tunnels,
            sessions=effects.sessions,
            channels=effects.channels,
            cut_sessions=effects.cut_sessions,
            cut_channels=effects.cut_channels,
            ended_sessions=effects.ended,
            cuts=[_cut(one) for one in effects.cuts],
            is_complete=effects.is_complete,
        )


def _cut(cut: Cut) -> PolicyCut:
    return PolicyCut(
        session_id=cut.session.id,
        user_id=cut.session.user_id,
        user_name=cut.session.user_name,
        source_ip=cut.session.source_ip,
        started_at=cut.session.started_at,
        channels=len(cut.channels),
        destinations=[_destination(one) for one in cut.channels[:_DESTINATIONS]],
        reason=cut.reason,
        ends=cut.ends,
    )


def _destination(channel: Channel) -> str:
    return f"{channel.destination}:{channel.port}"
