"""How many statements a login and a reload of views take."""

from sqlalchemy import Engine, event

from tests.pod.test_login_attempts import SECRET, LoginWorld
from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import public_key
from tunnelcloud.ssh.interfaces import LoginAttempt
from tunnelcloud.store import groups, keys, sessions, user_views, users
from tunnelcloud.store.prepared_statements import _Compiled


class CostContract(LoginWorld):
    """By the database's own clock, as a pod has it.

    :ivar without_both: one more statement, where a session and its event can't be one.
    """

    without_both = 0

    def open(self, clock=None):
        return super().open()

    def count(self):
        """Count statements from here on."""
        said = []
        run = _Compiled.run

        def ran(compiled, connection, values):
            # SQLite's own begin and end are prepared ones, too.
            if " " in compiled.text.strip() and not compiled.text.startswith("BEGIN"):
                said.append(compiled.text)
            return run(compiled, connection, values)

        def executed(connection, cursor, statement, *_):
            said.append(statement)

        self.patch(_Compiled, "run", ran)
        event.listen(Engine, "before_cursor_execute", executed)
        self.addCleanup(event.remove, Engine, "before_cursor_execute", executed)
        return said

    def add_key(self):
        text, self.blob = public_key("one")
        self.store.write(keys.create, user_id=self.world.alice.id, public_key=text)

    def log_in_with_key(self):
        outcome = []
        attempt = LoginAttempt(b"alice", "192.0.2.1", 1, "x")
        self.access.login_with_key(attempt, self.blob).addBoth(outcome.append)
        while not outcome:
            self.reactor.run_one()
        self.assertIsInstance(outcome[0], str)

    def test_a_tokens_login(self):
        said = self.count()
        self.assertIsInstance(self.log_in(), str)
        # Two of them read what alice reaches, which her session needs anyway.
        self.assertLessEqual(len(said), 6 + self.without_both, said)
        del said[:]
        self.assertIsInstance(self.log_in(), str)
        self.assertLessEqual(len(said), 4 + self.without_both, said)

    def test_a_keys_login(self):
        self.add_key()
        said = self.count()
        self.log_in_with_key()
        self.assertLessEqual(len(said), 6 + self.without_both, said)
        del said[:]
        self.log_in_with_key()
        self.assertLessEqual(len(said), 3 + self.without_both, said)

    def test_a_refused_token_reads_no_view(self):
        """Neither a wrong one nor another user's: the time tells nothing of grants."""
        said = self.count()
        for user, token in ((b"alice", "b" * 26), (b"nobody", "b" * 26), (b"nobody", SECRET)):
            outcome = []
            attempt = LoginAttempt(user, "192.0.2.1", 1, "x")
            self.access.login_with_token(attempt, token).addErrback(outcome.append)
            while not outcome:
                self.reactor.run_one()
        self.assertFalse([one for one in said if "assignments" in one])

    def test_many_views_are_two_statements(self):
        many = [self.store.write(users.create, name=f"u{number}") for number in range(30)]
        for one in many:
            self.store.write(groups.add_member, self.world.dba.id, one.id)
        said = self.count()
        views = self.store.read(user_views.load_views, [one.id for one in many])
        self.assertEqual(len(views), 30)
        self.assertEqual(len(said), 2, said)

    def test_all_requests_to_end_something_are_two_statements(self):
        said = self.count()
        self.store.read(sessions.end_requests, "pod_1")
        self.assertEqual(len(said), 2, said)

    def test_all_keys_are_looked_at_together(self):
        said = self.count()
        self.store.read(keys.good, [f"key_{number}" for number in range(50)])
        self.assertLessEqual(len(said), 2, said)


class SQLiteCostTests(CostContract, SQLiteCase):
    without_both = 1


class PostgresCostTests(CostContract, PostgresCase):
    pass
