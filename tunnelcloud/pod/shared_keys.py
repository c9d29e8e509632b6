"""The keys that all pods share, as they are now: whoever uses them hears when they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.pki import HostKeys
from tunnelcloud.pod.outages import OUTAGES
from tunnelcloud.pod.shared_secrets import SharedSecrets, read_host_keys
from tunnelcloud.store import authority
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.transaction import Change, Resync

_KIND = "shared_key"

_log = Logger()


class SharedKeys:
    """Knows the shared keys from the start on, and reads them again when they are changed.

    :ivar host_keys: the SSH host keys.
    """

    def __init__(self, secrets: SharedSecrets, store: AsyncStore) -> None:
        self.host_keys: HostKeys = secrets.host_keys
        self._sealer = secrets.sealer
        self._store = store
        self._listeners: list[Callable[[], object]] = []

    def listen(self, listener: Callable[[], object]) -> None:
        """Call ``listener`` whenever a key is another one."""
        self._listeners.append(listener)

    def changed(self, change: Change | Resync) -> Deferred[None] | None:
        """Take a notice from the change feed."""
        if isinstance(change, Change) and change.kind != _KIND:
            return None
        reading = self._store.read(authority.load_all).addCallback(self._take)
        return reading.addErrback(_failed)

    def _take(self, kept: Mapping[str, bytes]) -> None:
        host_keys = read_host_keys(self._sealer, kept)
        if host_keys == self.host_keys:
            return
        self.host_keys = host_keys
        _log.info(
            "the SSH host keys of the pods are now {keys}",
            keys=", ".join(key.fingerprint for key in host_keys.current),
        )
        for listener in self._listeners:
            listener()


def _failed(failure: Failure) -> None:
    OUTAGES.tell(failure, "the keys that pods share can't be read again")
