"""Records of TLS are counted however reads cut them."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.tls_records import RecordCounter


def record(size):
    return b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size)


class RecordCounterTests(SynchronousTestCase):
    @given(st.lists(st.integers(0, 300), max_size=30), st.lists(st.integers(0, 3000), max_size=30))
    def test_any_cut(self, sizes, cuts):
        stream = b"".join(map(record, sizes))
        places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
        counter = RecordCounter()
        reads = [stream[one:after] for one, after in itertools.pairwise(places)]
        self.assertEqual(sum(map(counter.count, reads)), len(sizes))

    def test_a_read_counts_what_begins_in_it(self):
        counter = RecordCounter()
        counts = [counter.count(record(100)[:50]), counter.count(record(100)[50:] + record(0) * 9)]
        self.assertEqual(counts, [1, 9])
