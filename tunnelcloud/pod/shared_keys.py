"""The keys that all pods share, as they are now: whoever uses them hears when they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.pki.authority_rotation import Authorities
from tunnelcloud.pki.host_keys import HostKeys
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.pod.shared_secrets import SharedSecrets, read_authorities, read_host_keys
from tunnelcloud.store import stored_secrets
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.transaction import Change, Resync

SHARED_KEYS_SECONDS = 60.0
"""Seconds between two reads of the keys: a notice, or the read after it, may have been lost."""

_log = Logger()


class SharedKeys:
    """Knows the shared keys from the start on, and reads them again when they are changed.

    :ivar host_keys: the SSH host keys.
    :ivar authorities: the CAs of pods and connectors.
    """

    def __init__(self, secrets: SharedSecrets, store: AsyncStore) -> None:
        self.host_keys: HostKeys = secrets.host_keys
        self.authorities: Authorities = secrets.authorities
        self._sealer = secrets.sealer
        self._store = store
        self._listeners: list[Callable[[], object]] = []
        self._kept: Mapping[str, bytes] | None = None
        self._looking = DeferredLock()

    def listen(self, listener: Callable[[], object]) -> None:
        """Call ``listener`` whenever a key is another one."""
        self._listeners.append(listener)

    def changed(self, change: Change | Resync) -> Deferred[None] | None:
        """Take a notice from the change feed."""
        if isinstance(change, Change) and change.kind != stored_secrets.SHARED_KEYS:
            return None
        return self.look()

    def look(self) -> Deferred[None]:
        """Read the keys and take them; one after the other, so that the newest is taken last."""
        reading: Deferred[None] = self._looking.run(self._read)
        return reading.addErrback(_failed)

    def _read(self) -> Deferred[None]:
        return self._store.read(stored_secrets.load_all).addCallback(self._take)

    def _take(self, kept: Mapping[str, bytes]) -> None:
        if kept == self._kept:
            return
        host_keys = read_host_keys(self._sealer, kept)
        authorities = read_authorities(self._sealer, kept)
        self._kept = kept
        is_same = pins(authorities) == pins(self.authorities)
        if host_keys == self.host_keys and is_same:
            return
        self.host_keys = host_keys
        if not is_same:
            # Whoever uses them tells by their identity whether they are others.
            self.authorities = authorities
        _log.info(
            "the SSH host keys of the pods are now {keys}, and their CAs {pins}",
            keys=", ".join(key.fingerprint for key in host_keys.current),
            pins=", ".join(pins(authorities)),
        )
        for listener in self._listeners:
            listener()


def pins(authorities: Authorities) -> list[str]:
    """Give the fingerprints of CAs, the newest first."""
    return [one.pin.hex() for one in authorities.all]


def _failed(failure: Failure) -> None:
    OUTAGES.tell(failure, "the keys that pods share can't be read again")
