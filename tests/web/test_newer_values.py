"""A newer pod beside this one wrote values that this one doesn't know: they are shown as they are,
and open nothing."""

from sqlalchemy import text

from tests.domain.values import NOW, grant, policy, tunnel, view
from tests.web.support import ApiTestCase
from tunnelcloud.domain.entities import Method, SessionMethod
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.policy import Ask, decide
from tunnelcloud.store import sessions
from tunnelcloud.store.column_types import Choice, Methods, member_of
from tunnelcloud.store.schema import metadata
from tunnelcloud.store.sessions import LoginRecord

NEWER = "hologram"
LOGIN = LoginRecord("alice", "192.0.2.1", "OpenSSH", "pod_1")


class NewerValueTests(ApiTestCase):
    def test_no_column_refuses_them(self):
        choices = [
            column.type
            for table in metadata.tables.values()
            for column in table.columns
            if isinstance(column.type, Choice)
        ]
        self.assertGreater(len(choices), 5)
        for kind in choices:
            read = kind.result_processor(None, None)
            found = read(NEWER)
            self.assertEqual(found, NEWER)
            self.assertIsInstance(found, kind.members)
            self.assertNotIn(found, list(kind.members))
            self.assertEqual(kind.process_bind_param(found, None), NEWER)
            for known in kind.members:
                self.assertIs(read(known.value), known)
        self.assertEqual(Methods.result_processor(None, None)('["hologram"]'), {NEWER})

    def test_a_session_of_a_newer_method_is_listed(self):
        person = self.people[Role.USER]
        begun = self.store.write(sessions.start, person, SessionMethod.KEY, LOGIN)
        self.change(f"UPDATE sessions SET method = '{NEWER}'")
        [shown] = self.api("GET", "/sessions")["items"]
        self.assertEqual((shown["id"], shown["method"]), (begun.id, NEWER))
        self.assertEqual(self.api("GET", f"/sessions/{begun.id}")["method"], NEWER)

    def change(self, statement):
        self.store.write(lambda transaction: transaction.connection.execute(text(statement)))

    def test_a_newer_role_may_do_nothing(self):
        self.change(f"UPDATE users SET role = '{NEWER}' WHERE name = 'the-user'")
        self.change(f"UPDATE api_tokens SET role = '{NEWER}' WHERE role = 'admin'")
        self.api("GET", "/sites", expect=403)
        shown = self.api("GET", "/users?name=the-user", role=Role.AUDITOR)["items"]
        self.assertEqual(shown[0]["role"], NEWER)

    def test_a_newer_approval_is_one_that_nobody_has_given(self):
        for approval, opens in ((Approval.NONE, True), (member_of(Approval, NEWER), False)):
            granted = grant(tunnel(), policies=(policy(approval=approval),))
            wanted = Ask(host="db", port=5432, method=Method.KEY, source_ip="192.0.2.1", at=NOW)
            self.assertEqual(decide(view(granted), wanted).allowed, opens)
