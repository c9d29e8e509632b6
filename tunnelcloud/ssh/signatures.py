"""Whether a user's signature is good (RFC 4252, 7; RFC 8332; OpenSSH's PROTOCOL.u2f).

Conch's faults closed here: it verifies a signature by the type written in it, so that RSA with
SHA-1 passes for rsa-sha2-512, and it doesn't check a security key's flags.
"""

import hashlib
import struct

from twisted.conch.ssh.keys import BadKeyError, Key
from twisted.conch.ssh.userauth import MSG_USERAUTH_REQUEST

from tunnelcloud.channels.messages import ProtocolError, Reader, pack_string
from tunnelcloud.pki.public_keys import USER_KEY_TYPES

_TOUCHED = 0x01
_FLAGS_AND_COUNTER = 5


def signed_data(session_id: bytes, user: bytes, algorithm: bytes, key_blob: bytes) -> bytes:
    """Give what the client signs to log in (RFC 4252, 7)."""
    return b"".join(
        (
            pack_string(session_id),
            bytes((MSG_USERAUTH_REQUEST,)),
            pack_string(user),
            pack_string(b"ssh-connection"),
            pack_string(b"publickey"),
            b"\1",
            pack_string(algorithm),
            pack_string(key_blob),
        )
    )


def is_usable(algorithm: bytes, key_blob: bytes) -> bool:
    """Whether the algorithm is one of ours and the key of the type it needs.

    A certificate has another type than its key, so it isn't usable.
    """
    key_type = USER_KEY_TYPES.get(algorithm)
    return key_type is not None and key_type == _type_of(key_blob)


def verify(algorithm: bytes, key_blob: bytes, signature: bytes, data: bytes) -> bool:
    """Whether ``signature`` is the key's over ``data``, and made with ``algorithm``.

    A security key must say that it was touched.
    """
    if not is_usable(algorithm, key_blob):
        return False
    try:
        key = Key.fromString(key_blob, type="BLOB")
        reader = Reader(signature)
        if reader.string() != algorithm:
            return False
        inner = reader.string()
        if algorithm.startswith(b"sk-"):
            told = reader.rest()
            if len(told) != _FLAGS_AND_COUNTER or not told[0] & _TOUCHED:
                return False
            application = hashlib.sha256(key.application).digest()
            data = application + told + hashlib.sha256(data).digest()
        else:
            reader.end()
        if algorithm.startswith(b"rsa-"):
            # Some clients leave out leading zeros; the primitive wants the modulus' length.
            inner = inner.rjust((key.size() + 7) // 8, b"\0")
        return bool(key.verify(pack_string(algorithm) + pack_string(inner), data))
    except (ProtocolError, BadKeyError, ValueError, struct.error, IndexError):
        return False


def _type_of(key_blob: bytes) -> bytes | None:
    try:
        return Reader(key_blob).string()
    except ProtocolError:
        return None
