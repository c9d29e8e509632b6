"""The arithmetic of credit."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.channels.messages import ProtocolError
from tunnelcloud.channels.windows import (
    FIRST_WINDOW,
    LARGEST_WINDOW,
    MIB,
    SHORT_WINDOW,
    STEADY_WINDOW,
    CreditBudget,
    Path,
    ReceiveWindow,
)


def pump(window: ReceiveWindow, total: int) -> None:
    """Let bytes through that never stay."""
    while total > 0:
        size = min(window.granted, 32 * 1024)
        window.receive(size)
        window.consume(size)
        total -= size


class ReceiveWindowTests(SynchronousTestCase):
    def test_grows_to_the_largest(self) -> None:
        account = CreditBudget().account()
        window = ReceiveWindow(account, Path())
        self.assertEqual(window.size, FIRST_WINDOW)
        pump(window, 2 * LARGEST_WINDOW)
        self.assertEqual(window.size, LARGEST_WINDOW)
        pump(window, 2 * LARGEST_WINDOW)
        self.assertEqual((window.size, account.used), (LARGEST_WINDOW, LARGEST_WINDOW))

    def test_grows_only_while_it_holds_the_sender_back(self) -> None:
        clock = Clock()
        path = Path(clock.seconds)
        path.asked()
        clock.advance(0.05)
        path.answered()
        for windows_a_round_trip, size in ((0.4, STEADY_WINDOW), (0.9, LARGEST_WINDOW)):
            window = ReceiveWindow(CreditBudget().account(), path)
            for _ in range(2000):
                count = min(window.granted, 32 * 1024)
                clock.advance(0.05 / windows_a_round_trip * count / window.size)
                window.receive(count)
                window.consume(count)
            self.assertEqual(window.size, size)

    def test_windows_in_use_share_what_a_near_connection_needs(self) -> None:
        clock = Clock()
        path = Path(clock.seconds)
        path.asked()
        path.answered()  # no round trip to speak of: no window holds anybody back
        account = CreditBudget().account()
        windows = [ReceiveWindow(account, path) for _ in range(10)]
        *busy, idle, other = windows

        def use(some: "list[ReceiveWindow]") -> None:
            for _ in range(16 * STEADY_WINDOW // FIRST_WINDOW):
                clock.advance(1)
                for window in some:
                    pump(window, FIRST_WINDOW)

        use(busy[:1])
        self.assertEqual(busy[0].size, STEADY_WINDOW)
        use(busy)
        self.assertEqual({window.size for window in busy}, {STEADY_WINDOW // 4})
        self.assertEqual((idle.size, path.windows_in_use), (FIRST_WINDOW, 8))
        for window in busy[1:]:
            window.release()
        use([busy[0], other])
        self.assertEqual({busy[0].size, other.size}, {STEADY_WINDOW // 2})
        for window in (busy[0], idle, other):
            window.release()
        self.assertEqual((account.used, path.windows_in_use), (0, 0))

    def test_a_sender_gets_nearly_all_of_its_window_each_round_trip(self) -> None:
        clock = Clock()
        path = Path(clock.seconds)
        path.asked()
        path.answered()
        window = ReceiveWindow(CreditBudget().account(), path)
        credit = window.granted
        for _ in range(60):
            clock.advance(1)
            sent, granted = credit, 0
            while credit:
                size = min(credit, 32 * 1024 - 9)
                credit -= size
                window.receive(size)
                granted += window.consume(size)
            credit = granted
        self.assertEqual(window.size, STEADY_WINDOW)
        self.assertGreater(sent, 0.75 * window.size)

    def test_a_path_keeps_its_shortest_round_trip(self) -> None:
        clock = Clock()
        path = Path(clock.seconds)
        path.answered()
        self.assertIsNone(path.round_trip)
        for seconds in (0.3, 0.2, 0.4):
            path.asked()
            clock.advance(seconds)
            path.answered()
            path.answered()
        self.assertAlmostEqual(path.round_trip or 0, 0.2)

    def test_does_not_grow_while_bytes_stay(self) -> None:
        window = ReceiveWindow(CreditBudget().account(), Path())
        window.receive(window.granted)
        for _ in range(1000):
            window.receive(window.consume(FIRST_WINDOW // 2))
        self.assertEqual(window.size, FIRST_WINDOW)

    def test_shrinks_while_bytes_pile_up(self) -> None:
        account = CreditBudget().account()
        window = ReceiveWindow(account, Path())
        pump(window, 2 * LARGEST_WINDOW)
        for _ in range(1000):
            window.receive(window.granted)
            window.consume(window.held // 2)
        self.assertEqual(window.size, STEADY_WINDOW)
        self.assertEqual(account.used, STEADY_WINDOW)
        window.consume(window.held)
        pump(window, 2 * LARGEST_WINDOW)
        self.assertEqual(window.size, LARGEST_WINDOW)

    def test_more_than_granted_is_an_error(self) -> None:
        window = ReceiveWindow(CreditBudget().account(), Path())
        window.receive(FIRST_WINDOW)
        self.assertRaises(ProtocolError, window.receive, 1)

    def test_release_gives_all_back(self) -> None:
        budget = CreditBudget()
        account = budget.account()
        window = ReceiveWindow(account, Path())
        pump(window, 10 * MIB)
        window.receive(100)
        window.release()
        self.assertEqual((account.used, budget.used), (0, 0))


class BudgetTests(SynchronousTestCase):
    def test_a_session_gets_an_eighth(self) -> None:
        budget = CreditBudget(64 * MIB)
        account = budget.account()
        windows = [ReceiveWindow(account, Path()) for _ in range(10)]
        for _ in range(8):
            for window in windows:
                pump(window, 4 * MIB)
        self.assertLessEqual(account.used, 8 * MIB)
        self.assertGreater(account.used, 4 * MIB)
        other = ReceiveWindow(budget.account(), Path())
        pump(other, 8 * MIB)
        self.assertGreaterEqual(other.size, 2 * MIB)

    def test_all_grow_by_what_is_ample_unless_far_off(self) -> None:
        clock = Clock()
        for seconds, far_off in ((0.002, False), (0.05, True)):
            path = Path(clock.seconds)
            path.asked()
            clock.advance(seconds)
            path.answered()
            budget = CreditBudget()
            windows = [ReceiveWindow(budget.account(), path) for _ in range(100)]
            for window in windows:
                pump(window, 4 * MIB)
            self.assertEqual(budget.grown, sum(w.size - FIRST_WINDOW for w in windows))
            self.assertEqual(budget.grown > budget.ample, far_off)
            self.assertGreater(budget.grown, budget.ample // 2)
            for window in windows:
                window.release()
            self.assertEqual((budget.used, budget.grown), (0, 0))

    def test_short_budget_gives_small_windows_and_takes_large_ones_back(self) -> None:
        budget = CreditBudget(32 * MIB, shares=1)
        first = ReceiveWindow(budget.account(), Path())
        pump(first, 40 * MIB)
        self.assertEqual(first.size, LARGEST_WINDOW)
        crowd = [ReceiveWindow(budget.account(), Path()) for _ in range(400)]
        self.assertEqual(crowd[-1].size, SHORT_WINDOW)
        self.assertTrue(budget.short)
        pump(first, 40 * MIB)
        self.assertFalse(budget.short)
        self.assertLess(first.size, LARGEST_WINDOW)
        self.assertEqual(ReceiveWindow(budget.account(), Path()).size, FIRST_WINDOW)
