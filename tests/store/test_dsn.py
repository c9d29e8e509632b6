"""URLs of a database are read as libpq reads them."""

from psycopg.conninfo import conninfo_to_dict
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.store.errors import StateUnusable
from tunnelcloud.store.postgres import read_dsn


class DsnTests(SynchronousTestCase):
    def read(self, url):
        return conninfo_to_dict(read_dsn(url))

    def test_one_host(self):
        found = self.read("postgresql://u:p%40@db.example.com/name?sslmode=require")
        self.assertEqual(
            found,
            {"user": "u", "password": "p@", "host": "db.example.com", "dbname": "name",
             "sslmode": "require"},
        )  # fmt: skip

    def test_several_hosts_mean_the_one_that_takes_writes(self):
        found = self.read("postgres://u@one:5432,[2001:db8::1]:5433/name")
        self.assertEqual((found["host"], found["port"]), ("one,2001:db8::1", "5432,5433"))
        self.assertEqual(found["target_session_attrs"], "read-write")
        found = self.read("postgresql://u@one,two/name?target_session_attrs=any")
        self.assertEqual(found["target_session_attrs"], "any")

    def test_a_bad_one_is_refused_without_its_password(self):
        error = self.assertRaises(StateUnusable, read_dsn, "postgresql://u:hidden@h/n?nonsense=1")
        self.assertIn("postgresql://user:password@host1,host2/name", str(error))
        self.assertNotIn("hidden", str(error))
