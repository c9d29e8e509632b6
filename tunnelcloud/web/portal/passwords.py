"""Passwords: made into hashes and compared with them, away from the reactor's thread.

Argon2id as OWASP advises it: 19 MiB, two passes, one lane.  One at a time for all strangers, so
that a crowd of sign-ins costs one core and one hash's memory, not the machine; and one at a time
for people whom the pod knows, who don't wait for strangers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from tunnelcloud.domain.guessable_passwords import is_guessable
from tunnelcloud.web.worker import Worker

MIN_LENGTH = 12
MAX_LENGTH = 1024
_SALT_LENGTH = 16


class UnusablePassword(ValueError):
    """A password that can't be set; the text says what to do."""


def check_new_password(password: str, names: Iterable[str] = ()) -> None:
    """Refuse a new password that is no secret, or too long to be typed.

    :param names: of its user, which are guessed first.
    :raise UnusablePassword: with a text for the person who chose it.
    """
    if len(password) < MIN_LENGTH:
        raise UnusablePassword(f"use at least {MIN_LENGTH} characters; several words do well")
    if len(password) > MAX_LENGTH:
        raise UnusablePassword(f"use at most {MAX_LENGTH} characters")
    if is_guessable(password, names):
        raise UnusablePassword(
            "this would be guessed soon: names, years, words that many people take, and rows as in "
            "1234 or qwerty hardly count; add words that nobody expects"
        )


def hash_password(password: str, salt: bytes) -> str:
    """Give the hash that is kept, in PHC form; this takes about 50 ms."""
    return Argon2id(
        salt=salt, length=32, iterations=2, lanes=1, memory_cost=19 * 1024
    ).derive_phc_encoded(_encoded(password))


def is_password(password: str, hashed: str) -> bool:
    """Tell whether a password is the one of a hash; this takes as long as making it."""
    try:
        Argon2id.verify_phc_encoded(_encoded(password), hashed)
    except InvalidKey:
        return False
    return True


def _encoded(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


class Passwords:
    """The same for the reactor's thread.

    :param random: gives that many random bytes (``os.urandom``).
    """

    def __init__(self, reactor: IReactorFromThreads, random: Callable[[int], bytes]) -> None:
        self._random = random
        text = "too many people are signing in at this moment: try again in a few seconds"
        self._of_strangers = Worker(reactor, "passwords", text, takes_turns=False)
        self._of_known = Worker(reactor, "passwords-known", text, takes_turns=False)
        self._nobodys: str | None = None

    def hash(self, password: str) -> Deferred[str]:
        """Give the hash of a new password, which only somebody known may choose."""
        return self._of_known.run(lambda: hash_password(password, self._random(_SALT_LENGTH)))

    def verify(self, password: str, hashed: str | None, stranger: str = "") -> Deferred[bool]:
        """Tell whether a password is the one of a hash.

        :param hashed: None for who has none: never right, and it takes the same time.
        :param stranger: the network of somebody who may be anybody; empty for who is signed in, or
            signed in from this browser before.
        """
        compare = partial(self._compare, password[: MAX_LENGTH + 1], hashed)
        worker = self._of_strangers if stranger else self._of_known
        return worker.run(compare, source=stranger)

    def _compare(self, password: str, hashed: str | None) -> bool:
        if self._nobodys is None:
            self._nobodys = hash_password("", self._random(_SALT_LENGTH))
        right = is_password(password, self._nobodys if hashed is None else hashed)
        return right and hashed is not None
