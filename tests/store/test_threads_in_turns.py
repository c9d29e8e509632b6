"""Threads whose work takes turns by whoever causes it, and how they end."""

import threading

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.store.threads_in_turns import ThreadsInTurns


class ClosingTests(SynchronousTestCase):
    def test_what_is_refused_is_never_done(self):
        """Whoever hears that the store is closed may do it again elsewhere."""
        threads, go_on = ThreadsInTurns(1, "test"), threading.Event()
        self.addCleanup(go_on.set)
        done, accepted = [], []
        threads.submit(go_on.wait)
        closing = threading.Thread(target=threads.close, kwargs={"cancels": False})
        closing.start()
        with self.assertRaises(RuntimeError):
            for number in range(100_000_000):
                threads.submit(lambda number=number: done.append(number))
                accepted.append(number)
        go_on.set()
        closing.join()
        self.assertEqual(done, accepted)
