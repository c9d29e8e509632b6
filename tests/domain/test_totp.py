"""Codes of a second factor, held to RFC 6238."""

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.totp import (
    matching_step,
    new_recovery_codes,
    provisioning_uri,
    read_recovery_code,
    secret_text,
)

SECRET = b"12345678901234567890"


def code_at(seconds):
    return TOTP(SECRET, 6, SHA1(), 30).generate(seconds).decode()


class TotpTests(SynchronousTestCase):
    def test_the_vectors_of_the_rfc(self):
        # Appendix B, the last six of its eight digits.
        for seconds, code in [
            (59, "287082"),
            (1111111109, "081804"),
            (1234567890, "005924"),
            (20000000000, "353130"),
        ]:
            self.assertEqual(matching_step(SECRET, code, seconds), seconds // 30)

    def test_a_clock_may_be_off_by_one_step(self):
        now = 1_800_000_010
        for drift, step in [(-30, -1), (0, 0), (30, 1)]:
            found = matching_step(SECRET, code_at(now + drift), now)
            self.assertEqual(found, now // 30 + step)
        for drift in (-60, 60):
            self.assertIsNone(matching_step(SECRET, code_at(now + drift), now))

    def test_what_is_no_code(self):
        for typed in [
            "",
            "12345",
            "1234567",
            "abcdef",
            "\u0661\u0662\u0663\u0664\u0665\u0666",
            "x" * 9999,
        ]:
            self.assertIsNone(matching_step(SECRET, typed, 59))
        self.assertEqual(matching_step(SECRET, " 287 082\n", 59), 1)

    def test_what_authenticator_programs_are_given(self):
        self.assertEqual(
            provisioning_uri(SECRET, "alice", "TunnelCloud"),
            "otpauth://totp/TunnelCloud:alice?digits=6&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
            "&algorithm=SHA1&issuer=TunnelCloud&period=30",
        )
        self.assertEqual(secret_text(SECRET), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ")

    def test_recovery_codes(self):
        drawn = iter(range(256))
        codes = new_recovery_codes(lambda count: bytes([next(drawn)] * count))
        self.assertEqual(len(set(codes)), 10)
        for code in codes:
            self.assertRegex(code, r"^[a-z2-7]{4}(-[a-z2-7]{4}){3}$")
            self.assertEqual(read_recovery_code(f" {code.upper()} "), code.replace("-", ""))
        for typed in ["", "287082", "a" * 15, "a" * 17, "a" * 15 + "\u0131"]:
            self.assertIsNone(read_recovery_code(typed))
