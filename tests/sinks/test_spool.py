"""Lines on disk: their order, their bound, and what a restart or a full disk leaves of them."""

import os
import shutil
import stat
from pathlib import Path
from threading import Thread

from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.sinks.spool import SEGMENTS, Spool

LIMIT = 16 * 1024


def line(number):
    return b"%06d %s" % (number, b"x" * 25)


class SpoolTests(SynchronousTestCase):
    def setUp(self):
        self.directory = Path(self.mktemp())
        self.spool = self.open()

    def open(self):
        spool = Spool.open(self.directory, LIMIT)
        self.addCleanup(spool.close)
        return spool

    def take_all(self, spool=None):
        spool = spool or self.spool
        found = []
        while lines := spool.first(10, 1000):
            found += lines
            spool.taken()
        return found

    def on_disk(self):
        return sum(path.stat().st_size for path in self.directory.glob("0*"))

    def test_its_files_are_its_own(self):
        self.addCleanup(os.umask, os.umask(0))
        self.spool.append([line(1), line(2)])
        self.spool.first(1, 1000)
        self.spool.taken()
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in self.directory.iterdir()}
        self.assertEqual(modes, {"000000000001": 0o600, "position": 0o600})

    def test_what_others_put_there_is_left_alone(self):
        self.spool.append([line(1)])
        self.spool.close()
        for name in ("7", "\u00b2", "000000000001.gz"):
            (self.directory / name).touch()
        for odd in ("-5", "1" * 5000):
            (self.directory / "position").write_text(f"1 {odd} {odd}\n")
            self.assertEqual(self.open().first(10, 1000), [line(1)])

    def test_in_order_and_gone_when_taken(self):
        lines = [line(number) for number in range(200)]
        for start in range(0, 200, 7):
            self.spool.append(lines[start : start + 7])
        self.assertEqual(self.spool.size, 200 * 33)
        self.assertEqual(self.take_all(), lines)
        self.assertEqual((self.spool.size, self.spool.dropped), (0, 0))
        self.assertLess(self.on_disk(), 2 * LIMIT // SEGMENTS)

    def test_what_was_not_taken_is_given_again(self):
        self.spool.append([line(1), line(2), line(3)])
        self.assertEqual(self.spool.first(2, 1000), [line(1), line(2)])
        self.assertEqual(self.spool.first(9, 40), [line(1)])
        self.spool.taken()
        self.assertEqual(self.spool.first(9, 1), [line(2)])

    def test_a_restart_goes_on_where_it_was(self):
        self.spool.append([line(number) for number in range(100)])
        self.spool.first(30, 10_000)
        self.spool.taken()
        self.spool.close()
        again = self.open()
        again.append([line(100)])
        self.assertEqual(self.take_all(again)[:2], [line(30), line(31)])
        self.assertEqual(again.size, 0)
        again.close()
        self.assertEqual(self.take_all(self.open()), [])

    def test_a_position_that_was_torn_gives_lines_again_rather_than_none(self):
        self.spool.append([line(1), line(2)])
        self.spool.first(1, 1000)
        self.spool.taken()
        self.spool.close()
        for torn in (b"", b"0000", b"1 99999 1\n", b"9 0 0\n", b"\xff\xff\xff"):
            (self.directory / "position").write_bytes(torn)
            spool = self.open()
            self.assertEqual(spool.first(9, 1000), [line(1), line(2)], torn)
            spool.close()

    def test_a_line_without_its_end_is_cut_off(self):
        self.spool.append([line(1)])
        self.spool.close()
        (segment,) = self.directory.glob("0*")
        with segment.open("ab") as file:
            file.write(b"half of a li")
        spool = self.open()
        spool.append([line(2)])
        self.assertEqual(self.take_all(spool), [line(1), line(2)])

    def test_full_it_loses_the_oldest_and_counts_them(self):
        for number in range(2000):
            self.spool.append([line(number)])
            self.assertLessEqual(self.on_disk(), LIMIT)
        found = self.take_all()
        self.assertEqual(found, [line(number) for number in range(2000 - len(found), 2000)])
        self.assertEqual(self.spool.dropped, 2000 - len(found))
        self.assertGreater(len(found) * 33, LIMIT - 2 * LIMIT // SEGMENTS)

    def test_what_was_offered_and_then_lost_is_not_taken_twice(self):
        self.spool.append([line(0)])
        self.spool.first(1, 1000)
        for number in range(1, 2000):
            self.spool.append([line(number)])
        kept = 2000 - self.spool.dropped
        self.spool.taken()
        self.assertEqual(len(self.take_all()), kept)

    def test_what_is_bigger_than_all_of_it(self):
        self.spool.append([line(1)])
        self.spool.append([b"x" * LIMIT])
        self.assertEqual(self.spool.dropped, 1)
        self.assertEqual(self.take_all(), [line(1)])

    def test_a_disk_that_takes_nothing_fails_nobody(self):
        class Full:
            def write(self, data):
                raise OSError(28, "No space left on device")

            def truncate(self, size):
                self.size = size

            def close(self):
                pass

        self.spool.append([line(1)])
        full = self.spool._out = Full()
        self.spool.append([line(2), line(3)])
        self.assertEqual((self.spool.dropped, full.size), (2, 33))
        self.spool._out = None
        self.spool.append([line(4)])
        self.assertEqual(self.take_all(), [line(1), line(4)])

    def test_files_that_somebody_deletes(self):
        """What was in them is lost and counted, and what comes later is delivered."""
        count = 600
        for number in range(count):
            self.spool.append([line(number)])
        given = self.spool.first(1, 1000)
        self.spool.taken()
        self.assertGreater(len(list(self.directory.iterdir())), 3)
        shutil.rmtree(self.directory)
        while found := self.spool.first(100, 10_000):
            given += found
            self.spool.taken()
        self.assertGreater(self.spool.dropped, 0)
        self.assertEqual(self.spool.dropped + len(given), count)
        self.spool.append([line(count)])
        self.assertEqual(self.spool.first(9, 1000), [line(count)])
        self.spool.taken()
        self.spool.append([line(count + 1)])
        self.spool.close()
        again = self.open()
        self.assertEqual(again.first(9, 1000), [line(count + 1)])

    def test_each_time_that_the_disk_is_full_is_logged(self):
        logged = []
        globalLogPublisher.addObserver(logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)

        class Full:
            def write(self, data):
                raise OSError(28, "No space left on device")

            def truncate(self, size):
                pass

        self.spool.append([line(0)])
        good = self.spool._out
        self.addCleanup(good.close)
        for number in (1, 2):
            self.spool._out = Full()
            self.spool.append([line(number)])
            self.spool.append([line(number)])
            self.spool._out = good
            self.spool.append([line(number)])
            errors = [one for one in logged if one["log_level"] is LogLevel.error]
            self.assertEqual(len(errors), number)
        self.assertEqual(self.spool.dropped, 4)

    def test_threads_add_whole_lines(self):
        def add(who):
            for number in range(50):
                self.spool.append([b"%d %d" % (who, number)])

        threads = [Thread(target=add, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [tuple(map(int, one.split())) for one in self.take_all()]
        for who in range(4):
            self.assertEqual([n for w, n in found if w == who], list(range(50)))

    def test_a_line_costs_the_same_however_many_wait(self):
        def reads(count):
            spool = Spool.open(Path(self.mktemp()), 1 << 24)
            self.addCleanup(spool.close)
            for start in range(0, count, 100):
                spool.append([line(number) for number in range(start, start + 100)])
            spool.first(10, 1000)
            return spool._in.tell() if spool._in else 0, len(spool._segments)

        self.assertEqual(reads(1_000)[0], reads(20_000)[0])
        self.assertLessEqual(reads(20_000)[1], SEGMENTS)
