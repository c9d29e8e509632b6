"""Host keys beside the one that a client knows: told, and proven (OpenSSH's PROTOCOL, 2.5).

If UpdateHostKeys is on, OpenSSH's client adds proven keys to its ``known_hosts`` and removes keys
that the server no longer lists.  Other clients get no list: none of them supports it, and some old
ones fail at it.
"""

from __future__ import annotations

from twisted.conch.ssh.keys import Key

from tunnelcloud.channels.messages import ProtocolError, Reader, pack_string
from tunnelcloud.ssh.host_keys import HostKeySet

HOST_KEYS = b"hostkeys-00@openssh.com"
PROVE = b"hostkeys-prove-00@openssh.com"
_LEARNS = "OpenSSH_"
_LENGTH = 4
_RSA = b"ssh-rsa"
_RSA_ALGORITHM = b"rsa-sha2-512"


def learns(client_version: str) -> bool:
    """Tell whether a client learns host keys, by its identification without ``SSH-2.0-``."""
    return client_version.startswith(_LEARNS)


def told(keys: HostKeySet) -> bytes:
    """Give the data of the request that tells a client the host keys."""
    return b"".join(pack_string(key.blob()) for key in keys.all)


def prove(data: bytes, keys: HostKeySet, session_id: bytes, agreed: bytes) -> bytes | None:
    """Prove that the pod has the private halves of the keys that a client asks for.

    :param data: the request's: the keys' blobs.
    :param agreed: the host key algorithm of the key exchange; RSA keys sign by it, too.
    :return: the signatures; None when a key isn't the pod's, or is asked for twice.
    """
    ours = {key.blob(): key for key in keys.all}
    reader, left, signatures = Reader(data), len(data), []
    while left:
        try:
            blob = reader.string()
        except ProtocolError:
            return None
        left -= _LENGTH + len(blob)
        key = ours.pop(blob, None)
        if key is None:
            return None
        signed = pack_string(PROVE) + pack_string(session_id) + pack_string(blob)
        signatures.append(pack_string(key.sign(signed, signatureType=_algorithm(key, agreed))))
    return b"".join(signatures) or None


def _algorithm(key: Key, agreed: bytes) -> bytes:
    kind: bytes = key.sshType()
    if kind != _RSA:
        return kind
    return agreed if agreed.startswith(b"rsa-sha2-") else _RSA_ALGORITHM
