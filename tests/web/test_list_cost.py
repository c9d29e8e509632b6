"""What a list costs the pod: calls for each row, and statements that are put together anew."""

import sys
from datetime import UTC, datetime

from sqlalchemy import Engine, event

from tests.store.databases import SQLiteCase
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import api_tokens, audit, policies, users, web_sessions
from tunnelcloud.store.credential_checks import role_by_api_token, role_by_web_session
from tunnelcloud.web.encoding import encode_json
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.models.policies import Policy
from tunnelcloud.web.models.users import User
from tunnelcloud.web.resources.activity import _event

SHORT, LONG = 50, 150
MOST_CALLS = {"users": 45, "policies": 85, "events": 60}
"""For a row: it is read, becomes an entity, is shown and written as JSON.  They are 30 to 61."""


def calls(work):
    """Count the calls of functions in this thread while something is done."""
    count = 0

    def note(_frame, kind, _function):
        nonlocal count
        count += kind in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


class ListCostTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.store = self.open()

        def fill(transaction):
            self.user = users.create(transaction, name="root", role="admin")
            for number in range(LONG):
                users.create(transaction, name=f"u{number}")
                policies.create(transaction, name=f"p{number}", source_networks=("10.0.0.0/8",))
            api_token = api_tokens.create(
                transaction, title="t", role="admin", secret_hash=hash_secret("a"),
                user_id=self.user.id,
            )  # fmt: skip
            session = web_sessions.create(
                transaction, user_id=self.user.id, secret_hash=hash_secret("b"),
                lifetime_seconds=600, method="password", source_ip="::1", user_agent="x",
            )  # fmt: skip
            return api_token.id, session.id

        self.api_token_id, self.session_id = self.store.write(fill)

    def a_row(self, list_page, show):
        def work(limit):
            page = self.store.read(list_page, limit=limit)
            encode_json({"items": [show(one) for one in page.items]})

        for limit in (SHORT, LONG):
            work(limit)  # the first of everything makes caches
        return (calls(lambda: work(LONG)) - calls(lambda: work(SHORT))) / (LONG - SHORT)

    def test_the_calls_for_a_row(self):
        for name, list_page, show in (
            ("users", users.list_page, values_as(User)),
            ("policies", policies.list_page, values_as(Policy)),
            ("events", audit.list_page, _event),
        ):
            self.assertLess(self.a_row(list_page, show), MOST_CALLS[name], name)

    def test_what_every_request_asks_is_put_together_once(self):
        """SQLAlchemy's way to run a statement takes several times what SQLite's work does."""
        now = datetime.now(UTC)
        reads = {
            "users": lambda one: users.list_page(one, limit=5, sort="name"),
            "policies": policies.list_page,
            "audit": audit.list_page,
            "a bearer token": lambda one: api_tokens.authenticate(one, hash_secret("a")),
            "a cookie": lambda one: web_sessions.authenticate(one, hash_secret("b")),
        }
        writes = {
            "a change": lambda one: users.update(one, self.user.id, {"title": str(now)}),
            "an API token again": lambda one: role_by_api_token(
                one, self.api_token_id, self.user.id, hold=True
            ),
            "a sign-in again": lambda one: role_by_web_session(
                one, self.session_id, self.user.id, hold=True
            ),
        }
        ran = []

        def note(*told):
            ran.append(str(told[1]))

        event.listen(Engine, "before_execute", note)
        self.addCleanup(event.remove, Engine, "before_execute", note)
        for ask, works in ((self.store.read, reads), (self.store.write, writes)):
            for name, work in works.items():
                self.assertTrue(ask(work), name)
                self.assertEqual(ran, [], name)
