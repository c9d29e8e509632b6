"""Prepared statements say what SQLAlchemy's execution says, on both databases."""

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import START
from tests.store.records import RecordCase
from tunnelcloud.domain.entities import Method
from tunnelcloud.store import schema
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.prepared_statements import Prepared

table = schema.assignments
INSERT = Prepared(insert(table))
FIND = Prepared(select(table).where(table.c.id == bindparam("wanted")))
MOVE = Prepared(
    update(table)
    .where(table.c.id == bindparam("wanted"), table.c.created_at <= bindparam("until"))
    .values(created_at=bindparam("until"), methods=bindparam("methods"))
    .returning(table.c.created_at, table.c.methods)
)


class PreparedContract(RecordCase):
    def run_one(self, statement, **values):
        return self.store.write(lambda transaction: statement(transaction.connection, values))

    def test_rows_as_sqlalchemy_reads_them(self):
        wanted = self.world.assignment.id
        [row] = self.run_one(FIND, wanted=wanted)
        query = select(table).where(table.c.id == wanted)
        expected = self.store.read(lambda transaction: transaction.connection.execute(query).one())
        self.assertEqual(tuple(row), tuple(expected))
        self.assertEqual(row.tunnel_id, self.world.tunnel.id)
        self.assertEqual(row.methods, frozenset(Method))
        self.assertEqual(self.run_one(FIND, wanted="asg_none"), [])

    def test_what_it_writes_sqlalchemy_reads(self):
        row = {
            "id": "asg_1",
            "created_at": START,
            "tunnel_id": self.world.tunnel.id,
            "user_id": self.world.bob.id,
            "group_id": None,
            "methods": [Method.KEY],
            "policy_id": None,
        }
        self.assertEqual(self.run_one(INSERT, **row), [])
        query = select(table).where(table.c.id == "asg_1")
        found = self.store.read(lambda transaction: transaction.connection.execute(query).one())
        self.assertEqual(found._asdict(), {**row, "methods": frozenset({Method.KEY})})

    def test_what_an_update_returns(self):
        values = {"wanted": self.world.assignment.id, "until": START, "methods": [Method.TOKEN]}
        [row] = self.run_one(MOVE, **values)
        self.assertEqual(row, (START, frozenset({Method.TOKEN})))

    def test_errors_are_the_stores(self):
        [row] = self.run_one(FIND, wanted=self.world.assignment.id)
        error = self.assertRaises(Conflict, self.run_one, INSERT, **row._asdict())
        self.assertIsInstance(error.__cause__, IntegrityError)
        self.assertEqual(len(self.run_one(FIND, wanted=row.id)), 1)


class SQLitePreparedTests(PreparedContract, SQLiteCase):
    pass


class PostgresPreparedTests(PreparedContract, PostgresCase):
    pass
