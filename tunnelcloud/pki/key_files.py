"""A user's new SSH key, as the file that their SSH client reads: OpenSSH's, or PuTTY's ``.ppk``.

PuTTY's format is written here as its manual describes it (appendix C, "PPK file format",
version 3); OpenSSH's by the library.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable
from enum import StrEnum

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

LONGEST_PASSPHRASE = 200
_COMMENT = "tunnelcloud"
_TYPE = "ssh-ed25519"
_BLOCK = 16
_LINE = 64
# PuTTYgen's own memory; it takes as many passes as 100 ms allow.
_ARGON2_KIB, _ARGON2_PASSES, _SALT = 8192, 13, 16


class KeyFormat(StrEnum):
    """Whose file a private key is kept in."""

    OPENSSH = "openssh"
    PUTTY = "putty"


@frozen
class NewKeyFile:
    """A new key.

    :ivar public_key: the line that is registered.
    :ivar content: the private key's file.
    """

    public_key: str
    content: str = field(repr=False)


def make_key_file(
    key_format: KeyFormat, passphrase: str = "", random: Callable[[int], bytes] = os.urandom
) -> NewKeyFile:
    """Make an Ed25519 key; with a passphrase this takes up to half a second.

    :param passphrase: empty for a file that opens without one.
    """
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    secret = passphrase.encode("utf-8", "surrogatepass")
    if key_format is KeyFormat.PUTTY:
        blob = base64.b64decode(public.split(" ")[1])
        return NewKeyFile(public, _ppk(blob, key.private_bytes_raw(), secret, random))
    encryption: KeySerializationEncryption = NoEncryption()
    if secret:
        encryption = BestAvailableEncryption(secret)
    content = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption)
    return NewKeyFile(public, content.decode("ascii"))


def _string(value: bytes) -> bytes:
    """Put the length before it (RFC 4251, 5)."""
    return len(value).to_bytes(4, "big") + value


def _lines(name: str, value: bytes) -> list[str]:
    text = base64.b64encode(value).decode("ascii")
    pieces = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return [f"{name}-Lines: {len(pieces)}", *pieces]


def _ppk(
    public_blob: bytes, private: bytes, passphrase: bytes, random: Callable[[int], bytes]
) -> str:
    """Write the file; what its last line seals is the file before encryption."""
    encryption = "aes256-cbc" if passphrase else "none"
    plain, kept, mac_key, derivation = _string(private), _string(private), b"", list[str]()
    if passphrase:
        plain += random(-len(plain) % _BLOCK)
        salt = random(_SALT)
        # 32 bytes are the cipher's key, 16 its IV, 32 the seal's key.
        derived = Argon2id(
            salt=salt, length=80, iterations=_ARGON2_PASSES, lanes=1, memory_cost=_ARGON2_KIB
        ).derive(passphrase)
        encryptor = Cipher(AES256(derived[:32]), CBC(derived[32:48])).encryptor()
        kept, mac_key = encryptor.update(plain) + encryptor.finalize(), derived[48:]
        derivation = [
            "Key-Derivation: Argon2id",
            f"Argon2-Memory: {_ARGON2_KIB}",
            f"Argon2-Passes: {_ARGON2_PASSES}",
            "Argon2-Parallelism: 1",
            f"Argon2-Salt: {salt.hex()}",
        ]
    sealed = b"".join(
        _string(part)
        for part in (_TYPE.encode(), encryption.encode(), _COMMENT.encode(), public_blob, plain)
    )
    lines = [
        f"PuTTY-User-Key-File-3: {_TYPE}",
        f"Encryption: {encryption}",
        f"Comment: {_COMMENT}",
        *_lines("Public", public_blob),
        *derivation,
        *_lines("Private", kept),
        f"Private-MAC: {hmac.new(mac_key, sealed, hashlib.sha256).hexdigest()}",
    ]
    return "".join(f"{line}\n" for line in lines)
