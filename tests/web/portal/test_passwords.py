"""Passwords as hashes, and guessing made slow."""

from threading import Event

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.web.support import QueuedReactor
from tunnelcloud.domain.addresses import source_group
from tunnelcloud.web.portal.password_attempts import Attempt, SignInAttempts
from tunnelcloud.web.portal.passwords import (
    Passwords,
    UnusablePassword,
    check_new_password,
    hash_password,
    is_password,
)
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.worker import MAX_WAITING


class PasswordTests(SynchronousTestCase):
    def test_a_hash_knows_its_password(self):
        hashed = hash_password("correct horse ü\udc80", b"s" * 16)
        self.assertTrue(hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$"))
        self.assertTrue(is_password("correct horse ü\udc80", hashed))
        self.assertFalse(is_password("correct horse u", hashed))

    def test_who_has_none_is_never_right(self):
        reactor = QueuedReactor()
        passwords = Passwords(reactor, bytes)
        for typed in ["", "x"]:
            verifying = passwords.verify(typed, None)
            self.assertNoResult(verifying)
            reactor.run_one()
            self.assertFalse(self.successResultOf(verifying))

    def test_a_crowd_is_told_to_come_back(self):
        reactor, go_on = QueuedReactor(), Event()
        passwords = Passwords(reactor, lambda size: bytes(size) if go_on.wait(30) else b"")
        waiting = [passwords.hash("x") for _ in range(MAX_WAITING)]
        self.failureResultOf(passwords.hash("x"), Problem)
        self.failureResultOf(passwords.verify("x", None), Problem)
        go_on.set()
        for one in waiting:
            reactor.run_one()
            self.successResultOf(one)
        self.assertNoResult(passwords.hash("x"))

    def test_who_is_known_waits_for_no_stranger(self):
        reactor, go_on = QueuedReactor(), Event()
        passwords = Passwords(reactor, lambda size: bytes(size) if go_on.wait(30) else b"")
        strangers = [passwords.verify("x", None, f"10.0.{one}.0/24") for one in range(MAX_WAITING)]
        self.failureResultOf(passwords.verify("x", None, "192.0.2.0/24"), Problem)
        known = [passwords.hash("x"), passwords.verify("x", None)]
        go_on.set()
        for _ in range(6):
            reactor.run_one()
        for one in known:
            self.successResultOf(one)
        for one in strangers:
            one.addErrback(lambda failure: failure.trap(CancelledError))
            one.cancel()

    def test_each_hash_has_a_salt_of_its_own(self):
        reactor = QueuedReactor()
        salts = iter([b"a" * 16, b"b" * 16])
        passwords = Passwords(reactor, lambda _: next(salts))
        found = set()
        for _ in range(2):
            hashing = passwords.hash("the same")
            reactor.run_one()
            found.add(self.successResultOf(hashing))
        self.assertEqual(len(found), 2)

    def test_what_can_be_set(self):
        words = "a heron eats"
        check_new_password(words)
        check_new_password(words + "x" * 1012)
        for unusable in ["", words[:11], words + "x" * 1013, "password1234"]:
            self.assertRaises(UnusablePassword, check_new_password, unusable)
        check_new_password("ada-hopper77")
        self.assertRaises(UnusablePassword, check_new_password, "ada-hopper77", ["ada.hopper"])


class AttemptsTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.attempts = SignInAttempts(self.clock)

    def test_each_failure_beyond_the_free_ones_doubles_the_wait(self):
        waits = []
        for _ in range(15):
            wait = self.attempts.begin(Attempt("ada", "192.0.2.1"))
            if wait:
                waits.append(wait)
                self.clock.advance(wait)
                self.assertEqual(self.attempts.begin(Attempt("ADA ", "192.0.2.1")), 0)
        self.assertEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300][: len(waits)])
        self.assertEqual(len(waits), 10)

    def test_others_are_not_held_up(self):
        while not self.attempts.begin(Attempt("ada", "192.0.2.1")):
            pass
        self.assertEqual(self.attempts.begin(Attempt("ada", "192.0.2.2")), 0)
        self.assertEqual(self.attempts.begin(Attempt("bob", "192.0.2.1")), 0)

    def test_many_names_from_one_network_wait_too(self):
        for number in range(30):
            self.assertEqual(
                self.attempts.begin(Attempt(f"name-{number}", f"2001:db8::{number:x}")), 0
            )
        self.assertGreater(self.attempts.begin(Attempt("another", "2001:db8::ffff")), 0)
        self.assertEqual(self.attempts.begin(Attempt("another", "2001:db8:0:1::1")), 0)

    def guesses(self, sources, name="ada"):
        """Count the guesses at once, each from another source, until one has to wait."""
        for number, source in enumerate(sources):
            if self.attempts.begin(Attempt(name.format(number), source)):
                return number
        return None

    def test_a_name_is_guessed_by_many_networks_of_one_site(self):
        """Whoever rents a machine has 65,536 networks of IPv6."""
        self.assertEqual(self.guesses(f"2001:db8:0:{one:x}::1" for one in range(30)), 10)
        far = [f"2001:db8:0:{one * 256:x}::1" for one in range(1, 60)]
        self.assertEqual(self.guesses(far), 10, "with those before as many as a site may")
        self.assertEqual(self.attempts.begin(Attempt("ada", "2001:db9::1")), 0)

    def test_many_names_from_one_site_wait_too(self):
        """Later than from one network: a site may have many people."""
        sources = (f"2001:db8:0:{one % 256:x}::1" for one in range(2000))
        self.assertEqual(self.guesses(sources, "name-{}"), 600)

    def test_neighbours_in_a_network_of_ipv4_are_strangers(self):
        self.assertIsNone(self.guesses(f"192.0.2.{one}" for one in range(256)))

    def test_a_site_that_waits_tries_one_after_the_other(self):
        for number in range(700):
            self.attempts.begin(Attempt(f"name-{number}", f"2001:db8:0:{number % 200:x}::1"))
        ada, bob = Attempt("ada", "2001:db8:0:a::1"), Attempt("bob", "2001:db8:0:b::1")
        self.assertGreater(self.attempts.begin(ada), 0)
        self.assertTrue(self.attempts.begin_slowed(ada))
        self.assertFalse(self.attempts.begin_slowed(bob))
        self.attempts.end_slowed(ada)
        self.assertTrue(self.attempts.begin_slowed(bob))

    def test_success_forgets_the_name_in_the_whole_site(self):
        for number in range(9):
            self.attempts.begin(Attempt("ada", f"2001:db8:0:{number:x}::1"))
        self.attempts.succeeded(Attempt("ada", "2001:db8:0:f::1"))
        self.assertEqual(self.guesses(f"2001:db8:0:{one:x}::1" for one in range(30)), 10)

    def test_success_is_no_failure(self):
        for _ in range(100):
            self.assertEqual(self.attempts.begin(Attempt("ada", "192.0.2.1")), 0)
            self.attempts.succeeded(Attempt("ada", "192.0.2.1"))

    def test_an_attempt_that_is_taken_back_leaves_the_others(self):
        for device in ("", "laptop"):
            attempt = Attempt("ada", "192.0.2.1", device)
            for _ in range(4):
                self.assertEqual(self.attempts.begin(attempt), 0)
            for _ in range(100):
                self.assertEqual(self.attempts.begin(attempt), 0)
                self.attempts.take_back(attempt)
            self.assertEqual(self.attempts.begin(attempt), 0)
            self.assertGreater(self.attempts.begin(attempt), 0)

    def test_a_known_device_has_a_count_of_its_own(self):
        for number in range(100):
            self.attempts.begin(Attempt(f"name-{number}", "192.0.2.1"))
        while not self.attempts.begin(Attempt("ada", "192.0.2.2")):
            pass
        for source in ("192.0.2.1", "192.0.2.2"):
            self.assertGreater(self.attempts.begin(Attempt("ada", source)), 0)
            self.assertEqual(self.attempts.begin(Attempt("ada", source, "laptop")), 0)
        for _ in range(3):
            self.attempts.begin(Attempt("ada", "192.0.2.3", "laptop"))
        self.assertGreater(self.attempts.begin(Attempt("ada", "192.0.2.4", "laptop")), 0)
        self.assertEqual(self.attempts.begin(Attempt("ada", "192.0.2.4", "phone")), 0)

    def test_a_network_that_waits_tries_one_after_the_other(self):
        for number in range(30):
            self.attempts.begin(Attempt(f"name-{number}", "192.0.2.1"))
        ada, bob = Attempt("ada", "192.0.2.1"), Attempt("bob", "192.0.2.1")
        self.assertGreater(self.attempts.begin(ada), 0)
        self.assertTrue(self.attempts.begin_slowed(ada))
        self.assertFalse(self.attempts.begin_slowed(bob))
        for _ in range(4):
            self.attempts.end_slowed(ada)
            self.assertTrue(self.attempts.begin_slowed(ada))
        self.attempts.end_slowed(ada)
        self.assertFalse(self.attempts.begin_slowed(ada), "ada's own count is full")
        self.assertTrue(self.attempts.begin_slowed(bob))

    def test_an_hour_later_all_is_forgotten(self):
        while not self.attempts.begin(Attempt("ada", "192.0.2.1")):
            pass
        self.clock.advance(3601)
        for _ in range(5):
            self.assertEqual(self.attempts.begin(Attempt("ada", "192.0.2.1")), 0)

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=50))
    def test_any_source_has_a_network(self, source):
        self.assertIsInstance(source_group(source), str)

    def test_networks(self):
        self.assertEqual(source_group("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(source_group("fe80::1%eth0"), "fe80::/64")
