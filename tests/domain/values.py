"""Entities for tests of the domain."""

from datetime import UTC, datetime, timedelta

from tunnelcloud.domain.approvals import TimedGrant
from tunnelcloud.domain.entities import Grant, Method, UserView
from tunnelcloud.domain.objects.policies import Policy
from tunnelcloud.domain.objects.sites import PortRange, Tunnel
from tunnelcloud.domain.objects.users import User

NOW = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)  # a Friday
BOTH = frozenset(Method)


def tunnel(name="db", address="10.0.0.5", ports=((5432, 5432),), **others) -> Tunnel:
    return Tunnel(
        id=f"tun_{name}",
        name=name,
        title="",
        created_at=NOW,
        site_id="sit_paris",
        site_name="paris",
        target_address=address,
        target_ports=tuple(PortRange(*ports) for ports in ports),
        **others,
    )


def grant(a_tunnel, methods=BOTH, **others) -> Grant:
    return Grant(tunnel=a_tunnel, assignment_id="asg_1", methods=frozenset(methods), **others)


def view(*grants, blocked=False) -> UserView:
    user = User(id="usr_alice", name="alice", title="", created_at=NOW, blocked=blocked)
    return UserView(user=user, grants=grants)


def policy(**conditions) -> Policy:
    return Policy(id="pol_1", name="office", title="", created_at=NOW, **conditions)


def approval(a_policy, a_tunnel, **others):
    return TimedGrant(
        **{
            "id": "gra_1",
            "created_at": NOW,
            "user_id": "usr_alice",
            "user_name": "alice",
            "tunnel_id": a_tunnel.id,
            "tunnel_name": a_tunnel.name,
            "policy_id": a_policy.id,
            "approval": a_policy.approval,
            "source_ip": None,
            "starts_at": NOW,
            "ends_at": NOW + timedelta(hours=1),
            "request_id": "req_1",
            "allowed_by_id": "usr_bob",
            "allowed_by": "bob",
            "reason": "",
            **others,
        }
    )
