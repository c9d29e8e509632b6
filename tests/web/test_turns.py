"""No request holds the reactor up: each turn's CPU time, for the worst bodies there are.

Only this thread's own time counts, the best of several runs: what else the machine does is no
matter.
"""

import json
import threading
import time
from typing import get_type_hints

from pydantic import BaseModel

from tests.web.support import ApiTestCase, QueuedReactor
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web import api
from tunnelcloud.web.models.fields import Page
from tunnelcloud.web.resources import decisions
from tunnelcloud.web.routes import SHOWN_AT_ONCE, Listed
from tunnelcloud.web.sizes import MAX_BODY, MAX_FORM

LONGEST_TURN = 0.05


class TimedReactor(QueuedReactor):
    """Measures what it runs."""

    def __init__(self):
        super().__init__()
        self.longest = 0.0

    def measure(self, work, *args):
        began = time.thread_time()
        work(*args)
        self.longest = max(self.longest, time.thread_time() - began)

    def run_one(self):
        # A whole configuration takes seconds. Only the reactor's turns are judged.
        function, args = self._calls.get(timeout=300)
        self.measure(function, *args)


def filled(make, size):
    """Give the JSON of a document as near to a size as it gets."""
    count = size // 60
    while len(raw := json.dumps(make(count)).encode()) > size:
        count = count * 9 // 10
    return raw


USERS = {
    "users": lambda n: {"users": {f"user-{number}": {} for number in range(n)}},
    "users with faults": lambda n: {"users": {f"User {number}": {"x": 1} for number in range(n)}},
    "users that are numbers": lambda n: {"users": {f"u{number}": 1 for number in range(n)}},
    "members": lambda n: {"groups": {"a": {"members": [f"user-{one}" for one in range(n)]}}},
    "unknown fields": lambda n: {f"field-{number}": 1 for number in range(n)},
    "unknown fields of one": lambda n: {"users": {"a": {f"f{one}": 1 for one in range(n)}}},
    "sites": lambda n: {"sites": {f"site-{number}": {"title": 5} for number in range(n)}},
}
TEXTS = {
    "escaped quotes": lambda size: b'"' + b'\\"' * (size // 2 - 1),
    "open brackets": lambda size: b"[" * size,
    "lists": lambda size: b"[" + b"[]," * (size // 3 - 1) + b"1]",
    "one key": lambda size: b"{" + b'"a":1,' * (size // 6 - 2) + b'"b":1}',
    "long numbers": lambda size: b"[" + (b"9" * 4300 + b",") * (size // 4301 - 1) + b"1]",
}


class TurnTests(ApiTestCase):
    def make_reactor(self):
        return TimedReactor()

    def longest_turn(self, method, path, body, **kwargs):
        """Give the longest turn of a request, the best of three."""
        best = float("inf")
        for _ in range(3):
            self.reactor.longest = 0.0
            self.ask(method, path, body, **kwargs)
            best = min(best, self.reactor.longest)
            if best < LONGEST_TURN / 2:
                break
        return best

    def received(self, channel, data):
        self.reactor.measure(channel.dataReceived, data)

    def check(self, method, path, body, name, **kwargs):
        found = self.longest_turn(method, path, body, **kwargs)
        self.assertLess(found, LONGEST_TURN, f"{name} to {path}, {len(body)} bytes")

    def test_whole_configurations(self):
        for name, make in USERS.items():
            self.check("POST", "/api/v1/apply?dry_run=true", filled(make, MAX_BODY), name)

    def test_texts_to_every_operation_that_takes_a_body(self):
        for route in self.table.routes:
            if route.body is None or route.method == "PATCH":
                continue
            path = route.path
            for parameter in route.parameters:
                path = path.replace(f"{{{parameter}}}", f"{parameter[:3]}_{'0' * 26}")
            for name, make in TEXTS.items():
                body = make(route.longest_body)
                self.check("POST", f"/api/v1{path}", body, name)

    def test_objects_to_an_operation(self):
        for name, make in USERS.items():
            self.check("POST", "/api/v1/tunnels", filled(make, MAX_FORM), name)
        ports = json.dumps({"target_ports": ["x"] * (MAX_FORM // 6)}).encode()
        self.check("POST", "/api/v1/tunnels", ports, "ports")

    def test_forms(self):
        for name, body in {
            "escapes": b"a=" + b"%41" * (MAX_FORM // 3 - 1),
            "fields": b"&".join(b"f%d=%%e2%%80%%ae" % number for number in range(500)),
            "too many fields": b"a&" * (MAX_FORM // 2),
        }.items():
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            self.check("POST", "/sign-in", body, name, headers=headers, role=None)

    def test_rows_of_every_list_can_be_shown_away_from_the_reactor(self):
        short = {"list_host_keys"}
        for route in self.table.routes:
            if not issubclass(route.answer or BaseModel, Page) or route.name in short:
                continue
            gives = get_type_hints(route.handler)["return"]
            self.assertIs(gives, Listed, f"{route.name} shows its rows in the reactor's thread")

    def test_a_long_list_is_shown_away_from_the_reactor(self):
        document = json.dumps({"users": {f"user-{number}": {} for number in range(200)}}).encode()
        self.assertEqual(self.ask("POST", "/api/v1/apply", document).status, 200)
        threads, encode = [], api.encode_json

        def noted(shown):
            threads.append(threading.current_thread() is threading.main_thread())
            return encode(shown)

        self.patch(api, "encode_json", noted)
        self.api("GET", "/users?limit=200")
        self.api("GET", f"/users?limit={SHOWN_AT_ONCE}")
        self.assertEqual(threads, [False, True])

    def test_ones_own_tunnels_are_decided_on_away_from_the_reactor(self):
        """Each of them by all the hours of its policies: 48 of them took 170 ms."""
        self.assign(self.make_tunnel(), {"id": self.people[Role.USER].id})
        threads, decide = [], decisions.own_standing

        def noted(*args):
            threads.append(threading.current_thread() is threading.main_thread())
            return decide(*args)

        self.patch(decisions, "own_standing", noted)
        self.api("GET", "/me/tunnels", role=Role.USER)
        self.assertEqual(threads, [False])

    def test_the_first_who_asks_for_the_description(self):
        self.ask("GET", "/api/v1/openapi.json", role=None)
        self.assertLess(self.reactor.longest, LONGEST_TURN)

    def test_long_answers(self):
        document = json.dumps(
            {"users": {f"user-{number}": {"title": "t" * 40} for number in range(3000)}}
        ).encode()
        self.assertEqual(self.ask("POST", "/api/v1/apply", document).status, 200)
        for path in ("/api/v1/export", "/api/v1/openapi.json", "/api/v1/users?limit=200"):
            self.check("GET", path, b"", path, role=Role.ADMIN)
