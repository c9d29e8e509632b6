"""What a client sends that asks for new keys again and again (RFC 8446, 4.6.3)."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL

from tests.net.handshakes import shake_hands

_UPDATE = b"\x18\0\0\1\0"  # the message: no new keys are wanted of the other end
_HANDSHAKE = b"\x16"


class Client:
    """A client of TLS 1.3 in memory, which knows the keys that it sends with.

    :param protocols: what it offers by ALPN.
    """

    def __init__(self, protocols=(b"http/1.1",)):
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
        context.set_alpn_protos(list(protocols))
        context.set_keylog_callback(self._note)
        self._secrets = {}
        self.connection = SSL.Connection(context, None)
        self.connection.set_connect_state()
        self.connection.set_tlsext_host_name(b"pod.example.com")

    def _note(self, _, line):
        name, _, secret = line.split()
        self._secrets[name] = bytes.fromhex(secret.decode())

    def shake_hands(self, server):
        """Shake hands with the server's end of a connection."""
        shake_hands(self.connection, server)

    def updates(self, count):
        """Give the records that change the keys so many times; nothing else may be sent before."""
        secret = self._secrets[b"CLIENT_TRAFFIC_SECRET_0"]
        records = []
        for _ in range(count):
            key, nonce = _expand(secret, b"key", 16), _expand(secret, b"iv", 12)
            content = _UPDATE + _HANDSHAKE
            head = b"\x17\3\3" + (len(content) + 16).to_bytes(2, "big")
            records.append(head + AESGCM(key).encrypt(nonce, content, head))
            secret = _expand(secret, b"traffic upd", 32)
        return b"".join(records)


def _expand(secret, label, length):
    """``HKDF-Expand-Label`` (RFC 8446, 7.1) without a context."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return HKDFExpand(hashes.SHA256(), length, info).derive(secret)
