"""Reads and seals the pods' shared keys in the database, for operations that change them."""

from __future__ import annotations

from attrs import frozen

from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pki.host_keys import HostKey
from tunnelcloud.pki.sealing import Sealer


@frozen
class KeptKeys:
    """Reads what is kept sealed, and gives it other names."""

    sealer: Sealer

    def rename(self, content: bytes, name: str, other: str) -> bytes:
        """Return a kept key, sealed for another name."""
        return self.sealer.keep(self.sealer.take(content, name), other)

    def fingerprint(self, content: bytes, name: str) -> str:
        """Give a host key's fingerprint."""
        return HostKey.from_openssh(self.sealer.take(content, name)).fingerprint

    def pin(self, content: bytes, name: str) -> str:
        """Give a CA's pin, in hexadecimal."""
        return CertificateAuthority.from_pem(self.sealer.take(content, name)).pin.hex()
