"""What a user has open is found by an index of what is open, not among all that they ever had."""

from sqlalchemy import insert, select, text

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.plans import plans_of
from tests.store.records import RecordCase
from tunnelcloud.domain.user_limits import Limits
from tunnelcloud.store import channels, own_pages, sessions
from tunnelcloud.store.user_limits import open_channel

OVER = 2000
"""Of one user, as many sessions and channels as they have had in some weeks."""


class OpenOfUserContract(RecordCase):
    def setUp(self):
        super().setUp()
        self.session = self.start()
        self.channel = self.store.write(
            channels.open, self.session, self.world.tunnel, destination="db", port=1
        )
        for record, over in ((self.session, "ended_at"), (self.channel, "closed_at")):
            self.store.write(self.copy, record, over)
        self.store.write(lambda transaction: transaction.connection.execute(text("ANALYZE")))

    def copy(self, transaction, record, over):
        """Make many rows like this one, all of which are over."""
        table, kind = (
            (sessions.table, "session") if over == "ended_at" else (channels.table, "channel")
        )
        row = transaction.connection.execute(select(table).where(table.c.id == record.id)).one()
        another = {"session_id": "session"} if kind == "channel" else {}
        rows = [
            {
                **row._mapping,
                over: transaction.now(),
                **{name: transaction.new_id(of) for name, of in {"id": kind, **another}.items()},
            }
            for _ in range(OVER)
        ]
        transaction.connection.execute(insert(table), rows)

    @property
    def is_sqlite(self):
        return isinstance(self, SQLiteCase)

    def writer(self):
        backend = self.store.backend
        return backend._writer if self.is_sqlite else backend._writers

    def read(self, function, **values):
        plans = plans_of(self.store.backend._readers, self.store.read, function, **values)
        return "\n".join(plans)

    def test_live_sessions(self):
        plan = self.read(sessions.list_page, user_id=self.world.alice.id, live=True)
        self.assertIn("ix_sessions_open_of_user", plan)

    def test_where_open_channels_lead(self):
        plan = self.read(own_pages.read_own_activity, user_id=self.world.alice.id)
        self.assertIn("ix_channels_open_of_user", plan)

    def test_limits(self):
        """What a channel waits for while its user's row is locked."""
        plans = plans_of(
            self.writer(),
            self.store.write,
            open_channel,
            self.session,
            self.world.tunnel,
            Limits(5, 5, 0, 0),
            destination="db",
            port=1,
        )
        [plan] = [one for one in plans if "sessions" in one]
        for name in ("sessions", "channels"):
            self.assertRegex(plan, f"ix_{name}_open")
            self.assertNotRegex(plan, f"ix_{name}_user_id|Seq Scan on {name}|SCAN {name}")


class SQLiteOpenOfUserTests(OpenOfUserContract, SQLiteCase):
    pass


class PostgresOpenOfUserTests(OpenOfUserContract, PostgresCase):
    pass
