"""The pods' SSH host keys, in OpenSSH's format.

ed25519 is for all, RSA for old clients, and ECDSA for those that know RSA only with SHA-1.
"""

import base64
from pathlib import Path
from typing import Self

from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHPrivateKeyTypes,
    load_ssh_private_key,
    ssh_key_fingerprint,
)

from tunnelcloud.private_files import read_private

ALGORITHMS = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256")

_RSA_BITS = 3072
_PublicKey = ed25519.Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_FILES = {
    "ssh-ed25519": "ssh_host_ed25519_key",
    "ssh-rsa": "ssh_host_rsa_key",
    "ecdsa-sha2-nistp256": "ssh_host_ecdsa_key",
}


class BadHostKey(Exception):
    """An SSH host key is invalid."""


@frozen
class HostKey:
    """One SSH host key."""

    algorithm: str
    private_key: bytes = field(repr=False)
    """OpenSSH's private key format, as `ssh-keygen` writes it."""
    public_key: str
    """One line: algorithm and key, as in `known_hosts` and `.pub` files."""
    fingerprint: str
    """As OpenSSH prints it: ``SHA256:...``."""

    @classmethod
    def create(cls, algorithm: str) -> Self:
        """Make a new key of one of ``ALGORITHMS``."""
        key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        if algorithm == "ssh-ed25519":
            key = ed25519.Ed25519PrivateKey.generate()
        elif algorithm == "ssh-rsa":
            key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        elif algorithm == "ecdsa-sha2-nistp256":
            key = ec.generate_private_key(ec.SECP256R1())
        else:
            raise ValueError(f"no host keys of type {algorithm}")
        return cls.from_openssh(
            key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        )

    @classmethod
    def from_openssh(cls, private_key: bytes) -> Self:
        """Read a private key in OpenSSH's format.

        :raise BadHostKey: it isn't one, is encrypted, or of a type that isn't used here.
        """
        try:
            public_key = read_unchecked(private_key).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadHostKey(f"not an unencrypted OpenSSH private key: {error}") from error
        line = public_key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
        algorithm = line.split(" ", 1)[0]
        if algorithm not in ALGORITHMS or not isinstance(public_key, _PublicKey):
            raise BadHostKey(f"a host key is {' or '.join(ALGORITHMS)}, not {algorithm}")
        return cls(algorithm, private_key, line, _fingerprint(public_key))


def read_unchecked(private_key: bytes) -> SSHPrivateKeyTypes:
    """Read a private key in OpenSSH's format, and trust that its numbers fit together.

    OpenSSL looks at those of an RSA key for 0.15 s, in which no other thread goes on.  Keys of pods
    come from pods: nobody else writes the state directory, and what the database has is sealed.

    :raise ValueError, TypeError, UnsupportedAlgorithm: it isn't such a key, or is encrypted.
    """
    return load_ssh_private_key(private_key, None, unsafe_skip_rsa_key_validation=True)


@frozen
class HostKeys:
    """The SSH host keys of all pods, one of each algorithm for a use.

    :ivar current: what pods prove themselves with.
    :ivar new: what is to take their place, once clients have learnt it.
    :ivar old: what they took the place of, and clients may still know.
    """

    current: tuple[HostKey, ...]
    new: tuple[HostKey, ...] = ()
    old: tuple[HostKey, ...] = ()

    @property
    def uses(self) -> tuple[tuple[HostKey, ...], ...]:
        """The current keys, the new ones and the old ones."""
        return self.current, self.new, self.old

    @property
    def all(self) -> tuple[HostKey, ...]:
        """Every key that clients are told, the current ones first."""
        return tuple(key for keys in self.uses for key in keys)


def load_or_make_host_key(directory: Path, algorithm: str) -> HostKey:
    """Give the host key that an earlier version kept in a directory, or a new one.  Writes nothing.

    :param algorithm: one of ``ALGORITHMS``.
    :raise BadHostKey: the file isn't a host key.
    :raise ExposedPrivateFile, UnreadablePrivateFile: see ``read_private``.
    """
    path = directory / _FILES[algorithm]
    try:
        return HostKey.from_openssh(read_private(path))
    except FileNotFoundError:
        return HostKey.create(algorithm)
    except BadHostKey as error:
        raise BadHostKey(f"{path}: {error}") from error


def known_hosts_line(host: str, port: int, public_key: str) -> str:
    """Give the line for a user's ``known_hosts`` (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT")."""
    return f"{host if port == 22 else f'[{host}]:{port}'} {public_key}"


def _fingerprint(public_key: _PublicKey) -> str:
    digest = ssh_key_fingerprint(public_key, hashes.SHA256())
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")
