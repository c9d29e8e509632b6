"""The ciphers and MACs of packets: a sealer and an opener for each, made by the agreed names.

Conch's faults closed here: it has neither AEADs nor encrypt-then-MAC, and reads a packet before it
is authenticated.
"""

import hashlib
import hmac
import struct
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tunnelcloud.ssh.packet_sealing import (
    BadPacket,
    Buffer,
    Opener,
    OpenerBase,
    Pieces,
    Sealer,
    SealerBase,
)

_pack_uint32 = struct.Struct(">I").pack
_pack_uint64 = struct.Struct(">Q").pack
_UINT64 = 0xFFFFFFFFFFFFFFFF
_GCM_TAG = 16
_CHACHA_FIRST_BLOCK = bytes(8)
_CHACHA_BLOCK = bytes(64)

_KEY_SIZES = {
    b"aes128-gcm@openssh.com": 16,
    b"aes256-gcm@openssh.com": 32,
    b"aes128-ctr": 16,
    b"aes192-ctr": 24,
    b"aes256-ctr": 32,
}
_HASHES = {
    b"hmac-sha2-256-etm@openssh.com": hashlib.sha256,
    b"hmac-sha2-512-etm@openssh.com": hashlib.sha512,
    b"hmac-sha2-256": hashlib.sha256,
    b"hmac-sha2-512": hashlib.sha512,
}
_ENCRYPT_THEN_MAC = b"-etm@openssh.com"


class _GcmNonce:
    """The invocation counter of RFC 5647, 7.1."""

    __slots__ = ("_counter", "_fixed")

    def __init__(self, iv: bytes) -> None:
        self._fixed = iv[:4]
        self._counter = int.from_bytes(iv[4:12], "big")

    def next(self) -> bytes:
        nonce = self._fixed + _pack_uint64(self._counter)
        self._counter = (self._counter + 1) & _UINT64
        return nonce


class GcmSealer(SealerBase):
    """aes128-gcm and aes256-gcm of OpenSSH: RFC 5647, with the length as associated data."""

    def __init__(self, key: bytes, iv: bytes, sequence: int) -> None:
        super().__init__(sequence)
        aead = AESGCM(key)
        self._encrypt = aead.encrypt
        self._encrypt_into = aead.encrypt_into
        self._nonce = _GcmNonce(iv)

    def seal(self, head: bytes, data: Buffer) -> Pieces:
        """See ``Sealer``."""
        length, plain = self.framed(head, data)
        return length, self._encrypt(self._nonce.next(), plain, length)

    def seal_into(self, out: memoryview, offset: int, head: bytes, data: Buffer) -> int:
        """See ``Sealer``; most of the bytes a front door sends pass here."""
        length, plain = self.framed(head, data)
        body = offset + 4
        end = body + len(plain) + _GCM_TAG
        out[offset:body] = length
        self._encrypt_into(self._nonce.next(), plain, length, out[body:end])
        return end


class GcmOpener(OpenerBase):
    """aes128-gcm and aes256-gcm of OpenSSH."""

    def __init__(self, key: bytes, iv: bytes, sequence: int) -> None:
        super().__init__(sequence)
        self._decrypt = AESGCM(key).decrypt
        self._nonce = _GcmNonce(iv)

    def open(self, packet: memoryview) -> bytes:
        """See ``Opener``."""
        self.count(packet)
        try:
            return self._decrypt(self._nonce.next(), packet[4:], packet[:4])
        except InvalidTag:
            raise BadPacket from None


class _ChachaKeys:
    """OpenSSH's PROTOCOL.chacha20poly1305: two keys, the sequence number as nonce.

    The first block of the payload's key stream gives the Poly1305 key, the rest encrypts.
    """

    def __init__(self, key: bytes) -> None:
        self._payload = self._context(key[:32])
        self._header = self._context(key[32:64])

    @staticmethod
    def _context(key: bytes) -> Any:
        return Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()

    def header(self, sequence: int, length: Buffer) -> bytes:
        self._header.reset_nonce(_CHACHA_FIRST_BLOCK + _pack_uint64(sequence))
        crypted: bytes = self._header.update(length)
        return crypted

    def payload(self, sequence: int) -> tuple[bytes, Any]:
        """Return the packet's Poly1305 key, and the cipher of its payload."""
        self._payload.reset_nonce(_CHACHA_FIRST_BLOCK + _pack_uint64(sequence))
        return self._payload.update(_CHACHA_BLOCK)[:32], self._payload.update


class ChachaSealer(SealerBase):
    """chacha20-poly1305@openssh.com."""

    block_size = 8

    def __init__(self, key: bytes, sequence: int) -> None:
        super().__init__(sequence)
        self._keys = _ChachaKeys(key)

    def seal(self, head: bytes, data: Buffer) -> Pieces:
        """See ``Sealer``."""
        sequence = self.sequence
        length, plain = self.framed(head, data)
        header = self._keys.header(sequence, length)
        tag_key, crypt = self._keys.payload(sequence)
        sealed = crypt(plain)
        tag = Poly1305(tag_key)
        tag.update(header)
        tag.update(sealed)
        return header, sealed, tag.finalize()


class ChachaOpener(OpenerBase):
    """chacha20-poly1305@openssh.com."""

    block_size = 8

    def __init__(self, key: bytes, sequence: int) -> None:
        super().__init__(sequence)
        self._keys = _ChachaKeys(key)

    def length(self, buffer: Buffer, offset: int) -> int:
        """Decrypt the length, which has a key of its own for this."""
        header = self._keys.header(self.sequence, buffer[offset : offset + 4])
        return int.from_bytes(header, "big")

    def open(self, packet: memoryview) -> bytes:
        """See ``Opener``."""
        tag_key, crypt = self._keys.payload(self.sequence)
        try:
            Poly1305.verify_tag(tag_key, packet[:-16], bytes(packet[-16:]))
        except InvalidSignature:
            raise BadPacket from None
        self.count(packet)
        plain: bytes = crypt(packet[4:-16])
        return plain


class CtrSealer(SealerBase):
    """AES in counter mode (RFC 4344), its MAC over what was encrypted (OpenSSH's -etm)."""

    def __init__(self, key: bytes, iv: bytes, mac: Any, sequence: int) -> None:
        super().__init__(sequence)
        self._crypt = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update
        self._mac = mac

    def seal(self, head: bytes, data: Buffer) -> Pieces:
        """See ``Sealer``."""
        mac = self._mac.copy()
        mac.update(_pack_uint32(self.sequence))
        length, plain = self.framed(head, data)
        sealed = self._crypt(plain)
        mac.update(length)
        mac.update(sealed)
        return length, sealed, mac.digest()


class CtrOpener(OpenerBase):
    """AES in counter mode, its MAC over what was encrypted."""

    def __init__(self, key: bytes, iv: bytes, mac: Any, sequence: int) -> None:
        super().__init__(sequence)
        self._crypt = Cipher(algorithms.AES(key), modes.CTR(iv)).decryptor().update
        self._mac = mac
        self.tag_size = mac.digest_size

    def open(self, packet: memoryview) -> bytes:
        """See ``Opener``."""
        mac = self._mac.copy()
        mac.update(_pack_uint32(self.sequence))
        mac.update(packet[: -self.tag_size])
        if not hmac.compare_digest(mac.digest(), packet[-self.tag_size :]):
            raise BadPacket
        self.count(packet)
        return self._crypt(packet[4 : -self.tag_size])


class OldCtrSealer(CtrSealer):
    """AES in counter mode, its MAC over what is encrypted beside it (RFC 4253, 6.4)."""

    uncounted = 4

    def seal(self, head: bytes, data: Buffer) -> Pieces:
        """See ``Sealer``."""
        mac = self._mac.copy()
        mac.update(_pack_uint32(self.sequence))
        packet = b"".join(self.framed(head, data))
        mac.update(packet)
        return self._crypt(packet), mac.digest()


class OldCtrOpener(CtrOpener):
    """AES in counter mode, its MAC over what was encrypted beside it.

    The length has to be decrypted before anything is authenticated.  In counter mode a forger
    learns from that only whether a flipped bit made an allowed length.
    """

    uncounted = 4
    _length = b""

    def length(self, buffer: Buffer, offset: int) -> int:
        """Decrypt the length, which is encrypted like the rest."""
        self._length = self._crypt(buffer[offset : offset + 4])
        return int.from_bytes(self._length, "big")

    def open(self, packet: memoryview) -> bytes:
        """See ``Opener``."""
        plain = self._crypt(packet[4 : -self.tag_size])
        mac = self._mac.copy()
        mac.update(_pack_uint32(self.sequence))
        mac.update(self._length)
        mac.update(plain)
        if not hmac.compare_digest(mac.digest(), packet[-self.tag_size :]):
            raise BadPacket
        self.count(packet)
        return plain


def make_sealer(
    cipher: bytes, mac: bytes, *, key: bytes, iv: bytes, mac_key: bytes, sequence: int
) -> Sealer:
    """Make the sealer of one direction.

    :param mac: the MAC's name; AEADs ignore it.
    :param key: and the other keys: at least as long as the algorithm needs (RFC 4253, 7.2).
    :param sequence: the next packet's sequence number.
    """
    if cipher == b"chacha20-poly1305@openssh.com":
        return ChachaSealer(key, sequence)
    key = key[: _KEY_SIZES[cipher]]
    if cipher.endswith(b"-ctr"):
        sealer = CtrSealer if mac.endswith(_ENCRYPT_THEN_MAC) else OldCtrSealer
        return sealer(key, iv[:16], _hmac(mac, mac_key), sequence)
    return GcmSealer(key, iv, sequence)


def make_opener(
    cipher: bytes, mac: bytes, *, key: bytes, iv: bytes, mac_key: bytes, sequence: int
) -> Opener:
    """Make the opener of one direction, with parameters as in ``make_sealer``."""
    if cipher == b"chacha20-poly1305@openssh.com":
        return ChachaOpener(key, sequence)
    key = key[: _KEY_SIZES[cipher]]
    if cipher.endswith(b"-ctr"):
        opener = CtrOpener if mac.endswith(_ENCRYPT_THEN_MAC) else OldCtrOpener
        return opener(key, iv[:16], _hmac(mac, mac_key), sequence)
    return GcmOpener(key, iv, sequence)


def _hmac(name: bytes, key: bytes) -> "hmac.HMAC":
    algorithm = _HASHES[name]
    return hmac.new(key[: algorithm().digest_size], digestmod=algorithm)
