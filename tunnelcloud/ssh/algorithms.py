"""Which algorithms the front door offers, and how two offers become one agreement.

Pure: lists and bytes in, names out.  The lists are what ``ssh-audit`` accepts without a fail or a
warning, but for "not post-quantum" on curve25519, which OpenSSH 9.2 and older need.  They also
suffice for OpenSSH 7.4, PuTTY 0.70 and paramiko 2.5.  Old algorithms are offered only to a client
that has sent its own lists already, with nothing better in them (docs/adr/0009).
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence

from attrs import evolve, frozen

from tunnelcloud.channels.messages import Reader, pack_string

KEY_EXCHANGES = (
    b"mlkem768x25519-sha256",
    b"curve25519-sha256",
    b"curve25519-sha256@libssh.org",
)
AES_GCM = (b"aes128-gcm@openssh.com", b"aes256-gcm@openssh.com")
AEAD_CIPHERS = (*AES_GCM, b"chacha20-poly1305@openssh.com")
CIPHERS = (*AEAD_CIPHERS, b"aes128-ctr", b"aes192-ctr", b"aes256-ctr")
MACS = (b"hmac-sha2-256-etm@openssh.com", b"hmac-sha2-512-etm@openssh.com")
COMPRESSIONS = (b"none",)

OLD_KEY_EXCHANGES = (
    b"ecdh-sha2-nistp256",
    b"ecdh-sha2-nistp384",
    b"ecdh-sha2-nistp521",
    b"diffie-hellman-group16-sha512",
    b"diffie-hellman-group14-sha256",
)
_LONGER_HASHES = {
    b"ecdh-sha2-nistp384": hashlib.sha384,
    b"ecdh-sha2-nistp521": hashlib.sha512,
    b"diffie-hellman-group16-sha512": hashlib.sha512,
}
"""The hashes of key exchanges that don't use SHA-256 (RFC 5656, 6.2.1; RFC 8268)."""
OLD_MACS = (b"hmac-sha2-256", b"hmac-sha2-512")
OLD_HOST_KEY_ALGORITHMS = (b"ecdsa-sha2-nistp256",)
"""For clients that show none of the others."""

HOST_KEY_ALGORITHMS = {
    b"ssh-ed25519": (b"ssh-ed25519",),
    b"ssh-rsa": (b"rsa-sha2-512", b"rsa-sha2-256"),
}
"""By the type of the host key; without ``ssh-rsa`` (SHA-1) and the old ones."""

EXT_INFO_SERVER = b"ext-info-s"
EXT_INFO_CLIENT = b"ext-info-c"
STRICT_SERVER = b"kex-strict-s-v00@openssh.com"
STRICT_CLIENT = b"kex-strict-c-v00@openssh.com"
_SIGNALS = (EXT_INFO_SERVER, EXT_INFO_CLIENT, STRICT_SERVER, STRICT_CLIENT)

NameList = tuple[bytes, ...]


class NoCommonAlgorithm(Exception):
    """Client and server share no algorithm for something.

    :ivar purpose: for what.
    :ivar client: what the client offers for it.
    :ivar server: what the server has for it.
    """

    def __init__(self, purpose: str, client: Sequence[bytes], server: Sequence[bytes]) -> None:
        super().__init__(purpose)
        self.purpose = purpose
        self.client = tuple(client)
        self.server = tuple(server)


@frozen
class Proposal:
    """The lists of one KEXINIT (RFC 4253, 7.1), most wanted first."""

    key_exchanges: NameList
    host_keys: NameList
    ciphers_in: NameList
    ciphers_out: NameList
    macs_in: NameList
    macs_out: NameList
    compressions_in: NameList = COMPRESSIONS
    compressions_out: NameList = COMPRESSIONS
    first_packet_follows: bool = False

    def encode(self, cookie: bytes) -> bytes:
        """Give the payload of a KEXINIT, without the message's number.

        :param cookie: 16 random bytes.
        """
        lists = (
            self.key_exchanges,
            self.host_keys,
            self.ciphers_in,
            self.ciphers_out,
            self.macs_in,
            self.macs_out,
            self.compressions_in,
            self.compressions_out,
            (),
            (),
        )
        packed = b"".join(pack_string(b",".join(names)) for names in lists)
        return cookie + packed + bytes((self.first_packet_follows,)) + bytes(4)


@frozen
class Agreement:
    """What both sides will use; ``in`` is from the client."""

    key_exchange: bytes
    host_key: bytes
    cipher_in: bytes
    cipher_out: bytes
    mac_in: bytes
    mac_out: bytes


def read_proposal(payload: bytes) -> Proposal:
    """Read a KEXINIT's payload, without the message's number.

    :raise ProtocolError: it isn't one.
    """
    reader = Reader(payload, 16)
    lists: list[NameList] = [tuple(reader.string().split(b",")) for _ in range(10)]
    kex, keys, cipher_in, cipher_out, mac_in, mac_out, compression_in, compression_out, *_ = lists
    follows = reader.boolean()
    reader.uint32()
    reader.end()
    return Proposal(
        kex,
        keys,
        cipher_in,
        cipher_out,
        mac_in,
        mac_out,
        compression_in,
        compression_out,
        first_packet_follows=follows,
    )


def our_proposal(key_exchanges: Iterable[bytes], host_key_types: Iterable[bytes]) -> Proposal:
    """List all that the front door offers.

    :param key_exchanges: those of ``KEY_EXCHANGES`` that the libraries at hand can do.
    :param host_key_types: the types of the host keys at hand, most wanted first.
    """
    host_keys = tuple(
        algorithm
        for key_type in host_key_types
        for algorithm in HOST_KEY_ALGORITHMS.get(key_type, ())
    )
    return Proposal(
        (*key_exchanges, EXT_INFO_SERVER, STRICT_SERVER),
        host_keys,
        CIPHERS,
        CIPHERS,
        MACS,
        MACS,
    )


def steer(ours: Proposal, client: Proposal) -> Proposal:
    """Offer AES-GCM only, where the client has it both ways.

    The client's order decides, and OpenSSH 9.2 puts chacha20-poly1305 and CTR first, which cost
    eight times as much here.
    """
    if any(name in AES_GCM for name in client.ciphers_in) and any(
        name in AES_GCM for name in client.ciphers_out
    ):
        return evolve(ours, ciphers_in=AES_GCM, ciphers_out=AES_GCM)
    return ours


def add_old(ours: Proposal, client: Proposal, host_key_types: Collection[bytes]) -> Proposal:
    """Offer old algorithms for each purpose for which the client has nothing better.

    Algorithms that a client shares with the usual list are never replaced.

    :param host_key_types: the types of the host keys at hand.
    """
    if not _shared(client.key_exchanges, ours.key_exchanges):
        signals = [name for name in ours.key_exchanges if name in _SIGNALS]
        ours = evolve(ours, key_exchanges=(*OLD_KEY_EXCHANGES, *signals))
    if not _shared(client.host_keys, ours.host_keys):
        old = tuple(name for name in OLD_HOST_KEY_ALGORITHMS if name in host_key_types)
        ours = evolve(ours, host_keys=old or ours.host_keys)
    ciphers_in, macs_in = _with_mac(
        ours.ciphers_in, ours.macs_in, client.ciphers_in, client.macs_in
    )
    ciphers_out, macs_out = _with_mac(
        ours.ciphers_out, ours.macs_out, client.ciphers_out, client.macs_out
    )
    return evolve(
        ours, ciphers_in=ciphers_in, macs_in=macs_in, ciphers_out=ciphers_out, macs_out=macs_out
    )


def _with_mac(
    ciphers: NameList, macs: NameList, client_ciphers: NameList, client_macs: NameList
) -> tuple[NameList, NameList]:
    """Choose the MACs of one direction: with an AEAD none is used, otherwise an old one comes last.

    Node's ssh2 0.8 wants one in common all the same.
    """
    if _shared(client_macs, macs):
        return ciphers, macs
    authentic = tuple(name for name in ciphers if name in AEAD_CIPHERS)
    if _shared(client_ciphers, authentic):
        ciphers = authentic
    return ciphers, (*macs, *OLD_MACS)


def _shared(client: NameList, ours: NameList) -> bool:
    return any(name in ours and name not in _SIGNALS for name in client)


def negotiate(ours: Proposal, client: Proposal) -> Agreement:
    """Agree: for each purpose the first of the client's names that the server has too.

    Conch's faults closed here: with an AEAD no MAC has to be agreed on, and extension names in the
    list of key exchanges (such as ``ext-info-c``) are never agreed on.

    :raise NoCommonAlgorithm: there is none.
    """
    cipher_in = _first("cipher", client.ciphers_in, ours.ciphers_in)
    cipher_out = _first("cipher", client.ciphers_out, ours.ciphers_out)
    _first("compression", client.compressions_in, ours.compressions_in)
    _first("compression", client.compressions_out, ours.compressions_out)
    return Agreement(
        _first(
            "key exchange",
            client.key_exchanges,
            [name for name in ours.key_exchanges if name not in _SIGNALS],
        ),
        _first("host key algorithm", client.host_keys, ours.host_keys),
        cipher_in,
        cipher_out,
        b"" if cipher_in in AEAD_CIPHERS else _first("MAC", client.macs_in, ours.macs_in),
        b"" if cipher_out in AEAD_CIPHERS else _first("MAC", client.macs_out, ours.macs_out),
    )


def hash_of(key_exchange: bytes) -> "Callable[[bytes], hashlib._Hash]":
    """Give the hash of a key exchange."""
    return _LONGER_HASHES.get(key_exchange, hashlib.sha256)


def guessed_wrong(ours: Proposal, client: Proposal) -> bool:
    """Whether the kex packet that follows the client's KEXINIT must be dropped (RFC 4253, 7)."""
    return client.first_packet_follows and (
        client.key_exchanges[0] != ours.key_exchanges[0] or client.host_keys[0] != ours.host_keys[0]
    )


def _first(purpose: str, client: Sequence[bytes], server: Sequence[bytes]) -> bytes:
    for name in client:
        if name in server:
            return name
    raise NoCommonAlgorithm(purpose, client, server)
