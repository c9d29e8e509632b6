"""Who may open what, and why not: the one function that decides, explains and words the refusal.

The SSH front door, ``/explain``, the portals and ``ssh pod doctor`` all show its trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from attrs import evolve, field, frozen

from tunnelcloud.domain.addresses import is_within
from tunnelcloud.domain.approvals import TimedGrant
from tunnelcloud.domain.entities import Grant, Method, UserView
from tunnelcloud.domain.names import match_destination, ports_text, usable
from tunnelcloud.domain.objects.policies import Approval, Policy
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy_sentences import length_of_time
from tunnelcloud.domain.schedule import DAYS, first_opening, never_opens
from tunnelcloud.domain.session_limits import Limits, session_limits
from tunnelcloud.domain.ssh_command import bracketed
from tunnelcloud.domain.user_limits import channels_text, sessions_text

METHOD_TEXT = {Method.TOKEN: "one-time token", Method.KEY: "key"}

_NAMED_AT_MOST = 8
_BY_TIME = frozenset({"valid_from", "valid_until", "window"})


@frozen
class Ask:
    """What is asked: a destination, by a session that was authenticated in some way.

    :ivar only: the id of the one tunnel that the session's scope leaves; None for all.
    :ivar session_seconds: how old the session is.
    :ivar open_sessions: counts the user's sessions that used a tunnel before this one; called only
        where a policy asks.
    :ivar open_channels: counts the user's channels of a tunnel (by its id) beside this one;
        called only where a policy asks.
    :ivar is_open: the channel is open already, and it is only looked at again.
    :ivar approved: the user's grants, of all tunnels; :func:`decide` sets it from the view.
    """

    host: str
    port: int
    method: Method
    source_ip: str
    at: datetime
    only: str | None = None
    session_seconds: float = 0
    open_sessions: Callable[[], int] = field(default=lambda: 0)
    open_channels: Callable[[str], int] = field(default=lambda _: 0)
    is_open: bool = False
    approved: tuple[TimedGrant, ...] = ()


@frozen
class Rule:
    """One rule that was looked at: whether it passed, and that in words.

    :ivar policy_id: the policy whose condition it is; None for what no policy says.
    """

    rule: str
    passed: bool
    text: str
    policy_id: str | None = None
    policy_name: str | None = None


@frozen
class Decision:
    """What came out; ``reason`` is for the end user and empty when allowed.

    :ivar awaited: the policy whose approval alone is missing; None when something else is.
    """

    allowed: bool
    reason: str
    rules: tuple[Rule, ...] = ()
    grant: Grant | None = None
    tunnel: Tunnel | None = None
    awaited: Policy | None = None

    def awaits(self, tunnel: Tunnel, policy: Policy) -> bool:
        """Tell whether all that is missing is an approval of this tunnel that this policy wants."""
        if self.awaited is None or self.tunnel is None:
            return False
        return (self.tunnel.id, self.awaited.id) == (tunnel.id, policy.id)


def could_open_any(view: UserView, method: Method, only: str | None) -> bool:
    """Tell whether a session of this method leads to at least one tunnel.

    :param only: the id of the one tunnel that its scope leaves; None for all.
    """
    return not view.user.blocked and bool(usable(view, method, only))


def limits_of_session(view: UserView, method: Method, only: str | None) -> Limits:
    """Tell after how long nothing is left to a session of this method.

    :param only: the id of the one tunnel that its scope leaves; None for all.
    """
    if only is None:
        return view.limits.get(method, (None, None))
    return session_limits(grant.policies for grant in usable(view, method, only))


def token_paths(view: UserView, tunnel_id: str) -> list[Grant]:
    """List the paths by which a one-time token opens a tunnel."""
    return [grant for grant in view.by_tunnel.get(tunnel_id, ()) if Method.TOKEN in grant.methods]


def allowed_token_sessions(view: UserView, tunnel_id: str) -> int:
    """Tell how many sessions one token for a tunnel may open; 0 where no token opens it."""
    return max(
        (
            min((policy.max_token_sessions or 1 for policy in grant.policies), default=1)
            for grant in token_paths(view, tunnel_id)
        ),
        default=0,
    )


def shut_for_tokens(
    view: UserView, tunnel_id: str | None, ask: Ask, offline: Mapping[str, str]
) -> str:
    """Say why a one-time token opens nothing now, wherever it is used; empty when it may.

    :param tunnel_id: the only tunnel that it opens; None for all that open with a token.
    :param ask: when, and by whom; the destination doesn't count.
    :param offline: what is to be said of tunnels that can't be reached, by their ids.
    """
    grants = [
        grant
        for grant in view.grants
        if Method.TOKEN in grant.methods and tunnel_id in (None, grant.tunnel.id)
    ]
    reasons = [_shut(grant, ask, offline) for grant in grants]
    if not grants:
        return f"no tunnel that opens with a one-time token is assigned to {view.user.name}"
    return "" if "" in reasons else reasons[0]


def _shut(grant: Grant, ask: Ask, offline: Mapping[str, str]) -> str:
    if not grant.tunnel.enabled:
        return disabled_text(grant.tunnel)
    rules = [rule for one in grant.policies for rule in policy_rules(one, grant.tunnel, ask)]
    shut = next((rule.text for rule in rules if rule.rule in _BY_TIME and not rule.passed), "")
    return shut or offline.get(grant.tunnel.id, "")


def disabled_text(tunnel: Tunnel) -> str:
    """Say why nobody can open a tunnel that is disabled."""
    return f"{tunnel.name}: disabled; an administrator can enable it"


def decide(view: UserView, ask: Ask) -> Decision:
    """Decide whether a user may open a destination now.

    Every path (assignment) is looked at; one whose conditions all hold is enough.
    """
    if view.user.blocked:
        text = f"user {view.user.name} is blocked; an administrator can unblock the account"
        return Decision(False, text, (Rule("user", False, text),))
    user_rule = Rule("user", True, f"user {view.user.name} is active")
    match = match_destination(view, ask.host, ask.port, ask.method, ask.only)
    if match.rivals:
        text = (
            f"{ask.host}:{ask.port} is more than one tunnel: {', '.join(match.rivals)}; "
            "use the tunnel's name as the destination"
        )
        return Decision(False, text, (user_rule, Rule("destination", False, text)))
    if not match.grants:
        rule = _misfit(match.near, ask) if match.near else _outside(view, ask)
        tunnel = match.near[0].tunnel if match.near else None
        return Decision(False, rule.text, (user_rule, rule), tunnel=tunnel)
    tunnel = match.grants[0].tunnel
    found = [
        user_rule,
        Rule("destination", True, f"{ask.host} leads to tunnel {tunnel.name}"),
        Rule("port", True, f"port {ask.port} is published"),
        Rule("method", True, f"{tunnel.name} may be opened with a {METHOD_TEXT[ask.method]}"),
    ]
    ask = evolve(ask, approved=view.approved)
    refused: Decision | None = None
    for grant in match.grants:
        rules = [*found, _path_rule(grant)]
        rules += [rule for policy in grant.policies for rule in policy_rules(policy, tunnel, ask)]
        failed = [rule for rule in rules if not rule.passed]
        if not failed:
            return Decision(True, "", tuple(rules), grant, tunnel)
        reason, awaited = failed[0].text, _awaited(grant, failed)
        if refused is None or (awaited is not None and refused.awaited is None):
            refused = Decision(False, reason, tuple(rules), grant, tunnel, awaited)
    assert refused is not None
    return refused


def _awaited(grant: Grant, failed: list[Rule]) -> Policy | None:
    """Give the policy whose approval is missing, when nothing else is."""
    if any(rule.rule != "approval" for rule in failed):
        return None
    return next(policy for policy in grant.policies if policy.id == failed[0].policy_id)


def decide_tunnel(view: UserView, ask: Ask, tunnel: Tunnel) -> Decision:
    """Decide whether a user may open a tunnel now by the destination that its command has.

    :param ask: for ``own_host`` of the tunnel.
    """
    host = ask.host
    decision = decide(view, ask)
    found = decision.tunnel
    if found is None or found.id == tunnel.id:
        return decision
    text = (
        f"{tunnel.name}: {host}:{ask.port} means {found.name}, "
        "which has this external address; an administrator can rename one of them"
    )
    return Decision(False, text, (Rule("destination", False, text),), tunnel=tunnel)


def asks_of_session(view: UserView) -> bool:
    """Tell whether a policy asks what only one session answers: how old it is, or its place."""
    return any(
        policy.max_session_seconds is not None or policy.max_sessions is not None
        for grant in view.grants
        for policy in grant.policies
    )


def holds_for(grant: Grant, ask: Ask) -> float | None:
    """Say for how many seconds a path that allows something now can't end by the clock.

    :return: None when the clock never ends it.
    """
    ends = []
    for policy in grant.policies:
        if policy.valid_until is not None:
            ends.append((policy.valid_until - ask.at).total_seconds())
        if policy.windows:
            closing = [end for one in policy.windows if (end := one.open_until(ask.at)) is not None]
            ends.append((max(closing, default=ask.at) - ask.at).total_seconds())
        if policy.max_session_seconds is not None:
            ends.append(policy.max_session_seconds - ask.session_seconds)
        if _asks_others(policy):
            until = [one.ends_at for one in _approvals(policy, grant.tunnel, ask)]
            ends.append((max(until, default=ask.at) - ask.at).total_seconds())
    return min(ends, default=None)


def _asks_others(policy: Policy) -> bool:
    """Tell whether somebody else has to allow it; so it is for what a newer version asks."""
    return policy.approval not in (Approval.NONE, Approval.SELF)


def _approvals(policy: Policy, tunnel: Tunnel, ask: Ask) -> list[TimedGrant]:
    return [
        one
        for one in ask.approved
        if one.tunnel_id == tunnel.id and one.holds(policy, ask.source_ip, ask.at)
    ]


def to_an_administrator(decision: Decision, view: UserView, tunnel: Tunnel) -> Decision:
    """Word a decision for somebody who knows that there is such a tunnel.

    Its users are told the same of one that isn't theirs as of one that isn't there.
    """
    name = view.user.name
    if view.user.blocked or tunnel.id in view.by_tunnel:
        return decision
    text = (
        f"{tunnel.name} is not assigned to {name}, neither directly nor through a group; "
        f"{name} is told that there is no such destination"
    )
    rules = tuple(
        Rule(rule.rule, rule.passed, rule.text if rule.passed else text) for rule in decision.rules
    )
    return Decision(False, text, rules)


def no_destination_text(host: str, port: int) -> str:
    """Word the refusal of a destination that isn't there, or isn't for this user: all one."""
    return (
        f"{bracketed(host)}:{port}: no tunnel of yours has this destination; "
        "the portal lists yours, and so does ssh with the command 'ls'"
    )


def _path_rule(grant: Grant) -> Rule:
    path = f"group {grant.group_name}" if grant.group_name else "the user's own assignment"
    return Rule("assignment", True, f"granted by {path}")


def _misfit(near: tuple[Grant, ...], ask: Ask) -> Rule:
    """Say why what the host named can't be opened; nothing is said of what isn't granted."""
    tunnel = near[0].tunnel
    if not tunnel.publishes(ask.port):
        return Rule("port", False, _unpublished([grant.tunnel for grant in near], ask))
    if not tunnel.enabled:
        return Rule("enabled", False, disabled_text(tunnel))
    if ask.method is Method.KEY:
        text = f"{tunnel.name}: needs a one-time token, this session used a key"
    else:
        text = f"{tunnel.name}: needs a key, this session used a one-time token"
    return Rule("method", False, text)


def _outside(view: UserView, ask: Ask) -> Rule:
    """Say why a host that names nothing in the session's scope can't be opened."""
    if ask.only is not None and ask.only in view.by_tunnel:
        match = match_destination(view, ask.host, ask.port, ask.method)
        others = sorted({grant.tunnel.name for grant in (*match.grants, *match.near)})
        others += [name for name in match.rivals if name not in others]
        if others:
            own = view.by_tunnel[ask.only][0].tunnel.name
            text = f"{others[0]}: this login is for {own} only, by its token or its login name"
            return Rule("destination", False, text)
    return Rule("destination", False, no_destination_text(ask.host, ask.port))


def _unpublished(tunnels: list[Tunnel], ask: Ask) -> str:
    """Name all that is published where the host leads, which may be several tunnels."""
    published = {tunnel.name: tunnel for tunnel in tunnels}
    if len(published) == 1:
        tunnel = tunnels[0]
        verb = "is" if len(tunnel.target_ports) == 1 and len(tunnel.target_ports[0]) == 1 else "are"
        ports = ports_text(tunnel.target_ports)
        return f"{tunnel.name}: port {ask.port} is not published ({ports} {verb})"
    each = ", ".join(
        f"{ports_text(published[name].target_ports)} of {name}"
        for name in sorted(published)[:_NAMED_AT_MOST]
    )
    more = ", and more" if len(published) > _NAMED_AT_MOST else ""
    return f"{bracketed(ask.host)}: port {ask.port} is not published ({each}{more} are)"


def policy_rules(policy: Policy, tunnel: Tunnel, ask: Ask) -> Iterator[Rule]:
    """Give each condition of a policy with whether it holds for what is asked."""
    for name, passed, text in _conditions(policy, tunnel, ask):
        yield Rule(name, passed, text, policy.id, policy.name)


_Condition = tuple[str, bool, str]


def _conditions(policy: Policy, tunnel: Tunnel, ask: Ask) -> Iterator[_Condition]:
    if policy.source_networks:
        yield _source_rule(policy, tunnel, ask)
    if policy.valid_from is not None:
        text = f"{tunnel.name}: opens {_instant(policy.valid_from)}"
        yield "valid_from", ask.at >= policy.valid_from, text
    if policy.valid_until is not None:
        text = f"{tunnel.name}: closed {_instant(policy.valid_until)}"
        yield "valid_until", ask.at < policy.valid_until, text
    if policy.windows:
        yield _window_rule(policy, tunnel, ask)
    if policy.max_session_seconds is not None:
        text = f"{tunnel.name}: sessions may last {length_of_time(policy.max_session_seconds)}"
        yield "max_session", ask.session_seconds < policy.max_session_seconds, text
    if policy.max_sessions is not None:
        count = ask.open_sessions()
        text = sessions_text(tunnel.name, count, policy.max_sessions)
        yield "max_sessions", count < policy.max_sessions, text
    if policy.max_channels is not None:
        count = ask.open_channels(tunnel.id)
        text = channels_text(tunnel.name, count, policy.max_channels)
        yield "max_channels", count < policy.max_channels, text
    # What the user confirmed concerns the opening; what others allowed, all of the stream.
    if _asks_others(policy) or (policy.approval is Approval.SELF and not ask.is_open):
        yield _approval_rule(policy, tunnel, ask)


def _approval_rule(policy: Policy, tunnel: Tunnel, ask: Ask) -> _Condition:
    given = _approvals(policy, tunnel, ask)
    if given:
        last = max(given, key=lambda one: one.ends_at)
        return "approval", True, f"{tunnel.name}: {_given(last)} until {_instant(last.ends_at)}"
    whose = "your confirmation in the portal"
    if _asks_others(policy):
        whose = "an approval, and there is none now"
        if policy.emergency_seconds is not None:
            whose += "; in an emergency, open it yourself on the portal's Requests page"
    return "approval", False, f"{tunnel.name}: needs {whose}"


def _given(grant: TimedGrant) -> str:
    """Say who gave a grant."""
    if not grant.emergency:
        return f"approved by {grant.allowed_by}"
    reviewed = f"reviewed by {grant.reviewed_by}" if grant.reviewed_at else "not reviewed yet"
    text = f"opened by {grant.user_name} in an emergency ({reviewed})"
    return text if grant.renewed_at is None else f"{text}, prolonged by {grant.allowed_by}"


def _source_rule(policy: Policy, tunnel: Tunnel, ask: Ask) -> _Condition:
    inside = is_within(ask.source_ip, policy.networks)
    verb = "open to" if inside else "not open to"
    return "source", inside, f"{tunnel.name}: {verb} connections from {ask.source_ip}"


def _window_rule(policy: Policy, tunnel: Tunnel, ask: Ask) -> _Condition:
    ends = [end for window in policy.windows if (end := window.open_until(ask.at)) is not None]
    if ends:
        return "window", True, f"{tunnel.name}: open until {_weekly(max(ends))}"
    opening = first_opening(policy.windows, ask.at)
    if opening is None:
        return "window", False, f"{tunnel.name}: {never_opens(policy.windows)}"
    return "window", False, f"{tunnel.name}: opens {_weekly(opening)}"


def _weekly(moment: datetime) -> str:
    return f"{DAYS[moment.weekday()]} {moment:%H:%M} {moment.tzinfo}"


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
