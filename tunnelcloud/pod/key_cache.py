"""A cache of registered keys, so that not every offered key costs a query.

Keys with an expiry aren't cached, since the database's clock judges that, nor are unknown keys,
since the owner may be about to register one.  An outdated entry lets nobody in: a login by a key is
verified in the transaction that writes its session.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.internet.defer import Deferred, succeed

from tunnelcloud.domain.entities import Key
from tunnelcloud.store import keys
from tunnelcloud.store.transaction import Change, Resync, Transaction

KEPT_AT_MOST = 10_000


@frozen
class Held:
    """A key that somebody registered, and whether it has expired."""

    key: Key
    expired: bool


def find_key(transaction: Transaction, blob: bytes) -> Held | None:
    """Find the key with exactly these bytes; None if nobody registered it."""
    key = keys.find_by_blob(transaction, blob)
    if key is None:
        return None
    return Held(key, key.expires_at is not None and key.expires_at <= transaction.now())


class KeyRing:
    """A cache of ``find_key``.

    :param find: asks the store.
    """

    def __init__(self, find: Callable[[bytes], Deferred[Held | None]]) -> None:
        self._find = find
        self._held: dict[bytes, Held] = {}
        self._generation = 0

    def get(self, blob: bytes) -> Deferred[Held | None]:
        """Find a key by its blob, as RFC 4253, 6.6 encodes it."""
        held = self._held.get(blob)
        if held is not None:
            return succeed(held)
        return self._find(blob).addCallback(self._keep, blob, self._generation)

    def changed(self, change: Change | Resync) -> None:
        """Forget a key that may have changed; deleting a user deletes their keys."""
        if isinstance(change, Resync):
            self._held.clear()
        elif change.decides and change.kind in ("key", "user"):
            of_user = change.kind == "user"
            for blob, held in tuple(self._held.items()):
                if change.id == (held.key.user_id if of_user else held.key.id):
                    del self._held[blob]
        else:
            return
        self._generation += 1

    def _keep(self, found: Held | None, blob: bytes, generation: int) -> Held | None:
        """Keep the result, unless keys have changed during the look-up."""
        if found is None or found.key.expires_at is not None or generation != self._generation:
            return found
        self._held[blob] = found
        if len(self._held) > KEPT_AT_MOST:
            del self._held[next(iter(self._held))]
        return found
