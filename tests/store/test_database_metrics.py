"""What monitoring is told of the database."""

from tests.store.databases import PostgresCase, SQLiteCase
from tunnelcloud.store import connectors, sites
from tunnelcloud.store.database_metrics import measure


class MeasuresContract:
    def test_sites_and_their_joined_connectors(self):
        store = self.open()
        paris = store.write(sites.create, name="paris")
        lyon = store.write(sites.create, name="lyon")
        for name, site, joins in (("a", paris, True), ("b", paris, False), ("c", lyon, True)):
            one = store.write(connectors.create, name=name, site_id=site.id)
            if joins:
                secret = {"secret_hash": name, "lifetime_seconds": 60}
                store.write(connectors.add_join_token, one.id, **secret)
                store.write(connectors.redeem_join_token, name, key_fingerprint=name)
        found = store.read(measure, 200)
        self.assertEqual(found.sites, {paris.id: "paris", lyon.id: "lyon"})
        self.assertEqual(found.joined, {paris.id: 1, lyon.id: 1})
        self.assertEqual(found.size is None, self.url == "sqlite")
        if found.size is not None:
            self.assertGreater(found.size, 1 << 20)
        found = store.read(measure, 1)
        self.assertEqual(found.sites, {paris.id: "paris"})
        self.assertEqual(found.joined, {paris.id: 1, lyon.id: 1})


class SQLiteMeasuresTests(MeasuresContract, SQLiteCase):
    pass


class PostgresMeasuresTests(MeasuresContract, PostgresCase):
    pass
