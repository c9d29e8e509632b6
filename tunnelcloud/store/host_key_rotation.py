"""Host keys that take each other's place, step by step, so that clients learn the new ones first.

What is kept is sealed, and bound to the name under which it stands: who may open it gives it
another name.  Steps that contradict what is there are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from sqlalchemy import delete

from tunnelcloud.domain.key_rotation import HOST_KEYS, KeyUse, host_key_name
from tunnelcloud.store import pods, stored_secrets
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import authority as table
from tunnelcloud.store.stored_secrets import Rename
from tunnelcloud.store.transaction import Transaction


def add_host_keys(
    transaction: Transaction, made: Mapping[str, bytes], shown: Collection[str], *, version: str
) -> None:
    """Keep new host keys beside the current ones.

    :param made: the new keys by their algorithms, sealed.
    :param shown: their fingerprints, for the audit.
    :param version: the program's.
    :raise Conflict: a change of host keys is under way, or a pod runs another version.
    """
    under_way = Conflict(
        "", "host keys are being changed already: `tunnelcloud host-key list` shows how far"
    )
    kept = _held(transaction)
    if _with(kept, KeyUse.NEW) or _with(kept, KeyUse.OLD):
        raise under_way
    pods.refuse_other_versions(transaction, version)
    for algorithm, content in made.items():
        # Another pod's were perhaps added while this transaction waited: it hasn't read those.
        name = host_key_name(algorithm, KeyUse.NEW)
        if stored_secrets.keep_first(transaction, name, content) != content:
            raise under_way
    _tell(transaction, "host_key.created", shown)


def promote_host_keys(
    transaction: Transaction, rename: Rename, shown: Callable[[bytes, str], str], *, version: str
) -> None:
    """Have pods use the new host keys; clients still hear of the old ones too.

    :param shown: gives the fingerprint of what is kept under a name.
    :raise Conflict: there are no new ones, or a pod runs another version.
    """
    kept = _held(transaction)
    new = _with(kept, KeyUse.NEW)
    if not new:
        raise Conflict(
            "", "there are no new host keys: make some with `tunnelcloud host-key rotate`"
        )
    pods.refuse_other_versions(transaction, version)
    fingerprints = []
    for algorithm in new:
        names = {use: host_key_name(algorithm, use) for use in KeyUse}
        current, coming = names[KeyUse.CURRENT], names[KeyUse.NEW]
        fingerprints.append(shown(kept[coming], coming))
        old = rename(kept[current], current, names[KeyUse.OLD])
        stored_secrets.keep_first(transaction, names[KeyUse.OLD], old)
        stored_secrets.replace(transaction, current, rename(kept[coming], coming, current))
    _forget(transaction, new, KeyUse.NEW)
    _tell(transaction, "host_key.promoted", fingerprints)


def remove_host_keys(transaction: Transaction, shown: Callable[[bytes, str], str]) -> None:
    """Forget the old host keys, or new ones that were never used.

    :param shown: gives the fingerprint of what is kept under a name.
    :raise Conflict: there are only the current ones.
    """
    kept = _held(transaction)
    use = KeyUse.NEW if _with(kept, KeyUse.NEW) else KeyUse.OLD
    gone = _with(kept, use)
    if not gone:
        raise Conflict("", "there are no host keys but the current ones")
    names = [host_key_name(algorithm, use) for algorithm in gone]
    fingerprints = [shown(kept[name], name) for name in names]
    _forget(transaction, gone, use)
    _tell(transaction, "host_key.deleted", fingerprints)


def _held(transaction: Transaction) -> dict[str, bytes]:
    """Return all stored host keys, locked against other changes."""
    kept = stored_secrets.lock_all(transaction)
    return {name: content for name, content in kept.items() if name.startswith(HOST_KEYS)}


def _with(kept: Mapping[str, bytes], use: KeyUse) -> list[str]:
    """Name the algorithms that have a key of a use."""
    current = [name.removeprefix(HOST_KEYS) for name in kept if " " not in name[len(HOST_KEYS) :]]
    return [algorithm for algorithm in current if host_key_name(algorithm, use) in kept]


def _forget(transaction: Transaction, algorithms: Collection[str], use: KeyUse) -> None:
    names = [host_key_name(algorithm, use) for algorithm in algorithms]
    transaction.connection.execute(delete(table).where(table.c.name.in_(names)))


def _tell(transaction: Transaction, event: str, fingerprints: Collection[str]) -> None:
    stored_secrets.tell(transaction, event, {"fingerprints": list(fingerprints)})
