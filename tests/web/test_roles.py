"""Every route for every role, made from the route table: nothing is left out of it."""

import re

from tests.store.material import count_events
from tests.web.support import KEY, ApiTestCase
from tunnelcloud.domain.entities import ID_PREFIXES, SessionMethod
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import (
    api_tokens,
    approvals,
    channels,
    emergencies,
    policies,
    sessions,
    tunnels,
    users,
)

NOBODY_ELSE = re.compile(r"\{([a-z_]+)_id\}")


def some_address(path):
    """Fill a path with ids that nothing has."""
    return NOBODY_ELSE.sub(lambda match: f"{ID_PREFIXES[match[1]]}_{'0' * 26}", path)


class RoleTests(ApiTestCase):
    def test_every_route_for_every_role(self):
        """Who may gets past the door (to a 404, a 422, …); who may not gets 401 or 403."""
        self.assertGreater(len(self.table.routes), 60)
        for route in self.table.routes:
            for role in [None, *Role]:
                if route.name == "sign_out":
                    # It ends the token it is called with: see test_credentials.
                    continue
                body = {} if route.body is not None else None
                address = f"/api/v1{some_address(route.path)}"
                answer = self.ask(route.method, address, body, role=role)
                told = f"{role} {route.method} {route.path}: {answer.body!r}"
                if not route.roles or role in route.roles:
                    self.assertNotIn(answer.status, (401, 403, 405, 500, 503), told)
                elif role is None:
                    self.assertEqual(answer.status, 401, told)
                else:
                    self.assertEqual(answer.status, 403, told)

    def test_who_may_not_changes_nothing(self):
        """Every refused operation on objects that are there, with a body that would be good."""
        tunnel, user = self.make_tunnel(), self.make_user()
        self.assign(tunnel, user)
        group = self.api("POST", "/groups", {"name": "dba"})
        policy = self.api("POST", "/policies", {"name": "office"})
        connector = self.api("POST", "/connectors", {"name": "c", "site_id": tunnel["site_id"]})
        ids = {one["id"][:3]: one["id"] for one in (tunnel, user, group, policy, connector)}
        ids["sit"] = tunnel["site_id"]
        before = self.api("GET", "/export"), self.store.read(count_events)

        def real(path):
            return NOBODY_ELSE.sub(
                lambda match: ids.get(ID_PREFIXES[match[1]], f"{ID_PREFIXES[match[1]]}_{'0' * 26}"),
                path,
            )

        for route in self.table.routes:
            for role in (None, Role.AUDITOR, Role.USER):
                if not route.roles or role in route.roles:
                    continue
                body = {"title": "changed", "blocked": True} if route.body is not None else None
                answer = self.ask(route.method, f"/api/v1{real(route.path)}", body, role=role)
                self.assertIn(answer.status, (401, 403), f"{role} {route.method} {route.path}")
        self.assertEqual((self.api("GET", "/export"), self.store.read(count_events)), before)

    def test_what_is_anothers_is_as_if_it_were_not_there(self):
        """Every route of users with ids of somebody else, by a person and a service account."""
        ids = self.of_another()
        robot = self.store.write(users.create, name="robot", service=True)
        self.secrets["robot"] = "tca_robot"
        self.store.write(
            api_tokens.create,
            title="robot",
            role=Role.USER,
            secret_hash=hash_secret("tca_robot"),
            user_id=robot.id,
        )
        before = self.store.read(count_events)
        tried = set()
        for route in self.table.routes:
            if route.roles != frozenset(Role) or not route.parameters:
                continue
            body = {} if route.body is not None else None
            for role in (Role.USER, "robot"):
                answers = []
                for path in (route.path.format(**ids), some_address(route.path)):
                    answer = self.ask(route.method, f"/api/v1{path}", body, role=role)
                    text = re.sub(r"[a-z]{3}_[0-9a-v]{26}", "ID", answer.body.decode())
                    answers.append((answer.status, text))
                self.assertEqual(*answers, f"{role} {route.method} {route.path}")
                self.assertEqual(answers[0][0], 404, f"{role} {route.method} {route.path}")
            tried.update(route.parameters)
        self.assertEqual(tried, ids.keys())
        self.assertEqual((self.store.read(count_events), self.live.ended), (before, []))

    def of_another(self):
        """Give the ids of one of everything that is another user's."""
        tunnel, user = self.make_tunnel(), self.make_user()
        self.assign(tunnel, user)
        found = self.store.read(users.get, user["id"])
        published = self.store.read(tunnels.get, tunnel["id"])
        login = sessions.LoginRecord("x", "192.0.2.7", "x", "pod_1")
        session = self.store.write(sessions.start, found, SessionMethod.KEY, login)
        channel = self.store.write(channels.open, session, published, destination="db", port=1)
        policy = self.store.write(
            policies.create, name="ask", approval=Approval.OTHERS, emergency_seconds=60
        )
        asked = {"source_ip": "192.0.2.7", "reason": "x"}
        request = self.store.write(approvals.ask, found, published, policy, **asked)
        grant = self.store.write(emergencies.begin, found, published, policy, **asked)
        owner = {"title": "x", "role": "user", "user_id": found.id}
        return {
            "key_id": self.api("POST", f"/users/{found.id}/keys", {"public_key": KEY})["id"],
            "token_id": self.api("POST", "/tokens", {"user_id": found.id})["id"],
            "api_token_id": self.api("POST", "/api-tokens", owner)["id"],
            "session_id": session.id,
            "channel_id": channel.id,
            "request_id": request.id,
            "grant_id": grant.id,
        }

    def test_a_token_of_nobody_has_nothing_of_its_own(self):
        made = self.api("POST", "/api-tokens", {"title": "x", "role": "admin"})
        self.secrets["nobody"] = made["token"]
        for route in self.table.routes:
            own = route.path.startswith("/me/") and route.name != "sign_out"
            if own or route.name in ("create_request", "create_emergency"):
                body = {"tunnel_id": "tun_" + "0" * 26, "reason": "x", "public_key": KEY}
                given = {} if route.body is None else route.body.model_fields
                body = {name: value for name, value in body.items() if name in given}
                path = f"/api/v1{some_address(route.path)}"
                answer = self.ask(
                    route.method, path, None if route.body is None else body, role="nobody"
                )
                self.assertEqual(answer.status, 403, f"{route.method} {route.path} {answer.body}")

    def test_who_may_do_what(self):
        """The rows say what product.md says of the roles."""
        for route in self.table.routes:
            if route.path == "/openapi.json" or route.path.startswith("/device-logins"):
                self.assertEqual(route.roles, frozenset())
            elif route.path == "/me" or route.path.startswith(("/me/", "/requests", "/grants")):
                self.assertEqual(route.roles, frozenset(Role), route.path)
            elif route.method == "GET" or route.name in ("explain", "check_tunnel"):
                self.assertEqual(route.roles, {Role.ADMIN, Role.AUDITOR}, route.path)
            else:
                self.assertEqual(route.roles, {Role.ADMIN}, route.path)

    def test_addresses_are_hidden_from_strangers(self):
        for path in ["/sites", "/nothing", "/sites/x", ""]:
            answer = self.ask("GET", f"/api/v1{path}", role=None)
            self.assertEqual(answer.status, 401)
            self.assertEqual(answer.headers["www-authenticate"], "Bearer")

    def test_bad_credentials(self):
        for header in [
            "Bearer",
            "Bearer wrong",
            "Basic YTpi",
            "Bearer " + "a" * 5000,
            "Bearer a b",
        ]:
            answer = self.ask("GET", "/api/v1/me", role=None, headers={"Authorization": header})
            self.assertEqual(answer.status, 401, header[:20])

    def test_a_token_does_no_more_than_its_user_may(self):
        auditor = self.people[Role.ADMIN]
        self.store.write(users.create, name="another-admin", role=Role.ADMIN)
        self.store.write(users.update, auditor.id, {"role": Role.AUDITOR})
        self.assertEqual(self.ask("POST", "/api/v1/sites", {"name": "x"}).status, 403)
        self.assertEqual(self.ask("GET", "/api/v1/sites").status, 200)

    def test_a_blocked_user_is_nobody(self):
        user = self.people[Role.USER]
        self.api("PATCH", f"/users/{user.id}", {"blocked": True})
        self.assertEqual(self.ask("GET", "/api/v1/me", role=Role.USER).status, 401)
