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
from tunnelcloud.web.routes import ADMINS, Call, Route

_DESTINATIONS = 3


def policy_preview_routes(context: ApiContext) -> list[Route]:
    """Make the rows for policies that aren't saved yet."""
    handlers = _Previews(context)
    return [
        Route(
            "POST",
            "/policies/preview",
            "preview_new_policy",
            "Say what a new policy would mean; nothing is saved.",
            ADMINS,
            handlers.of_new,
            body=models.NewPolicy,
            answer=PolicyPreview,
        ),
        Route(
            "POST",
            "/policies/{policy_id}/preview",
            "preview_policy",
            "Say whom a policy concerns, and which sessions a change of it would cut now;"
            " nothing is saved.",
            ADMINS,
            handlers.of_change,
            body=models.PolicyChange,
            answer=PolicyPreview,
        ),
    ]


@frozen
class _Previews:
    context: ApiContext

    async def of_new(self, call: Call) -> PolicyPreview:
        values = POLICY.with_defaults(call.body_as(models.NewPolicy).given())
        made = Policy(id="", created_at=self.context.now(), **values)
        checked = policies.changed(made, {"valid_until": made.valid_until})
        return self._preview(checked, Effects())

    async def of_change(self, call: Call) -> PolicyPreview:
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
