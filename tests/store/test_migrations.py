"""The migrations lead from nothing to what schema.py says."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from tests.store.databases import EmptyPostgresCase, EmptySQLiteCase
from tunnelcloud.store.schema import metadata


class MigrationContract:
    def test_migrated_from_nothing_it_is_the_schema(self):
        store = self.open()

        def compare(transaction):
            context = MigrationContext.configure(
                transaction.connection, opts={"compare_type": True}
            )
            return compare_metadata(context, metadata)

        self.assertEqual(store.read(compare), [])

    def test_constraints_are_as_the_schema_says(self):
        store = self.open()

        def described(transaction):
            inspector = inspect(transaction.connection)
            return {
                table.name: (
                    {
                        (one["constrained_columns"][0], one["options"].get("ondelete"))
                        for one in inspector.get_foreign_keys(table.name)
                    },
                    {one["name"] for one in inspector.get_check_constraints(table.name)},
                )
                for table in metadata.tables.values()
            }

        found = store.read(described)
        for table in metadata.tables.values():
            keys = {(key.parent.name, key.ondelete) for key in table.foreign_keys}
            self.assertEqual(found[table.name][0], keys, table.name)
        self.assertEqual(found["assignments"][1], {"ck_assignments_one_entity"})


class SQLiteMigrationTests(MigrationContract, EmptySQLiteCase):
    pass


class PostgresMigrationTests(MigrationContract, EmptyPostgresCase):
    pass
