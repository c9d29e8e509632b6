"""A world that has one object of each kind, so that every page has something to show."""

from datetime import timedelta

from tests.web.support import KEY
from tunnelcloud.domain.entities import Method, SessionMethod
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import (
    api_tokens,
    approvals,
    assignments,
    browser_logins,
    channels,
    connectors,
    emergencies,
    groups,
    identity_providers,
    keys,
    pods,
    policies,
    sessions,
    sites,
    tunnels,
    users,
)
from tunnelcloud.store.device_logins import Asking

_ADDRESS = "192.0.2.7"


def make_world(transaction, user, text, name="a-name"):
    """Make it.

    :param user: who may open the tunnel, has a key, and asked for an approval.
    :param text: the title of all, and whatever else may be any text.
    :param name: the name of each.
    :return: the parameters of pages' addresses, by their names.
    """
    titled = {"name": name, "title": text}
    site = sites.create(transaction, **titled)
    connector = connectors.create(transaction, site_id=site.id, **titled)
    group = groups.create(transaction, **titled)
    policy = policies.create(transaction, **titled)
    users.update(transaction, user.id, {"title": text})
    groups.add_member(transaction, group.id, user.id)
    tunnel = tunnels.create(
        transaction,
        site_id=site.id,
        target_address="10.0.0.5",
        target_ports=(PortRange(5432, 5432),),
        description=text,
        icon="<",
        **titled,
    )
    assignment = assignments.create(
        transaction,
        tunnel_id=tunnel.id,
        methods=frozenset(Method),
        user_id=user.id,
        policy_id=policy.id,
    )
    pod = pods.register(
        transaction,
        pods.Registration(name=name, version="1", ssh_address="x:1", connectors_address="x:2"),
    )
    session = sessions.start(
        transaction, user, SessionMethod.KEY, sessions.LoginRecord(text, _ADDRESS, text, pod.id)
    )
    channel = channels.open(transaction, session, tunnel, destination=text, port=1)
    token = api_tokens.create(
        transaction,
        title=text,
        role=Role.AUDITOR,
        secret_hash=hash_secret("tca_of_the_world"),
        user_id=user.id,
        expires_at=transaction.now() + timedelta(days=3),
    )
    key = keys.create(transaction, user_id=user.id, public_key=KEY, title=text)
    provider = identity_providers.create(
        transaction, name="off", issuer="https://login.example.com", client_id=text, enabled=False
    )
    confirmed = policies.create(transaction, name="confirmed", approval=Approval.SELF, title=text)
    told = {"source_ip": _ADDRESS, "reason": text}
    request = approvals.ask(transaction, user, tunnel, confirmed, client=text, **told)
    alone = policies.create(
        transaction, name="alone", approval=Approval.OTHERS, emergency_seconds=600, title=text
    )
    grant = emergencies.begin(transaction, user, tunnel, alone, **told)
    asking = Asking(b"x", "WDJB-MJHT", text, _ADDRESS, _ADDRESS, text)
    browser_logins.begin(transaction, asking)
    return {
        "code": asking.user_code,
        "request_id": request.id,
        "grant_id": grant.id,
        "channel_id": channel.id,
        "api_token_id": token.id,
        "tunnel_id": tunnel.id,
        "site_id": site.id,
        "connector_id": connector.id,
        "group_id": group.id,
        "policy_id": policy.id,
        "user_id": user.id,
        "key_id": key.id,
        "session_id": session.id,
        "assignment_id": assignment.id,
        "secret": "tcl_x",
        "section": "tunnels",
        "provider": "corp",
        "identity_provider_id": provider.id,
        "web_session_id": "web_" + "0" * 26,
    }
