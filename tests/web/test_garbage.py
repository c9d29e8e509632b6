"""No request leaves what it read to Python's collector of cycles, which holds everybody up."""

import itertools

from tests.costs import left_in_cycles
from tests.web.support import ApiTestCase


class GarbageTests(ApiTestCase):
    def check(self, method, path, body=None, status=200, **kwargs):
        numbers = itertools.count()

        def ask():
            given = body and {key: f"{value}{next(numbers)}" for key, value in body.items()}
            self.assertEqual(self.ask(method, path, given, **kwargs).status, status)

        # Less than one a request: the interpreter itself now and then leaves some.
        self.assertLess(left_in_cycles(ask), 1, f"{method} {path}")

    def test_lists(self):
        for number in range(30):
            self.make_user(f"user-{number}")
        for path in ("/api/v1/users?limit=200", "/api/v1/users?limit=2", "/api/v1/audit"):
            self.check("GET", path)

    def test_changes(self):
        self.check("POST", "/api/v1/sites", {"name": "paris-"}, 201)
        path = f"/api/v1/users/{self.make_user()['id']}"
        self.check("PATCH", path, {"title": "number "})

    def test_whole_configurations(self):
        self.check("GET", "/api/v1/export")
        self.check("POST", "/api/v1/apply", {}, 200)

    def test_pages(self):
        self.check("GET", "/", status=303, role=None)
        self.check("GET", "/sign-in", role=None)

    def test_refusals(self):
        self.make_site()
        self.check("GET", "/api/v1/nothing", status=404)
        self.check("GET", "/api/v1/users/usr_00000000000000000000000000", status=404)
        self.check("GET", "/api/v1/users", status=401, role=None)
        self.check("POST", "/api/v1/sites", {"nam": "paris"}, status=422)
        self.check("POST", "/api/v1/users", {"name": "A B"}, status=422)
