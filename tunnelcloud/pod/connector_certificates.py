"""The pod's side of joining and of renewal: checks, signs, records, and only then hands out.

Knows the CA and the registry of connectors, no sockets.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.entities import Connector
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused, hash_secret
from tunnelcloud.link.join_messages import JoinAnswer, JoinDenied, JoinGranted, JoinRequest
from tunnelcloud.pki import (
    BadCertificateRequest,
    CertificateAuthority,
    IssuedCertificate,
    public_key_fingerprint,
)
from tunnelcloud.pod.registry import IConnectorRegistry

_log = Logger()


@frozen
class Joining:
    """Lets connectors join and renews their certificates.

    :ivar lifetime: of connectors' certificates.
    :ivar pods: gives the addresses of the pods that connectors may dial.
    """

    authority: CertificateAuthority
    registry: IConnectorRegistry
    lifetime: timedelta
    pods: Callable[[], Sequence[PublicAddress]]
    now: Callable[[], datetime]

    def answer(self, request: JoinRequest) -> "Deferred[JoinAnswer]":
        """Answer a connector that presents a join token."""
        csr = request.certificate_request.encode("utf-8")
        try:
            fingerprint = public_key_fingerprint(csr)
        except BadCertificateRequest as error:
            _log.info("a connector that would join sent a bad request: {error}", error=error)
            return succeed(JoinDenied(problem=JoinProblem.BAD_REQUEST))
        secret_hash = hash_secret(bytes.fromhex(request.secret))

        def issue(connector: Connector) -> "Deferred[JoinAnswer]":
            issuing = self._issue(csr, connector.id, fingerprint, request.source)
            return issuing.addCallback(lambda issued: self._granted(connector, issued))

        def denied(failure: Failure) -> JoinAnswer:
            refused = failure.value
            if not isinstance(refused, JoinRefused):
                failure.raiseException()
            _log.info("a join token was refused: {reason}", reason=refused)
            return JoinDenied(problem=refused.problem)

        joining = self.registry.redeem_join_token(secret_hash, fingerprint, request.source)
        return joining.addCallback(issue).addErrback(denied)

    def renew(
        self, csr: bytes, connector_id: str, key_fingerprint: str, source: str
    ) -> "Deferred[IssuedCertificate]":
        """Renew a connector's certificate, for the key it has.

        :param key_fingerprint: of the certificate that the connector has shown.
        :param source: the address of its link, for the audit.
        :raise BadCertificateRequest: the request is bad, or for another key.
        """
        if public_key_fingerprint(csr) != key_fingerprint:
            raise BadCertificateRequest("the request is for another key")
        return self._issue(csr, connector_id, key_fingerprint, source)

    def _issue(
        self, csr: bytes, connector_id: str, fingerprint: str, source: str
    ) -> "Deferred[IssuedCertificate]":
        issued = self.authority.sign_request(csr, connector_id, self.now(), self.lifetime)
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
