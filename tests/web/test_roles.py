"""Every route for every role, made from the route table: nothing is left out of it."""

import re

from tests.store.material import count_events
from tests.web.support import ApiTestCase
from tunnelcloud.domain.entities import ID_PREFIXES
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import users

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
                    # It ends the token it is called with: see test_access.
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
