"""What the pod asks of whoever keeps connectors: the store, behind an interface.

It writes the audit's `connector.joined`, `connector.renewed` and what refused it in the
same transaction.  All methods answer with Deferreds, since a database takes its time.
"""

from collections.abc import Mapping
from datetime import datetime

from twisted.internet.defer import Deferred
from zope.interface import Interface

from tunnelcloud.domain.late_renewals import LateRenewal
from tunnelcloud.domain.objects.sites import Connector


class IConnectorRegistry(Interface):
    """Keeps connectors, their join tokens and their certificates."""

    def redeem_join_token(
        secret_hash: str, key_fingerprint: str, source: str = ""
    ) -> "Deferred[Connector]":
        """Spend a join token for the key of a connector, once and for all.

        Redeemed again with the same key before it expires, it gives the same connector: its
        first answer may have been lost.  When a connector joins anew with another key, its older
        certificates are revoked.

        Fails with ``tunnelcloud.domain.join_tokens.JoinRefused``: unknown, expired, used,
        or used with the same key too often.
        """

    def record_certificate(
        connector_id: str, serial: str, key_fingerprint: str, not_after: datetime, source: str = ""
    ) -> "Deferred[None]":
        """Record a certificate before it is handed out: at joining, or at a renewal.

        Fails with ``JoinRefused`` when the connector was deleted, or has joined with another key.

        :param source: the address that it was asked for from, for the audit.
        """

    def check_late(asked: LateRenewal, source: str = "") -> "Deferred[datetime]":
        """Check that a certificate may be renewed though it has ended; writes refusals alone.

        :return: fires with when it ended.

        Fails with ``tunnelcloud.domain.join_tokens.JoinRefused``: the certificate is no
        connector's or revoked, ended longer ago than the grace, or another one is in its place.
        """

    def renew_late(
        asked: LateRenewal, serial: str, not_after: datetime, source: str = ""
    ) -> "Deferred[Connector]":
        """Record a certificate in place of one that has ended, before it is handed out.

        :param serial: of the new one.

        Fails as ``check_late`` does, which may have been true a moment ago only.
        """

    def active_connectors(keys: Mapping[str, str]) -> "Deferred[Mapping[str, Connector]]":
        """Give connectors, without those that are gone or whose key has no good certificate.

        A renewal is for the same key, so that a link outlives the certificate it was made with.

        :param keys: the connector's id by the fingerprint of its key.
        :return: the connectors, by the same fingerprints.
        """

    def seen(
        versions: Mapping[str, str], at: datetime, authority: str | None = None
    ) -> "Deferred[None]":
        """Note that connectors are attached, and what software they run.

        :param versions: of the software, by the connectors' ids.
        :param authority: the pin of the CA whose certificate they use; None leaves it as it is.
        """
