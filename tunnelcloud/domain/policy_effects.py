"""What another policy would cut of what is open: decided as enforcement decides.

Pure: what is open, and what time it is, come in as arguments.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from attrs import define, evolve, field, frozen

from tunnelcloud.domain.entities import Channel, Session, UserView
from tunnelcloud.domain.objects.policies import Policy
from tunnelcloud.domain.policy import Ask, decide, limits_of_session

SESSION_TOO_OLD = "the longest time for a session has passed"


@frozen
class OpenSession:
    """A session that is open, with its open channels.

    :ivar first_use: the id of the first channel that it ever had; empty for a session without one.
    """

    session: Session
    channels: tuple[Channel, ...] = ()
    first_use: str = ""


@frozen
class Cut:
    """What one session would lose.

    :ivar channels: the channels that would be cut.
    :ivar reason: why, as the user would be told it.
    :ivar ends: whether the whole session ends.
    """

    session: Session
    channels: tuple[Channel, ...]
    reason: str
    ends: bool = False


def with_policy(view: UserView, policy: Policy) -> UserView:
    """Give a user's view as it would be with another version of a policy.

    A grant that was given by this policy lasts no longer than the new version lets it.
    """

    def changed(policies: Iterable[Policy]) -> tuple[Policy, ...]:
        return tuple(policy if one.id == policy.id else one for one in policies)

    return evolve(
        view,
        grants=tuple(evolve(one, policies=changed(one.policies)) for one in view.grants),
        approved=tuple(
            one.narrowed(policy) if one.policy_id == policy.id else one for one in view.approved
        ),
    )


def cuts_of_user(view: UserView, opened: Sequence[OpenSession], at: datetime) -> Iterator[Cut]:
    """Give what a user's open sessions would lose by a view that isn't in force yet.

    Limits on how many there may be are counted on each pod, as enforcement counts them.
    """
    pods: dict[str, list[OpenSession]] = {}
    for one in opened:
        pods.setdefault(one.session.pod_id, []).append(one)
    for sessions in pods.values():
        yield from _OnePod(view, at, sessions).cuts()


@define
class _OnePod:
    """A user's sessions on one pod.

    :ivar left: how many channels of each tunnel are left.
    :ivar first_uses: the ids of the sessions' first channels, in order.
    """

    view: UserView
    at: datetime
    sessions: list[OpenSession]
    left: Counter[str] = field(factory=Counter)
    first_uses: list[str] = field(init=False)

    @first_uses.default
    def _ordered(self) -> list[str]:
        return sorted(one.first_use for one in self.sessions if one.first_use)

    def cuts(self) -> Iterator[Cut]:
        self.left.update(one.tunnel_id for each in self.sessions for one in each.channels)
        for one in self.sessions:
            if (cut := self._cut(one)) is not None:
                yield cut

    def _cut(self, one: OpenSession) -> Cut | None:
        session = one.session
        _, longest = limits_of_session(self.view, session.method.opens, session.tunnel_id)
        age = (self.at - session.started_at).total_seconds()
        if longest is not None and age >= longest:
            self.left.subtract(channel.tunnel_id for channel in one.channels)
            return Cut(session, one.channels, SESSION_TOO_OLD, ends=True)
        lost, why = [], ""
        for channel in one.channels:
            reason = self._refusal(one, channel, age)
            if reason:
                self.left[channel.tunnel_id] -= 1
                lost.append(channel)
                why = why or reason
        return Cut(session, tuple(lost), why) if lost else None

    def _refusal(self, one: OpenSession, channel: Channel, age: float) -> str:
        """Say why a channel wouldn't be allowed any more; empty when it would."""
        session = one.session
        ask = Ask(
            host=channel.destination,
            port=channel.port,
            method=session.method.opens,
            source_ip=session.source_ip,
            at=self.at,
            only=session.tunnel_id,
            is_open=True,
            session_seconds=age,
            open_sessions=lambda: self._older(one),
            open_channels=lambda tunnel_id: self.left[tunnel_id] - (tunnel_id == channel.tunnel_id),
        )
        decision = decide(self.view, ask)
        return "" if decision.allowed else decision.reason

    def _older(self, one: OpenSession) -> int:
        return bisect_left(self.first_uses, one.first_use)
