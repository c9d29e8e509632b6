"""Which new passwords would be guessed first."""

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.guessable_passwords import is_guessable

NAMES = ["asmith", "alice.smith@example.com", "Alice Smith-Ortega"]


class GuessableTests(SynchronousTestCase):
    def assert_guessable(self, *passwords):
        for password in passwords:
            self.assertTrue(is_guessable(password, NAMES), password)

    def assert_kept(self, *passwords):
        for password in passwords:
            self.assertFalse(is_guessable(password, NAMES), password)

    def test_a_common_word_with_what_is_put_behind_it(self):
        self.assert_guessable("password1234", "Welcome2026!!", "changeme0000", "admin123admin123")

    def test_figures_and_signs_instead_of_letters(self):
        self.assert_guessable("P@ssw0rd12345", "Passw0rd!2024", "L3tm31n!L3tm31n!")

    def test_rows_and_repetitions(self):
        self.assert_guessable(
            "123456789012", "0987654321qwerty", "abcdefghijkl", "1qaz2wsx3edc", "zyxwvutsrqpo"
        )
        self.assert_guessable("x" * 12, "x" * 1024, "aB3$aB3$aB3$", "hut hut hut hut")

    def test_names_of_the_user_and_of_the_service(self):
        self.assert_guessable("tunnelcloud1", "asmith-2026!", "smith.ortega", "example.com!")
        self.assertFalse(is_guessable("smith.ortega", ["bob"]))

    def test_words_that_nobody_expects(self):
        self.assert_kept(
            "correct horse battery", "Ein Bier, bitte", "wir sind im wald", "x2Kq#9pLw7vT"
        )
        # A common word harms nothing where enough stands beside it.
        self.assert_kept("my password is no hill", "summer of the 7 owls")

    def test_the_length_costs_nothing(self):
        # Only so many characters are looked at: more make no password easier to guess.
        self.assert_kept("a heron eats plums" + "x" * 1000)
