"""Converts SSH public keys as people paste them into the form in which they are stored."""

from __future__ import annotations

import base64
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

USER_KEY_TYPES = {
    b"ssh-ed25519": b"ssh-ed25519",
    b"sk-ssh-ed25519@openssh.com": b"sk-ssh-ed25519@openssh.com",
    b"ecdsa-sha2-nistp256": b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384": b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521": b"ecdsa-sha2-nistp521",
    b"sk-ecdsa-sha2-nistp256@openssh.com": b"sk-ecdsa-sha2-nistp256@openssh.com",
    b"rsa-sha2-512": b"ssh-rsa",
    b"rsa-sha2-256": b"ssh-rsa",
}
"""The type of a user's key, by the signature algorithm it may be used with (server-sig-algs)."""

_MIN_RSA_BITS = 2048
_MOST_EXPONENT_BITS = 32
_MAX_LENGTH = 16_384
_RFC_4716 = re.compile(
    r"---- BEGIN SSH2 PUBLIC KEY ----\n(?P<lines>.*?)---- END SSH2 PUBLIC KEY ----", re.DOTALL
)
_TYPES = frozenset(key_type.decode("ascii") for key_type in USER_KEY_TYPES.values())
_USABLE = "use an ed25519, ECDSA or RSA key of 2048 bits or more, or a security key's"


def is_costly(key: object) -> bool:
    """Tell whether a public key takes long to verify a signature with: an RSA key whose exponent is
    as long as its modulus takes 8 ms, a hundred times as long as any that programs make."""
    return (
        isinstance(key, RSAPublicKey) and key.public_numbers().e.bit_length() > _MOST_EXPONENT_BITS
    )


class BadPublicKey(ValueError):
    """A text that isn't a usable public key; the message says what to paste instead."""


def read_public_key(text: str) -> str:
    """Read a line of a ``.pub`` file, or RFC 4716's form (PuTTYgen's export).

    :return: ``type base64``, without a comment.
    :raise BadPublicKey: with what to paste instead.
    """
    if len(text) > _MAX_LENGTH:
        raise BadPublicKey(f"a public key has at most {_MAX_LENGTH} characters")
    if "PRIVATE KEY" in text or text.startswith("PuTTY-User-Key-File"):
        raise BadPublicKey("this is a private key: keep it to yourself, and paste the .pub file")
    encoded = _encoded_blob(text.strip().replace("\r\n", "\n"))
    try:
        blob = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise BadPublicKey(
            "the key is cut or mistyped: paste the whole line of the .pub file"
        ) from (None)
    key_type = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii", "replace")
    if key_type not in _TYPES:
        raise BadPublicKey(f"keys of this type don't open a session: {_USABLE}")
    line = f"{key_type} {base64.b64encode(blob).decode('ascii')}"
    try:
        key = load_ssh_public_key(line.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        raise BadPublicKey(
            "the key is cut or mistyped: paste the whole line of the .pub file"
        ) from (None)
    if isinstance(key, RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        raise BadPublicKey(f"this RSA key has {key.key_size} bits only: {_USABLE}")
    if is_costly(key):
        raise BadPublicKey(f"this RSA key has an unusual exponent: {_USABLE}")
    return line


def _encoded_blob(text: str) -> str:
    match = _RFC_4716.fullmatch(text)
    if match is not None:
        body = re.sub(r"\\\n", "", match["lines"])
        return "".join(line for line in body.splitlines() if ":" not in line)
    words = text.split(" ")
    if "\n" in text or len(words) < 2 or not re.fullmatch(r"[a-z0-9@.-]{3,64}", words[0]):
        raise BadPublicKey("use the one line of a .pub file, such as ssh-ed25519 AAAA… name")
    return words[1]
