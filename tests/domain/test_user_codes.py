"""Codes that people compare and type."""

import os

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.tokens import new_user_code, read_user_code


class UserCodeTests(SynchronousTestCase):
    def test_what_is_made_is_read(self):
        for _ in range(50):
            code = new_user_code(os.urandom)
            self.assertRegex(code, r"^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$")
            for typed in (code, code.lower(), code.replace("-", ""), f" {code} \n"):
                self.assertEqual(read_user_code(typed), code)

    def test_no_letter_is_likelier(self):
        drawn = bytes(range(256))
        self.assertEqual(new_user_code(lambda count: drawn[240:] + drawn[:8]), "BCDF-GHJK")

    def test_what_is_none(self):
        for typed in ["", "BBBB", "AAAA-AAAA", "BBBB-BBBBB", "\u0412" * 8, "B" * 10_000]:
            self.assertIsNone(read_user_code(typed))
