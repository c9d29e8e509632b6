"""Diffie-Hellman in fixed groups: the numbers, the ranges, and an agreement."""

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.channels.messages import Reader
from tunnelcloud.ssh.algorithms import OLD_KEY_EXCHANGES
from tunnelcloud.ssh.fixed_groups import PRIMES, exchange


def arctan_of_inverse(number: int, one: int) -> int:
    total = term = one // number
    divisor, sign = 3, -1
    while term:
        term //= number * number
        total += sign * (term // divisor)
        divisor, sign = divisor + 2, -sign
    return total


def pi_times_two_to_the(bits: int) -> int:
    one = 1 << (bits + 64)
    return (4 * (4 * arctan_of_inverse(5, one) - arctan_of_inverse(239, one))) >> 64


class FixedGroupTests(SynchronousTestCase):
    def test_primes(self) -> None:
        """They are those that RFC 3526 makes of pi."""
        for name, bits, constant in (
            (b"diffie-hellman-group14-sha256", 2048, 124476),
            (b"diffie-hellman-group16-sha512", 4096, 240904),
        ):
            middle = pi_times_two_to_the(bits - 130) + constant
            prime = 2**bits - 2 ** (bits - 64) - 1 + 2**64 * middle
            self.assertEqual(PRIMES[name], prime)
            self.assertIn(name, OLD_KEY_EXCHANGES)

    def test_agreement(self) -> None:
        """Both sides come to the same secret."""
        for prime in PRIMES.values():
            ours, secret = exchange(prime, pow(2, 987654321, prime))
            public = int.from_bytes(Reader(ours).string(), "big")
            agreed = int.from_bytes(Reader(secret).string(), "big")
            self.assertEqual(agreed, pow(public, 987654321, prime))

    def test_range(self) -> None:
        """What gives the secret away is refused (RFC 4253, 8)."""
        for prime in PRIMES.values():
            for theirs in (-1, 0, 1, prime - 1, prime, prime + 5):
                self.assertRaises(ValueError, exchange, prime, theirs)
