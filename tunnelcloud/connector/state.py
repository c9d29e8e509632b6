"""A connector's state between starts: its key, its certificate, the CAs, the pods' addresses.

Each file is replaced as a whole; ``connector.json`` is written last when joining, so that a
connector has joined when it is there.  Knows files and certificates, no network.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from attrs import evolve, field, frozen
from cryptography import x509

from tunnelcloud.domain.join_tokens import JoinToken, read_pod_address
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.net.foreign_json import read_foreign_json
from tunnelcloud.pki.authority import (
    UNREADABLE,
    NotAConnectorCertificate,
    connector_id_of,
    public_key_fingerprint,
)
from tunnelcloud.pki.authority_rotation import is_issued_by
from tunnelcloud.pki.signing_requests import make_request, new_private_key
from tunnelcloud.private_files import (
    ExposedPrivateFile,
    UnreadablePrivateFile,
    hold_directory,
    hold_file,
    read_private,
    write_atomically,
)
from tunnelcloud.settings_files import CannotStart

FORMAT = 1
LOCK_FILE = "connector.lock"
_WRITABLE = (
    "a connector keeps its key and its certificate in the state directory, which its user has "
    "to be able to write (in a container, a volume)"
)


class BadState(CannotStart):
    """The state directory can't be used; the message says what to do."""


@frozen
class Membership:
    """The credentials that identify a connector."""

    connector_id: str
    ca_pem: bytes
    certificate_pem: bytes
    certificate: x509.Certificate
    private_key_pem: bytes = field(repr=False)
    pods: tuple[PublicAddress, ...]
    token_hash: str
    """Identifies the join token that was redeemed."""

    @property
    def renew_at(self) -> datetime:
        """When two thirds of the certificate's life are over."""
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return begin + (end - begin) * 2 / 3

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """The CAs that are trusted, the newest first."""
        return tuple(x509.load_pem_x509_certificates(self.ca_pem))

    @property
    def is_of_newest(self) -> bool:
        """Whether the certificate is of the newest CA."""
        return is_issued_by(self.certificate, self.authorities[0])


@frozen
class _Record:
    """The contents of connector.json."""

    connector_id: str
    token_hash: str


class ConnectorState:
    """A connector's state directory.

    :ivar why_unwritable: why it can't be written, as ``take`` found; empty if it can.
    :raise BadState: it can't be made or used.
    """

    why_unwritable = ""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._key = directory / "key.pem"
        self._certificate = directory / "certificate.pem"
        self._ca = directory / "ca.pem"
        self._pods = directory / "pods.json"
        self._record = directory / "connector.json"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadState(f"{directory} can't be made: {error.strerror}; {_WRITABLE}") from error

    def take(self) -> None:
        """Keep other connectors out of the directory, as long as this process lives.

        It need not be writable: a connector that has joined goes on with a disk that the system has
        made read-only, until its certificate ends.

        :raise BadState: another process has it, or it can't be used.
        """
        try:
            held = hold_file(self.directory / LOCK_FILE)
        except OSError as error:
            self.why_unwritable = error.strerror or str(error)
            held = self._hold_unwritable()
        if held is None:
            raise BadState(
                f"{self.directory} is in use by another connector: end that one, or give this one "
                "a state directory and a join token of its own"
            )

    def _hold_unwritable(self) -> int | None:
        try:
            return hold_directory(self.directory)
        except OSError as error:
            raise BadState(f"{self.directory} can't be locked: {error.strerror}") from error

    def private_key(self) -> bytes:
        """Give the connector's key, which is made the first time and stays where it is.

        :raise BadState: it is there and can't be used, or can't be written.
        """
        try:
            key = read_private(self._key)
            make_request(key)
            return key
        except FileNotFoundError:
            key = new_private_key()
            self._write(self._key, key)
            return key
        except (ExposedPrivateFile, UnreadablePrivateFile) as error:
            raise BadState(str(error)) from error
        except ValueError as error:
            raise BadState(f"{self._key} is no private key of a connector") from error

    def load(self) -> Membership | None:
        """Return the stored membership; None if the connector hasn't joined.

        :raise BadState: the files can't be used.
        """
        record = self._read_record()
        if record is None:
            return None
        try:
            certificate_pem = self._certificate.read_bytes()
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            ca_pem = self._ca.read_bytes()
            pods = tuple(map(read_pod_address, read_foreign_json(self._pods.read_bytes())))
            if not pods:
                raise ValueError(f"{self._pods.name} names no pod")
            private_key = self.private_key()
            _check(certificate, ca_pem, private_key, record.connector_id)
        except OSError as error:
            raise self._unusable(f"{error.filename}: {error.strerror}") from error
        except (*UNREADABLE, NotAConnectorCertificate) as error:
            raise self._unusable(str(error)) from error
        return Membership(
            record.connector_id,
            ca_pem,
            certificate_pem,
            certificate,
            private_key,
            pods,
            record.token_hash,
        )

    def join(
        self,
        token: JoinToken,
        connector_id: str,
        certificate_pem: bytes,
        ca_pem: bytes,
        pods: Sequence[PublicAddress],
    ) -> Membership:
        """Store what a pod granted.

        :raise BadState: it can't be written, or isn't what this connector asked for.
        """
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            _check(certificate, ca_pem, self.private_key(), connector_id)
        except (*UNREADABLE, NotAConnectorCertificate) as error:
            raise BadState(f"the pod sent a certificate that can't be used: {error}") from error
        self._write(self._ca, ca_pem, 0o644)
        self._write(self._certificate, certificate_pem, 0o644)
        self.keep_pods(pods)
        record = {
            "format": FORMAT,
            "connector_id": connector_id,
            "token_hash": token.secret_hash,
        }
        self._write(self._record, json.dumps(record).encode("utf-8"), 0o644)
        membership = self.load()
        assert membership is not None
        return membership

    def renew(self, certificate_pem: bytes) -> Membership:
        """Replace the certificate, if it is a good one for this connector.

        :raise BadState: it isn't, or can't be written.
        """
        membership = self.load()
        assert membership is not None, "only who has joined can renew"
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            _check(
                certificate,
                membership.ca_pem,
                membership.private_key_pem,
                membership.connector_id,
            )
        except (*UNREADABLE, NotAConnectorCertificate) as error:
            raise BadState(f"the pod sent a certificate that can't be used: {error}") from error
        self._write(self._certificate, certificate_pem, 0o644)
        renewed = self.load()
        assert renewed is not None
        return renewed

    def keep_authorities(self, ca_pem: bytes) -> Membership:
        """Trust other CAs from now on, if the certificate is of one of them.

        :param ca_pem: their certificates, the newest first.
        :raise BadState: it isn't, or they can't be read or written.
        """
        membership = self.load()
        assert membership is not None, "only who has joined is told"
        try:
            _check(
                membership.certificate,
                ca_pem,
                membership.private_key_pem,
                membership.connector_id,
            )
        except (*UNREADABLE, NotAConnectorCertificate) as error:
            raise BadState(f"the pod sent CAs that can't be used: {error}") from error
        self._write(self._ca, ca_pem, 0o644)
        return evolve(membership, ca_pem=ca_pem)

    def keep_pods(self, pods: Sequence[PublicAddress]) -> None:
        """Store the pods' addresses.

        :raise BadState: it can't be written.
        """
        self._write(self._pods, json.dumps([str(pod) for pod in pods]).encode("utf-8"), 0o644)

    def _read_record(self) -> _Record | None:
        try:
            text = self._record.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadState(f"{self._record} can't be read: {error.strerror}") from error
        try:
            document = read_foreign_json(text)
        except ValueError:
            document = None
        match document:
            case {"format": 1, "connector_id": str(connector_id), "token_hash": str(token_hash)}:
                return _Record(connector_id, token_hash)
            case {"format": int(found)} if found > FORMAT:
                raise BadState(
                    f"{self.directory} was written by a newer version (format {found}): "
                    "install that version again, or join with another state directory"
                )
        raise self._unusable(f"{self._record.name} is damaged")

    def _unusable(self, why: str) -> BadState:
        return BadState(
            f"{self.directory} can't be used ({why}): restore it, or empty it and join again "
            "with a new token"
        )

    def _write(self, path: Path, content: bytes, mode: int = 0o600) -> None:
        try:
            write_atomically(path, content, mode)
        except OSError as error:
            raise BadState(f"{path} can't be written: {error.strerror}; {_WRITABLE}") from error


def _check(
    certificate: x509.Certificate, ca_pem: bytes, private_key: bytes, connector_id: str
) -> None:
    """Check that a certificate is this connector's, by this CA.

    :raise ValueError, NotAConnectorCertificate: it isn't; for an unreadable certificate there is
        ``UNREADABLE``.
    """
    authorities = x509.load_pem_x509_certificates(ca_pem)
    if not any(is_issued_by(certificate, one) for one in authorities):
        raise ValueError("the certificate isn't the CA's")
    if connector_id_of(certificate) != connector_id:
        raise ValueError("the certificate is another connector's")
    if public_key_fingerprint(certificate) != public_key_fingerprint(make_request(private_key)):
        raise ValueError("the certificate is for another key")
