"""What a channel costs the database: bytes for good, pages in the log, statements."""

from __future__ import annotations

from itertools import pairwise

from tests.store.databases import SQLiteCase
from tests.store.records import RecordCase
from tunnelcloud.domain.entities import write_id
from tunnelcloud.store import channels
from tunnelcloud.store.sqlite_files import FILE_NAME

PAGE = 4096
MOST_BYTES = 1250
"""Of a short channel, for good, with all indexes."""

MOST_PAGES = 14
"""Of a channel that is opened in a transaction of its own, and ends with others."""

TOGETHER = 20

POD, CONNECTOR = (write_id(prefix, bytes(range(16))) for prefix in ("pod", "con"))


class PriceTests(RecordCase, SQLiteCase):
    """One user's channels, opened one after the other; their ends share transactions."""

    def setUp(self):
        super().setUp()
        self.session = self.start(pod_id=POD)

    def pass_channels(self, count):
        for _ in range(count // TOGETHER):
            opened = [self.open_channel(self.session) for _ in range(TOGETHER)]
            self.clock.advance(0.1)
            self.store.write(self.close_all, opened)

    def close_all(self, transaction, opened):
        for one in opened:
            channels.close(
                transaction,
                one.id,
                reason="",
                bytes_to_target=12345,
                bytes_from_target=678901,
                acknowledged=True,
                connector_id=CONNECTOR,
            )

    def taken(self):
        def pages(transaction):
            return transaction.connection.exec_driver_sql("PRAGMA page_count").scalar()

        return self.store.read(pages) * PAGE

    def logged(self):
        return (self.directory / f"{FILE_NAME}-wal").stat().st_size // PAGE

    def test_bytes_for_good(self):
        sizes = [self.taken()]
        for _ in range(2):
            self.pass_channels(400)
            sizes.append(self.taken())
        first, second = (after - before for before, after in pairwise(sizes))
        self.assertLess(first, 400 * MOST_BYTES)
        self.assertLess(second, 400 * MOST_BYTES)

    def test_pages_in_the_log(self):
        self.pass_channels(40)
        before = self.logged()
        self.pass_channels(100)
        self.assertLess(self.logged() - before, 100 * MOST_PAGES)

    def test_statements(self):
        done = []

        def trace(transaction):
            transaction.connection.connection.driver_connection.set_trace_callback(done.append)

        self.store.write(trace)
        opened = self.open_channel(self.session)
        self.assertEqual(
            [one.split()[0] for one in done if "TRACE" not in one],
            ["COMMIT", "BEGIN", "INSERT", "COMMIT"],
        )
        del done[:]
        self.store.write(self.close_all, [opened])
        self.assertEqual([one.split()[0] for one in done], ["BEGIN", "UPDATE", "INSERT", "COMMIT"])
