"""The registry of connectors, kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Never

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.join_tokens import JoinRefused
from tunnelcloud.domain.late_renewals import LateRenewal
from tunnelcloud.domain.objects.sites import Connector
from tunnelcloud.pod.connector_registry import IConnectorRegistry
from tunnelcloud.pod.links import ILinksListener
from tunnelcloud.store import connectors
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.store.transaction import Transaction


@implementer(IConnectorRegistry, ILinksListener)
@frozen
class Registrar:
    """Reads and writes connectors in the store, with the audit events of their links."""

    store: AsyncStore
    pod_id: str
    refusals: Refusals

    def redeem_join_token(
        self, secret_hash: str, key_fingerprint: str, source: str = ""
    ) -> Deferred[Connector]:
        """Spend a join token for the key of a connector.

        :param source: the address that it came from, for the audit.
        """
        redeeming = self.store.write(
            connectors.redeem_join_token, secret_hash, key_fingerprint=key_fingerprint
        )

        return redeeming.addErrback(self._refused("connector.join_refused", source))

    def _refused(
        self, name: str, source: str, **data: object
    ) -> Callable[[Failure], Deferred[Never]]:
        """Make an errback that records that a connector got no certificate."""

        def record(failure: Failure) -> Deferred[Never]:
            failure.trap(JoinRefused)
            event = AuditEvent(
                name,
                pod_id=self.pod_id,
                source_ip=source or None,
                data={"reason": str(failure.value), **data},
            )
            recording = Deferred.fromCoroutine(self.refusals.record(event))
            return recording.addCallback(lambda _: failure)

        return record

    def check_late(self, asked: LateRenewal, source: str = "") -> Deferred[datetime]:
        """Check that a certificate may be renewed though it has ended."""
        checking = self.store.read(connectors.check_late, asked)
        return checking.addErrback(self._not_renewed(asked.connector_id, source))

    def renew_late(
        self, asked: LateRenewal, serial: str, not_after: datetime, source: str = ""
    ) -> Deferred[Connector]:
        """Record a certificate in place of one that has ended."""
        renewing = self.store.write(
            connectors.renew_late,
            asked,
            serial=serial,
            expires_at=not_after,
            source_ip=source or None,
        )
        return renewing.addErrback(self._not_renewed(asked.connector_id, source))

    def _not_renewed(self, connector_id: str, source: str) -> Callable[[Failure], Deferred[Never]]:
        return self._refused("connector.renewal_refused", source, connector_id=connector_id)

    def record_certificate(
        self,
        connector_id: str,
        serial: str,
        key_fingerprint: str,
        not_after: datetime,
        source: str = "",
    ) -> Deferred[None]:
        """Record a certificate before it is handed out."""
        recording = self.store.write(
            _record_certificate, connector_id, serial, key_fingerprint, not_after, source
        )
        return recording.addErrback(self._not_renewed(connector_id, source))

    def active_connectors(self, keys: Mapping[str, str]) -> Deferred[Mapping[str, Connector]]:
        """Return connectors, without those that were deleted or whose key has no good certificate
        any more."""

        def same(found: Mapping[str, Connector]) -> Mapping[str, Connector]:
            return {key: one for key, one in found.items() if one.id == keys[key]}

        return self.store.read(connectors.find_by_certificates, tuple(keys)).addCallback(same)

    def seen(
        self, versions: Mapping[str, str], at: datetime, authority: str | None = None
    ) -> Deferred[None]:
        """Note that connectors are attached, with their versions and their certificates' CA."""
        return self.store.write(connectors.record_seen, versions, authority)

    def connector_attached(self, connector: Connector, version: str) -> None:
        """Record that a connector's link came up."""
        self._record("connector.attached", connector, {"version": version})

    def connector_detached(self, connector: Connector, reason: str) -> None:
        """Record that a connector's last link went."""
        self._record("connector.detached", connector, {"reason": reason})

    def connector_cloned(self, connector: Connector, reason: str) -> None:
        """Record that two processes were live with one connector's identity."""
        self._record("connector.cloned", connector, {"reason": reason})

    def _record(self, name: str, connector: Connector, data: dict[str, object]) -> None:
        event = AuditEvent(
            name,
            actor=connector.name,
            actor_id=connector.id,
            pod_id=self.pod_id,
            data={"connector_id": connector.id, **data},
        )
        # A store that is closing or unreachable is reported elsewhere.
        self.store.write(_audit, event).addErrback(lambda _: None)


def _audit(transaction: Transaction, event: AuditEvent) -> None:
    transaction.audit(event)


def _record_certificate(
    transaction: Transaction,
    connector_id: str,
    serial: str,
    key_fingerprint: str,
    not_after: datetime,
    source: str,
) -> None:
    connectors.record_certificate(
        transaction,
        connector_id,
        serial=serial,
        key_fingerprint=key_fingerprint,
        expires_at=not_after,
        renewal=connectors.has_certificate(transaction, connector_id, key_fingerprint),
        source_ip=source or None,
    )
