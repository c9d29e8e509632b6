"""Attends to links: identifies their connectors, checks their rights, and answers their requests.

A link is attached once its connector was found to be active, and reviewed as long as it is there:
it ends when the connector is deleted, or the last certificate of its key revoked or expired.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import define, field
from cryptography import x509
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel
from tunnelcloud.domain.addresses import canonical_address
from tunnelcloud.domain.join_tokens import JoinRefused
from tunnelcloud.domain.objects.sites import Connector
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.interfaces import ILinkOwner
from tunnelcloud.link.protocol import LinkProtocol
from tunnelcloud.link.requests import AUTHORITIES, PING, PODS, RENEW, Document, Handler, pack
from tunnelcloud.net.allowance import Allowances
from tunnelcloud.pki.authority import (
    BadCertificateRequest,
    IssuedCertificate,
    NotAConnectorCertificate,
    connector_id_of,
    public_key_fingerprint,
)
from tunnelcloud.pod.connector_certificates import Joining
from tunnelcloud.pod.connector_registry import IConnectorRegistry
from tunnelcloud.pod.links import AttachedLink, Links
from tunnelcloud.pod.outage_log import OUTAGES

_NOT_ACTIVE = "the connector was deleted, or its certificate revoked or expired"

_RETIRED = (
    "the CA that signed the connector's certificate was retired before the connector had one of "
    "the CA that took its place"
)

CLONED = (
    "two processes are live with this connector's identity: it was started twice, or its state "
    "directory or its machine was copied. The one that started later is turned away. Stop it, or "
    "give it an identity of its own: empty its state directory, and start it with the join token "
    "of a connector that you make for it with `tunnelcloud connector create`"
)
RIVAL_SECONDS = 5.0
"""Seconds in which a process that holds links has to answer, when another process comes."""

LINKS_AT_ONCE = 20
"""How many links a connector may begin at once, for each that it may hold."""

LINKS_A_SECOND = 0.1
"""How many a second for long; one that loses its links again and again waits 15 s between two."""

_TOO_OFTEN = "connector {connector_id} comes and goes too often: it has to wait"

_AFTER_A_BAD_ONE = timedelta(minutes=1)
"""How long a connector's requests to renew are not looked at after a bad one."""

_RESTARTED = "the connector was started again"

_log = Logger()


@implementer(ILinkOwner)
@define(eq=False)
class Attendant:
    """Owns the pod's ends of links.

    :ivar max_links: how many links a connector may hold to this pod.
    :ivar pods: gives the addresses of the pods that connectors may dial.
    """

    links: Links
    registry: IConnectorRegistry
    joining: Joining
    pods: Callable[[], Sequence[PublicAddress]]
    now: Callable[[], datetime]
    clock: IReactorTime
    max_links: int = 2
    _unattached: set[LinkProtocol] = field(factory=set, init=False)
    _doubtful: set[LinkProtocol] = field(factory=set, init=False)
    """Links that aren't attached yet, and whose connectors may have been revoked since they were
    looked up."""
    _renewals: dict[tuple[str, str], datetime] = field(factory=dict, init=False)
    _comings: Allowances = field(init=False)

    @_comings.default
    def _make_comings(self) -> Allowances:
        most = self.max_links
        return Allowances(self.clock, LINKS_AT_ONCE * most, LINKS_A_SECOND * most)

    @property
    def handlers(self) -> Mapping[bytes, Handler]:
        """The requests that connectors may send on a link."""
        return {RENEW: self._renew_requested}

    # ILinkOwner.

    def link_refusal(self, link: LinkProtocol, certificate: x509.Certificate | None) -> str | None:
        """Refuse a peer without a connector's certificate, and a connector that comes too often.

        ``link_ready`` checks whether the certificate is still good.
        """
        try:
            if certificate is None:
                raise NotAConnectorCertificate("shows no certificate")
            connector_id = connector_id_of(certificate)
        except NotAConnectorCertificate as error:
            return f"the peer is no connector: {error}"
        if not self._comings.take(connector_id):
            _log.warn(_TOO_OFTEN, connector_id=connector_id)
            return "the connector comes and goes too often"
        return None

    def link_ready(self, link: LinkProtocol) -> None:
        """Attach a link, if its connector is active."""
        certificate = _certificate(link)
        self._unattached.add(link)
        self._doubtful.discard(link)
        key = public_key_fingerprint(certificate)
        asking = self.registry.active_connectors({key: connector_id_of(certificate)})
        asking.addCallback(lambda found: self._admit(found.get(key), link, certificate))
        asking.addErrback(self._failed, link)

    def link_lost(self, link: LinkProtocol, reason: str) -> None:
        """Forget a link."""
        self._unattached.discard(link)
        self._doubtful.discard(link)
        self.links.remove(link, reason)

    def channel_requested(
        self, link: LinkProtocol, channel: IChannel, channel_type: bytes, data: bytes
    ) -> None:
        """Not called: a link ends when a connector opens a channel."""
        raise AssertionError("only pods open channels")

    # What the pod's service calls.

    def announce_pods(self) -> None:
        """Tell all connectors the pods' addresses: a pod has come or gone."""
        for link in self.links.attached:
            self._tell_pods(link.protocol)

    def authorities_changed(self) -> "Deferred[None]":
        """Tell all connectors which CAs to trust, and end links whose certificate is of none of
        them."""
        for link in self.links.attached:
            self._tell_authorities(link.protocol)
        return self.review()

    def review(self, concerned: Collection[str] | None = None) -> "Deferred[None]":
        """Check again whether links may stay, and note that their connectors are still attached.

        Called regularly, after changes, and when changes may have been missed.

        :param concerned: ids of connectors and sites; None for every link.
        """
        self._doubtful.update(self._unattached)
        links = [
            link
            for link in self.links.attached
            if concerned is None
            or link.connector_id in concerned
            or link.connector.site_id in concerned
        ]
        if not links:
            return succeed(None)
        keys = {link.key_fingerprint: link.connector_id for link in links}
        asking = self.registry.active_connectors(keys)
        return asking.addCallback(self._reviewed, links).addErrback(_review_failed)

    # Inner workings.

    def _admit(
        self, connector: Connector | None, link: LinkProtocol, certificate: x509.Certificate
    ) -> "Deferred[None] | None":
        if link not in self._unattached:
            return None
        if connector is None:
            self._unattached.discard(link)
            link.dismiss(_NOT_ACTIVE)
            return None
        rivals = self.links.rivals(connector.id, _instance(link))
        if not rivals:
            return self._attach(connector, link, certificate)
        # After a crash or a network failure the pod may not know yet that the earlier process is
        # gone.
        alive = _first_answer(rivals).addTimeout(RIVAL_SECONDS, self.clock)
        return alive.addCallbacks(
            lambda _: self._turn_away(connector, link, certificate, rivals),
            lambda _: self._replace(connector, link, certificate, rivals),
        )

    def _turn_away(
        self,
        connector: Connector,
        link: LinkProtocol,
        certificate: x509.Certificate,
        rivals: Iterable[AttachedLink],
    ) -> "Deferred[None] | None":
        """Keep the links of the process that started first, and end those of the other."""
        if link not in self._unattached:
            return None
        if all(_instance(link) > rival.instance for rival in rivals):
            self._unattached.discard(link)
            link.dismiss(CLONED)
            self.links.cloned(connector, CLONED)
            return None
        for rival in rivals:
            rival.protocol.dismiss(CLONED)
            self.links.remove(rival.protocol, CLONED)
        self.links.cloned(connector, CLONED)
        return self._attach(connector, link, certificate)

    def _replace(
        self,
        connector: Connector,
        link: LinkProtocol,
        certificate: x509.Certificate,
        rivals: Iterable[AttachedLink],
    ) -> "Deferred[None] | None":
        """End links of a silent process: this one has taken its place."""
        for rival in rivals:
            rival.protocol.disconnect(_RESTARTED)
            self.links.remove(rival.protocol, _RESTARTED)
        if link not in self._unattached:
            return None
        return self._attach(connector, link, certificate)

    def _attach(
        self, connector: Connector, link: LinkProtocol, certificate: x509.Certificate
    ) -> "Deferred[None] | None":
        if link in self._doubtful:
            self.link_ready(link)
            return None
        self._unattached.discard(link)
        held = tuple(self.links.of_connector(connector.id))
        if len(held) >= self.max_links:
            silent = max(held, key=lambda one: one.silence)
            if silent.responsive:
                link.disconnect(f"the connector holds {len(held)} links already")
                return succeed(None)
            silent.protocol.disconnect(_RESTARTED)
            self.links.remove(silent.protocol, _RESTARTED)
        self.links.attach(
            AttachedLink(
                protocol=link,
                connector=connector,
                key_fingerprint=public_key_fingerprint(certificate),
                attached_at=self.now(),
            )
        )
        self._tell_pods(link)
        self._tell_authorities(link)
        issuer = self.joining.authorities().issuer_of(certificate)
        return self._seen(connector, link, None if issuer is None else issuer.pin.hex())

    def _failed(self, failure: Failure, link: LinkProtocol) -> None:
        OUTAGES.tell(failure, "the connector of a link could not be looked up")
        if link in self._unattached:
            self._unattached.discard(link)
            link.disconnect("the pod can't tell whether the connector is active")

    def _reviewed(
        self, found: Mapping[str, Connector], links: Iterable[AttachedLink]
    ) -> "Deferred[None]":
        trusted = {one.pin.hex() for one in self.joining.authorities().all}
        versions = {}
        for link in links:
            connector = found.get(link.key_fingerprint)
            if connector is None:
                link.protocol.dismiss(_NOT_ACTIVE)
            elif connector.authority and connector.authority not in trusted:
                link.protocol.dismiss(_RETIRED)
            else:
                link.connector = connector
                versions[connector.id] = _version(link.protocol)
        return self.registry.seen(versions, self.now()) if versions else succeed(None)

    def _seen(
        self, connector: Connector, link: LinkProtocol, authority: str | None = None
    ) -> "Deferred[None]":
        noting = self.registry.seen({connector.id: _version(link)}, self.now(), authority)
        return noting.addErrback(_review_failed)

    def _tell_pods(self, link: LinkProtocol) -> None:
        link.request(PODS, {"pods": [str(address) for address in self.pods()]})

    def _tell_authorities(self, link: LinkProtocol) -> None:
        known = self.joining.authorities().all
        texts = [one.certificate_pem.decode("ascii") for one in known]
        link.request(AUTHORITIES, {"authorities": texts})

    def _renew_requested(self, link: LinkProtocol, document: Document) -> Document | None:
        """Grant the request at once; the certificate follows in a request of its own."""
        attached = self.links.find(link)
        csr, trusted = document.get("certificate_request"), document.get("trusts", [])
        if attached is None or not isinstance(csr, str) or not isinstance(trusted, list):
            return None
        signer = self.joining.authorities().for_holder(tuple(map(str, trusted)))
        renewal = attached.connector_id, signer.pin.hex()
        if not self._may_renew(renewal):
            return None
        try:
            renewing = self.joining.renew(
                signer,
                csr.encode("utf-8"),
                attached.connector_id,
                attached.key_fingerprint,
                canonical_address(getattr(link.transport.getPeer(), "host", "")),
            )
        except BadCertificateRequest as error:
            _log.warn(
                "connector {name} asked for a bad renewal: {error}",
                name=attached.connector.name,
                error=error,
            )
            self._renewals[renewal] = self.now() + _AFTER_A_BAD_ONE
            return None
        self._renewals[renewal] = self.now() + self.joining.lifetime / 10
        renewing.addCallback(self._renewed, attached, signer.pin.hex())
        renewing.addErrback(self._renewal_failed, attached, renewal)
        return {}

    def _may_renew(self, renewal: tuple[str, str]) -> bool:
        """Tell whether a renewal is taken now, so that no connector can fill store and log.

        :param renewal: the connector's id, and the pin of the CA that would sign.
        """
        until = self._renewals.get(renewal)
        return until is None or self.now() >= until

    def _renewed(self, issued: IssuedCertificate, renewed: AttachedLink, authority: str) -> None:
        def answered(reply: bytes | None) -> None:
            if reply is not None:
                self._seen(renewed.connector, renewed.protocol, authority)

        document = pack({"certificate": issued.pem.decode("ascii")})
        renewed.protocol.multiplexer.send_global_request(RENEW, document, answered)

    def _renewal_failed(
        self, failure: Failure, link: AttachedLink, renewal: tuple[str, str]
    ) -> None:
        del self._renewals[renewal]
        if failure.check(JoinRefused):
            # The notice that ends its links is still to come.
            link.protocol.dismiss(_NOT_ACTIVE)
            return
        _log.failure(
            "the certificate of connector {name} could not be renewed",
            failure,
            name=link.connector.name,
        )


def _instance(link: LinkProtocol) -> str:
    return link.peer.instance if link.peer is not None else ""


def _first_answer(links: Iterable[AttachedLink]) -> "Deferred[None]":
    """Fire when one of the links has answered a ping."""
    answer: Deferred[None] = Deferred()

    def answered(reply: bytes | None) -> None:
        # A lost link doesn't answer.
        if reply is not None and not answer.called:
            answer.callback(None)

    for link in links:
        link.multiplexer.send_global_request(PING, b"", answered)
    return answer


def _certificate(link: LinkProtocol) -> x509.Certificate:
    assert link.peer_certificate is not None, "link_refusal saw to it"
    return link.peer_certificate


def _version(link: LinkProtocol) -> str:
    """Give the version of a connector's software."""
    return link.peer.software if link.peer is not None else ""


def _review_failed(failure: Failure) -> None:
    # Open streams go on while the store is unavailable; the next review asks again.
    OUTAGES.tell(failure, "connectors could not be reviewed")
