"""Who guesses passwords has as many attempts at ten pods as at one."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.store.pods_in_memory import Pods
from tunnelcloud.net.source_limits import REFUSED_LOGIN, FloodControl
from tunnelcloud.pod.penalties import SHARE_SECONDS, SharedPenalties
from tunnelcloud.pod.periodic_work import Supervisor
from tunnelcloud.store.postgres import notice
from tunnelcloud.store.transaction import Change, Resync
from tunnelcloud.web.portal.password_attempts import (
    FREE_FOR_A_NAME,
    LONGEST_WAIT,
    Attempt,
    SignInAttempts,
)
from tunnelcloud.web.portal.shared_attempts import NOTICE_BYTES, SharedAttempts

ADA = Attempt("ada", "192.0.2.1")
SHARED_WITHIN = 2.0
PODS = 3


class SharedAttemptsTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.store = Pods()
        self.supervisor = Supervisor(self.clock)
        self.addCleanup(self.supervisor.stop)
        self.pods, self.shared = [], []
        for number in range(PODS):
            attempts = SignInAttempts(self.clock)
            shared = SharedAttempts(attempts, self.store)
            self.store.hearers.append(shared.changed)
            self.supervisor.run(f"failures {number}", shared.send, SHARE_SECONDS)
            self.pods.append(attempts)
            self.shared.append(shared)
        self.clock.advance(0.3)

    def fail_at(self, pod, times=1, attempt=ADA):
        for _ in range(times):
            self.assertEqual(self.pods[pod].begin(attempt), 0)

    def guess_at(self, pod, attempt=ADA):
        """Guess until the next attempt has to wait for eight seconds."""
        while (wait := self.pods[pod].begin(attempt)) < 8:
            self.pass_time(wait + 0.1)

    def pass_time(self, seconds):
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)

    def test_within_two_seconds_all_pods_know(self):
        self.fail_at(0, FREE_FOR_A_NAME)
        told_after = 0.0
        while not all(pod.keys_of("192.0.2.1", "ada", codes=False) for pod in self.pods):
            self.clock.advance(0.1)
            told_after += 0.1
            self.assertLess(told_after, SHARED_WITHIN)
        for pod in self.pods[1:]:
            self.assertGreater(pod.begin(ADA), 0)

    def test_so_are_the_penalties_of_ssh(self):
        floods = []
        for pod_id in ("pod_1", "pod_2"):
            flood = FloodControl(self.clock, lambda: 0.5)
            shared = SharedPenalties(flood, self.store, pod_id)
            self.store.hearers.append(shared.changed)
            self.supervisor.run(pod_id, shared.send, SHARE_SECONDS)
            floods.append(flood)
        self.clock.advance(0.3)
        for _ in range(4):
            floods[0].offended("192.0.2.1", REFUSED_LOGIN)
        self.pass_time(SHARED_WITHIN - 0.1)
        self.assertIn("too many failed logins", floods[1].connection_made("192.0.2.1"))

    def attempts_in(self, seconds, pods):
        """Have a guesser try at some pods whenever one takes an attempt; count those."""
        made = 0
        for _ in range(seconds):
            for pod in pods:
                made += self.pods[pod].begin(ADA) == 0
            self.clock.advance(1)
        return made

    def test_hours_at_all_pods_bring_what_they_do_at_one(self):
        at_one = self.attempts_in(20_000, [0])
        self.pods[0].drop(ADA.own)
        for pod in self.pods:
            pod.drop(ADA.own)
        self.pass_time(SHARE_SECONDS)
        at_all = self.attempts_in(20_000, range(PODS))
        self.assertGreater(at_one, 60)
        self.assertLess(at_all, at_one + PODS * FREE_FOR_A_NAME)

    def test_others_are_not_held_up(self):
        self.guess_at(0)
        self.pass_time(SHARED_WITHIN)
        self.fail_at(1, attempt=Attempt("ada", "192.0.2.2"))
        self.fail_at(1, attempt=Attempt("bob", "192.0.2.1"))
        self.fail_at(1, attempt=Attempt("ada", "192.0.2.1", "laptop"))

    def test_who_signs_in_owes_nothing_anywhere(self):
        for _ in range(3):
            self.fail_at(0, FREE_FOR_A_NAME - 1)
            self.pass_time(SHARED_WITHIN)
            self.fail_at(1)
            self.pods[1].succeeded(ADA)
            self.pass_time(SHARED_WITHIN)
            self.assertEqual([pod.slowed(5) for pod in self.pods], [[]] * PODS)
        self.pass_time(LONGEST_WAIT)
        self.fail_at(2, FREE_FOR_A_NAME)

    def test_what_was_told_too_early_is_taken_back(self):
        for _ in range(FREE_FOR_A_NAME + 1):
            self.fail_at(0)
            self.pass_time(SHARED_WITHIN)  # the password is compared meanwhile
            self.pods[0].take_back(ADA)
            self.pass_time(SHARED_WITHIN)
        self.fail_at(1, FREE_FOR_A_NAME)

    def test_nothing_happens_and_nothing_is_told(self):
        for _ in range(5):
            self.fail_at(0)
            self.pods[0].succeeded(ADA)
        self.pass_time(5)
        self.assertLess(sum(len(change.concerns) for change in self.store.changes), 3)

    def test_a_known_browsers_count_is_shared_and_its_id_isnt(self):
        attempt = Attempt("ada", "192.0.2.1", "a-secret-of-a-browser")
        self.guess_at(0, attempt)
        self.pass_time(SHARED_WITHIN)
        self.assertGreater(self.pods[1].begin(attempt), 0)
        self.assertNotIn("a-secret-of-a-browser", repr(self.store.changes))

    def test_an_administrator_lets_them_in_at_all_pods(self):
        self.guess_at(0)
        self.pass_time(SHARED_WITHIN)
        [one] = self.pods[1].slowed(5)
        self.shared[1].lifting(one.source, one.name, codes=one.codes)(self.store)
        self.pods[1].forgive(one.source, one.name)
        self.assertEqual([pod.slowed(5) for pod in self.pods], [[]] * PODS)

    def test_a_flood_goes_in_small_notices(self):
        for number in range(300):
            self.fail_at(0, attempt=Attempt("ä" * 320, f"192.0.{number >> 8}.{number & 255}"))
        self.pass_time(120)
        self.assertGreater(len(self.store.changes), 1)
        for change in self.store.changes:
            self.assertLess(len(notice(change)), NOTICE_BYTES + 100)
        self.assertEqual(sum(len(change.concerns) for change in self.store.changes), 600)

    def test_many_names_of_one_site_delay_nobody_elses_failures(self):
        """One network of IPv6 filled notices for more than twenty minutes, with long names."""
        for number in range(1200):
            source = f"2001:db8:1:{number // 15:x}::1"
            self.pods[0].begin(Attempt(f"{number}" + "\0" * 300, source))
        self.pass_time(SHARED_WITHIN)
        self.fail_at(0, FREE_FOR_A_NAME)
        self.pass_time(SHARED_WITHIN)
        self.assertTrue(self.pods[1].keys_of("192.0.2.1", "ada", codes=False))

    def test_what_is_gathered_is_bounded_and_the_latest_is_in_it(self):
        for number in range(1200 * 3):
            source = f"2001:db8:{number // 1200 + 1:x}:{number // 15 % 80:x}::1"
            self.pods[0].begin(Attempt(f"{number}" + "\0" * 300, source))
        self.fail_at(0, FREE_FOR_A_NAME)
        self.pass_time(SHARED_WITHIN)
        self.assertTrue(self.pods[1].keys_of("192.0.2.1", "ada", codes=False))

    def test_odd_names_arrive_and_other_versions_words_are_passed_over(self):
        odd = Attempt("\ud800 \x00 = ! «ada»", "2001:db8::1")
        self.guess_at(0, odd)
        self.pass_time(SHARED_WITHIN)
        self.assertGreater(self.pods[1].begin(odd), 0)
        for words in (["x"], ["1=!"], ["=", ""], ["1=e30"], ["1=W10"], ["one=WyJhIl0"]):
            self.shared[1].changed(Change("sign_in_failures", "another", False, tuple(words)))
        self.shared[1].changed(Resync())

    def test_a_store_that_is_away_harms_nothing(self):
        self.store.away = True
        self.guess_at(0)
        self.pass_time(3)
        self.assertGreater(self.pods[0].begin(ADA), 0)
