"""Every operation that changes something is in the audit, by who did it, and without a secret.

Made from the route table: a new operation has to be done here, or be said to change nothing.
"""

from __future__ import annotations

import json

from attrs import asdict

from tests.store.material import public_key
from tests.web.support import KEY, ApiTestCase
from tunnelcloud.domain.entities import Method, SessionMethod
from tunnelcloud.domain.key_rotation import AUTHORITY, KeyUse, host_key_name
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import read_user_code
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pki.host_keys import ALGORITHMS, HostKey
from tunnelcloud.store import (
    approvals,
    assignments,
    audit,
    channels,
    device_logins,
    groups,
    pods,
    policies,
    second_factors,
    sessions,
    stored_secrets,
    tunnels,
    users,
)
from tunnelcloud.store.pods import Registration
from tunnelcloud.store.sessions import LoginRecord

CHANGES_NOTHING = {
    "explain": "it only asks",
    "preview_new_policy": "it only asks",
    "preview_policy": "it only asks",
    "check_tunnel": "what it found is shown, and kept in memory",
    "begin_device_login": "nobody has shown who they are: whoever lets it in is in the audit",
    "check_identity_provider": "a result that is the same as before is no event",
}
"""Operations that don't only read and are no event, and why."""

KINDS = {
    "site": {"name": "made"},
    "group": {"name": "made"},
    "policy": {"name": "made"},
    "user": {"name": "made"},
}


class DeedTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.admin = self.people[Role.ADMIN]
        self.other = self.make_user("other")
        self.tunnel = self.make_tunnel("db")
        self.done, self.answers = set(), []
        sealer, key = self.context.sealer, HostKey.create("ssh-ed25519")
        for algorithm in ALGORITHMS:
            name = host_key_name(algorithm, KeyUse.CURRENT)
            self.store.write(stored_secrets.keep_first, name, sealer.keep(key.private_key, name))
        pem = CertificateAuthority.create(self.context.now()).to_pem()
        self.store.write(stored_secrets.keep_first, AUTHORITY, sealer.keep(pem, AUTHORITY))

    def events(self):
        return self.store.read(audit.list_page, limit=200).items

    def do(self, name, body=None, role=Role.ADMIN, **ids):
        """Do an operation, and see that its doer is in the audit."""
        route = next(one for one in self.table.routes if one.name == name)
        path = route.path.format(**ids)
        before = {one.id for one in self.events()}
        found = self.api(route.method, path, body, role=role)
        events = [one.event for one in self.events() if one.id not in before]
        doer = None if role is None else self.people[role].id
        if role is not None:
            self.assertIn(doer, {one.actor_id for one in events}, f"{name}: {events}")
        else:
            self.assertNotEqual(events, [], name)
        self.done.add(name)
        self.answers.append(found)
        return found

    def test_every_operation(self):
        for step in (
            self.objects,
            self.credentials,
            self.approvals,
            self.activity,
            self.pods,
            self.providers,
            self.whole,
        ):
            step()
        changing = {route.name for route in self.table.routes if route.method != "GET"}
        self.assertEqual(changing - CHANGES_NOTHING.keys(), self.done)
        self.assertEqual(CHANGES_NOTHING.keys() - changing, set())
        self.no_secret_is_told()

    def objects(self):
        for noun, body in KINDS.items():
            made = self.do(f"create_{noun}", body)
            self.do(f"change_{noun}", {"title": "other"}, **{f"{noun}_id": made["id"]})
            self.do(f"delete_{noun}", **{f"{noun}_id": made["id"]})
        site_id = self.tunnel["site_id"]
        target = {"target_address": "10.0.0.6", "target_ports": ["1"]}
        made = self.do("create_tunnel", {"name": "made", "site_id": site_id, **target})
        self.do("change_tunnel", {"title": "other"}, tunnel_id=made["id"])
        self.do("delete_tunnel", tunnel_id=made["id"])
        made = self.do("create_connector", {"name": "made", "site_id": site_id})
        self.do("change_connector", {"title": "other"}, connector_id=made["id"])
        self.do("create_join_token", connector_id=made["id"])
        self.do("delete_connector", connector_id=made["id"])
        body = {"user_id": self.other["id"], "methods": ["key"]}
        ids = {"tunnel_id": self.tunnel["id"]}
        ids["assignment_id"] = self.do("create_assignment", body, **ids)["id"]
        self.do("change_assignment", {"methods": ["token"]}, **ids)
        self.do("delete_assignment", **ids)
        group = self.api("POST", "/groups", {"name": "dba"})
        self.do("add_member", group_id=group["id"], user_id=self.other["id"])
        self.do("remove_member", group_id=group["id"], user_id=self.other["id"])

    def credentials(self):
        whose = {"user_id": self.other["id"]}
        for own, ids, key in (("", whose, KEY), ("own_", {}, public_key("own")[0])):
            made = self.do(f"create_{own}key", {"public_key": key}, **ids)
            self.do(f"change_{own}key", {"title": "x"}, key_id=made["id"], **ids)
            self.do(f"delete_{own}key", key_id=made["id"], **ids)
        made = self.do("create_token", whose)
        self.do("revoke_token", token_id=made["id"])
        made = self.do("create_own_token", {})
        self.do("revoke_own_token", token_id=made["id"])
        made = self.do("create_api_token", {"title": "made", "role": "auditor"})
        self.do("change_api_token", {"title": "other"}, api_token_id=made["id"])
        self.do("delete_api_token", api_token_id=made["id"])
        owned = {"title": "own", "role": "user", "user_id": self.admin.id}
        made = self.api("POST", "/api-tokens", owned)
        self.do("delete_own_api_token", api_token_id=made["id"])
        self.do("sign_out", role=Role.AUDITOR)
        self.do("invite_user", **whose)
        self.store.write(second_factors.begin, self.other["id"], b"sealed")
        self.store.write(second_factors.confirm, self.other["id"], 1, [b"x"])
        self.do("reset_second_factor", **whose)
        begun = self.api("POST", "/device-logins", {"client": "x"}, role=None)
        code = read_user_code(begun["user_code"])
        self.store.write(device_logins.decide, code, self.other["id"], allowed=True)
        self.do("poll_device_login", {"device_code": begun["device_code"]}, role=None)

    def approvals(self):
        """Let the user ask, and the administrator, one of the approvers, decide."""
        group = self.store.write(groups.create, name="bosses")
        self.store.write(groups.add_member, group.id, self.admin.id)
        policy = self.store.write(
            policies.create, name="ask", approval="others", approvers_id=group.id,
            emergency_seconds=60,
        )  # fmt: skip
        user, tunnel_id = self.people[Role.USER], self.tunnel["id"]
        self.store.write(
            assignments.create, tunnel_id=tunnel_id, methods=frozenset(Method), user_id=user.id,
            policy_id=policy.id,
        )  # fmt: skip
        body = {"tunnel_id": tunnel_id, "reason": "why"}
        begun = self.do("create_emergency", body, role=Role.USER)
        self.do("review_emergency", {}, grant_id=begun["id"])
        asked = self.do("create_request", body, role=Role.USER)
        grant = self.do("approve_request", {}, request_id=asked["id"])
        self.do("end_grant", grant_id=grant["id"])
        asked = self.store.write(
            approvals.ask, user, self.store.read(tunnels.get, tunnel_id), policy, source_ip="::1"
        )
        self.do("refuse_request", {}, request_id=asked.id)

    def activity(self):
        for own, user_id in (("", self.other["id"]), ("own_", self.admin.id)):
            user = self.store.read(users.get, user_id)
            login = LoginRecord("x", "192.0.2.7", "x", "pod_1")
            session = self.store.write(sessions.start, user, SessionMethod.KEY, login)
            tunnel = self.store.read(tunnels.get, self.tunnel["id"])
            channel = self.store.write(channels.open, session, tunnel, destination="db", port=5432)
            self.do(f"end_{own}channel", session_id=session.id, channel_id=channel.id)
            self.do(f"end_{own}session", session_id=session.id)

    def pods(self):
        registration = Registration("pod-1", "1", "one:2222", "one:8443", "first", "home")
        pod = self.store.write(pods.register, registration, shared=True)
        self.do("drain_pod", pod_id=pod.id)
        self.do("resume_pod", pod_id=pod.id)
        self.store.write(pods.leave, pod.id, reason="stopped")
        self.do("delete_pod", pod_id=pod.id)
        for step in ("rotate", "promote", "retire"):
            self.do(f"{step}_host_keys")
        self.do("rotate_authority")
        self.do("retire_authority", {})
        self.do("lift_lockout", {"door": "ssh", "source": "192.0.2.1"})

    def providers(self):
        body = {"name": "corp", "issuer": "https://login.example.com", "client_id": "x",
                "client_secret": "canary-of-a-client", "enabled": False}  # fmt: skip
        ids = {"identity_provider_id": self.do("create_identity_provider", body)["id"]}
        self.do("change_identity_provider", {"title": "x"}, **ids)
        linked = {"user_id": self.other["id"], **ids}
        self.do("create_identity", {**ids, "subject": "x"}, user_id=self.other["id"])
        self.do("delete_identity", **linked)
        self.do("delete_identity_provider", **ids)

    def whole(self):
        self.do("change_settings", {"audit_retention_days": 100})
        self.do("apply", {"sites": {"made": {}}})

    def no_secret_is_told(self):
        """What was shown once is nowhere in the audit."""
        shown = {
            value
            for answer in self.answers
            for name, value in _texts(answer)
            if name in ("token", "url", "secret", "command", "device_code") and value
        }
        self.assertGreater(len(shown), 5)
        told = "\n".join(json.dumps(asdict(one), default=str) for one in self.events())
        for value in {*shown, "canary-of-a-client", *filter(None, self.secrets.values())}:
            self.assertNotIn(value, told)


def _texts(found):
    """Give the texts of an answer, with their names."""
    for name, value in found.items() if isinstance(found, dict) else ():
        if isinstance(value, dict):
            yield from _texts(value)
        elif isinstance(value, str):
            yield name, value
