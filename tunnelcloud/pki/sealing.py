"""Seals (encrypts) secrets that have to be read again before they go into the database.

The key is a file of the state directory: a copy of the database alone opens nothing.  What is
sealed is bound to what it is for, so that no row's secret serves in another's place.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tunnelcloud.private_files import read_private, write_atomically

SEALING_KEY_FILE = "sealing.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_MARK_BYTES = 4
_SEALED = b"sealed:"


class CannotUnseal(Exception):
    """A sealed secret that this pod's key doesn't open."""

    def __init__(self) -> None:
        super().__init__(
            "this pod can't read secrets that another pod sealed: give all pods of one database "
            f"the same {SEALING_KEY_FILE}, and start them again"
        )


class BadSealingKey(Exception):
    """The key's file doesn't hold a key."""


@frozen
class Sealer:
    """Seals and opens secrets (AES-256-GCM).

    :ivar random: gives that many random bytes.
    :ivar is_shared: whether other pods of the database have the same key.
    """

    _key: bytes = field(repr=False)
    random: Callable[[int], bytes] = os.urandom
    is_shared: bool = True

    @property
    def mark(self) -> bytes:
        """A few bytes that tell keys apart and say nothing else of them."""
        return hashlib.sha256(b"tunnelcloud sealing key" + self._key).digest()[:_MARK_BYTES]

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """Seal a secret.

        :param purpose: what it is for and whose; opening it takes the same.
        """
        nonce = self.random(_NONCE_BYTES)
        return self.mark + nonce + AESGCM(self._key).encrypt(nonce, secret, purpose.encode("utf-8"))

    def seal_for_all(self, secret: bytes, purpose: str) -> bytes:
        """Seal a secret that the database keeps for all pods.

        :raise CannotUnseal: no other pod could open it.
        """
        if not self.is_shared:
            raise CannotUnseal
        return self.seal(secret, purpose)

    def keep(self, secret: bytes, name: str) -> bytes:
        """Seal a secret as ``take`` finds it, among others that an earlier version didn't seal.

        :raise CannotUnseal: no other pod could open it.
        """
        return _SEALED + self.seal_for_all(secret, name)

    def take(self, kept: bytes, name: str) -> bytes:
        """Give back what is kept under a name, sealed or not.

        :raise CannotUnseal: see ``open``.
        """
        return self.open(kept.removeprefix(_SEALED), name) if is_sealed(kept) else kept

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Give the secret back.

        :raise CannotUnseal: it was sealed by another key, for something else, or is damaged.
        """
        mark, rest = sealed[:_MARK_BYTES], sealed[_MARK_BYTES:]
        if mark != self.mark:
            raise CannotUnseal
        try:
            return AESGCM(self._key).decrypt(
                rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], purpose.encode("utf-8")
            )
        except (InvalidTag, ValueError):
            raise CannotUnseal from None


def is_sealed(kept: bytes) -> bool:
    """Tell whether ``Sealer.keep`` made this, or an earlier version kept it as it was."""
    return kept.startswith(_SEALED)


def passing_sealer() -> Sealer:
    """Make a sealer whose key nobody keeps: what it sealed ends with it."""
    return Sealer(os.urandom(_KEY_BYTES))


def make_sealer_file(path: Path) -> None:
    """Make a key, and keep it in a file.

    :raise OSError: the file can't be written.
    """
    write_atomically(path, os.urandom(_KEY_BYTES))


def load_sealer(path: Path, environment: Mapping[str, str] = os.environ) -> Sealer:
    """Take the key in a file.

    :raise FileNotFoundError: it isn't there.
    :raise BadSealingKey: the file holds something else.
    :raise ExposedPrivateFile, UnreadablePrivateFile: see ``read_private``.
    """
    key = read_private(path, environment)
    if len(key) != _KEY_BYTES:
        raise BadSealingKey(f"{path} doesn't hold a key of {_KEY_BYTES} bytes: restore the file")
    return Sealer(key)
