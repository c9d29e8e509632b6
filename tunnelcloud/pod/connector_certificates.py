"""The pod's side of joining and renewal: it checks, signs, records, and then hands certificates
out.

Knows the CA and the registry of connectors, no sockets.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from attrs import frozen
from cryptography import x509
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused, hash_secret
from tunnelcloud.domain.late_renewals import LateRenewal
from tunnelcloud.domain.objects.sites import Connector
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.join_messages import (
    JoinAnswer,
    JoinDenied,
    JoinGranted,
    JoinRequest,
    RenewalRequest,
    Request,
)
from tunnelcloud.pki.authority import (
    UNREADABLE,
    BadCertificateRequest,
    CertificateAuthority,
    IssuedCertificate,
    NotAConnectorCertificate,
    connector_id_of,
    public_key_fingerprint,
)
from tunnelcloud.pki.authority_rotation import Authorities
from tunnelcloud.pod.connector_registry import IConnectorRegistry

_log = Logger()


@frozen
class Joining:
    """Lets connectors join and renews their certificates.

    :ivar authorities: gives the CAs as they are now.
    :ivar lifetime: of connectors' certificates.
    :ivar pods: gives the addresses of the pods that connectors may dial.
    :ivar grace: for how long a certificate that has ended is still renewed.
    """

    authorities: Callable[[], Authorities]
    registry: IConnectorRegistry
    lifetime: timedelta
    pods: Callable[[], Sequence[PublicAddress]]
    now: Callable[[], datetime]
    grace: timedelta = timedelta(0)

    def answer(self, request: Request) -> "Deferred[JoinAnswer]":
        """Answer a connector that presents a join token, or a certificate that has ended."""
        if isinstance(request, RenewalRequest):
            return self._renew_late(request)
        return self._join(request)

    def _join(self, request: JoinRequest) -> "Deferred[JoinAnswer]":
        csr = request.certificate_request.encode("utf-8")
        try:
            fingerprint = public_key_fingerprint(csr)
        except BadCertificateRequest as error:
            _log.info("a connector that would join sent a bad request: {error}", error=error)
            return succeed(JoinDenied(problem=JoinProblem.BAD_REQUEST))
        secret_hash = hash_secret(bytes.fromhex(request.secret))

        def issue(connector: Connector) -> "Deferred[JoinAnswer]":
            # The token names this CA; the connector gets another one over its first link.
            signer = self.authorities().serving
            issuing = self._issue(signer, csr, connector.id, fingerprint, request.source)
            return issuing.addCallback(lambda issued: self._granted(connector, issued))

        joining = self.registry.redeem_join_token(secret_hash, fingerprint, request.source)
        return joining.addCallback(issue).addErrback(_denied, "a join token")

    def _renew_late(self, request: RenewalRequest) -> "Deferred[JoinAnswer]":
        """Renew a certificate that has ended, for the same key and the same connector."""
        try:
            signer, asked = self._read_late(request)
        except (*UNREADABLE, NotAConnectorCertificate, BadCertificateRequest) as error:
            _log.info("a connector came late with a bad request: {error}", error=error)
            return succeed(JoinDenied(problem=JoinProblem.BAD_REQUEST))

        def issue(_: object) -> "Deferred[JoinAnswer]":
            return self._issue_late(signer, request, asked)

        granted = self.registry.check_late(asked, request.source).addCallback(issue)
        return granted.addErrback(_denied, f"a late renewal of {asked.connector_id}")

    def _read_late(self, request: RenewalRequest) -> tuple[CertificateAuthority, LateRenewal]:
        """Read the certificate, and choose the CA that signs the next one.

        The connector trusts the CA of its own certificate, whichever others it knows.

        :raise NotAConnectorCertificate, BadCertificateRequest: it is nothing that could be renewed.
            Unreadable certificates raise :data:`tunnelcloud.pki.UNREADABLE`.
        """
        certificate = x509.load_pem_x509_certificate(request.certificate.encode("utf-8"))
        signer = self.authorities().issuer_of(certificate)
        if signer is None:
            raise BadCertificateRequest("the certificate is of no CA that is trusted")
        connector_id = connector_id_of(certificate)
        fingerprint = public_key_fingerprint(certificate)
        if public_key_fingerprint(request.certificate_request.encode("utf-8")) != fingerprint:
            raise BadCertificateRequest("the request is for another key")
        serial = f"{certificate.serial_number:x}"
        return signer, LateRenewal(connector_id, serial, fingerprint, self.grace)

    def _issue_late(
        self, signer: CertificateAuthority, request: RenewalRequest, asked: LateRenewal
    ) -> "Deferred[JoinAnswer]":
        csr = request.certificate_request.encode("utf-8")
        issued = signer.sign_request(csr, asked.connector_id, self.now(), self.lifetime)
        recording = self.registry.renew_late(asked, issued.serial, issued.not_after, request.source)
        return recording.addCallback(lambda connector: self._granted(connector, issued))

    def renew(
        self,
        signer: CertificateAuthority,
        csr: bytes,
        connector_id: str,
        key_fingerprint: str,
        source: str,
    ) -> "Deferred[IssuedCertificate]":
        """Renew a connector's certificate, for the key it has.

        :param signer: a CA that the connector trusts.
        :param key_fingerprint: of the certificate that the connector has shown.
        :param source: the address of its link, for the audit.
        :raise BadCertificateRequest: the request is bad, or for another key.
        """
        if public_key_fingerprint(csr) != key_fingerprint:
            raise BadCertificateRequest("the request is for another key")
        return self._issue(signer, csr, connector_id, key_fingerprint, source)

    def _issue(
        self,
        signer: CertificateAuthority,
        csr: bytes,
        connector_id: str,
        fingerprint: str,
        source: str,
    ) -> "Deferred[IssuedCertificate]":
        issued = signer.sign_request(csr, connector_id, self.now(), self.lifetime)
        recording = self.registry.record_certificate(
            connector_id, issued.serial, fingerprint, issued.not_after, source
        )
        return recording.addCallback(lambda _: issued)

    def _granted(self, connector: Connector, issued: IssuedCertificate) -> JoinAnswer:
        return JoinGranted(
            connector_id=connector.id,
            certificate=issued.pem.decode("ascii"),
            pods=tuple(map(str, self.pods())),
        )


def _denied(failure: Failure, what: str) -> JoinAnswer:
    refused = failure.value
    if not isinstance(refused, JoinRefused):
        failure.raiseException()
    _log.info("{what} was refused: {reason}", what=what, reason=refused)
    return JoinDenied(problem=refused.problem)
