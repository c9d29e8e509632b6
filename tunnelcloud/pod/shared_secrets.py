"""The secrets that make pods one service: the sealing key, and what it seals in the database.

The database has the CA and the SSH host keys, sealed; only the sealing key is a file of each pod's
machine.  Versions before this one kept the CA and the host keys unsealed: they are sealed once no
pod of such a version lives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve, frozen

from tunnelcloud import __version__
from tunnelcloud.daemon import CannotServe
from tunnelcloud.domain.key_rotation import AUTHORITY, NEW_AUTHORITY, KeyUse, host_key_name
from tunnelcloud.pki.authority import BadAuthority, CertificateAuthority, load_or_make_authority
from tunnelcloud.pki.authority_rotation import Authorities
from tunnelcloud.pki.host_keys import (
    ALGORITHMS,
    BadHostKey,
    HostKey,
    HostKeys,
    load_or_make_host_key,
)
from tunnelcloud.pki.sealing import (
    SEALING_KEY_FILE,
    BadSealingKey,
    CannotUnseal,
    Sealer,
    is_sealed,
    load_sealer,
    make_sealer_file,
)
from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile
from tunnelcloud.store import pods, stored_secrets
from tunnelcloud.store.engine import Store
from tunnelcloud.store.errors import StoreError
from tunnelcloud.store.transaction import Transaction

UNUSABLE = (
    StoreError,
    OSError,
    BadAuthority,
    BadHostKey,
    BadSealingKey,
    ExposedPrivateFile,
    UnreadablePrivateFile,
)
"""What is raised, beside ``CannotServe``, where the secrets can't be had."""

_MARK = "sealing key mark"
_COPY = "copy sealing.key of another pod of this database to {file}, or restore it, and start again"


@frozen
class SharedSecrets:
    """What all pods of a database have alike.

    :ivar fault: why this pod doesn't serve all it should; empty where it does.
    """

    sealer: Sealer
    authorities: Authorities
    host_keys: HostKeys
    fault: str = ""

    def why_not_ready(self) -> str | None:
        """Say why this pod isn't ready; None where it is."""
        return self.fault or None


def take_shared_secrets(store: Store, directory: Path, key_file: Path | None) -> SharedSecrets:
    """Read the secrets that pods share; the first pod makes them.

    :param directory: the state directory.
    :param key_file: the sealing key's file, where it isn't in the state directory.
    :raise CannotServe: the sealing key is missing, or doesn't open them.
    :raise UNUSABLE: a file can't be used, or the database.
    """
    path = key_file or directory / SEALING_KEY_FILE
    sealer = _sealer(store, path, is_ours=key_file is None)

    def shared(name: str, make: Callable[[], bytes]) -> bytes:
        return _shared(store, sealer, path, name, make)

    def host_key(name: str) -> bytes:
        return shared(
            host_key_name(name, KeyUse.CURRENT),
            lambda: load_or_make_host_key(directory, name).private_key,
        )

    now = datetime.now(UTC)
    shared(AUTHORITY, lambda: load_or_make_authority(directory, now).to_pem())
    for name in ALGORITHMS:
        host_key(name)
    fault = "" if sealer.is_shared else f"another sealing key: {_COPY.format(file=path)}"
    kept = store.read(stored_secrets.load_all)
    return SharedSecrets(
        sealer, read_authorities(sealer, kept), read_host_keys(sealer, kept), fault
    )


def read_authorities(sealer: Sealer, kept: Mapping[str, bytes]) -> Authorities:
    """Read the CA, and the one that takes its place if there is one.

    :param kept: what the database keeps, by name.
    :raise CannotUnseal, BadAuthority: something can't be read.
    """

    def read(name: str) -> CertificateAuthority:
        return CertificateAuthority.from_pem(sealer.take(kept[name], name))

    new = read(NEW_AUTHORITY) if NEW_AUTHORITY in kept else None
    return Authorities(read(AUTHORITY), new)


def read_host_keys(sealer: Sealer, kept: Mapping[str, bytes]) -> HostKeys:
    """Read the host keys of all uses.

    :param kept: what the database keeps, by name.
    :raise CannotUnseal, BadHostKey: something can't be read.
    """

    def keys(use: KeyUse) -> tuple[HostKey, ...]:
        names = [host_key_name(algorithm, use) for algorithm in ALGORITHMS]
        found = (sealer.take(kept[name], name) for name in names if name in kept)
        return tuple(map(HostKey.from_openssh, found))

    return HostKeys(keys(KeyUse.CURRENT), keys(KeyUse.NEW), keys(KeyUse.OLD))


def _sealer(store: Store, path: Path, *, is_ours: bool) -> Sealer:
    """Take the sealing key, and make it for a database that has none yet."""
    kept = store.read(stored_secrets.load, _MARK)
    is_new = False
    try:
        sealer = load_sealer(path)
    except FileNotFoundError:
        if kept is not None:
            raise CannotServe(f"the sealing key is missing: {_COPY.format(file=path)}") from None
        if not is_ours:
            raise CannotServe(
                f"{path} isn't there: make it with "
                f"`(umask 077; head -c 32 /dev/urandom > {path})`, for all pods of this database"
            ) from None
        make_sealer_file(path)
        is_new = True
        sealer = load_sealer(path)
    if store.write(stored_secrets.keep_first, _MARK, sealer.mark) == sealer.mark:
        return sealer
    if is_new:
        # Another pod was first, a moment ago: this key seals nothing.
        path.unlink()
        raise CannotServe(f"the sealing key is missing: {_COPY.format(file=path)}")
    return evolve(sealer, is_shared=False)


def _shared(
    store: Store, sealer: Sealer, path: Path, name: str, make: Callable[[], bytes]
) -> bytes:
    kept = store.read(stored_secrets.load, name)
    if kept is None:
        if not sealer.is_shared:
            raise CannotServe(f"{path} is another database's: {_COPY.format(file=path)}")
        kept = store.write(stored_secrets.keep_first, name, sealer.keep(make(), name))
    if sealer.is_shared and not is_sealed(kept):
        store.write(_seal_now, name, sealer.keep(kept, name))
    try:
        return sealer.take(kept, name)
    except CannotUnseal:
        raise CannotServe(
            f"{path} doesn't open the secrets of this database: {_COPY.format(file=path)}"
        ) from None


def _seal_now(transaction: Transaction, name: str, sealed: bytes) -> None:
    """Replace what is kept unsealed, once no pod lives that can't read it sealed."""
    if all(one.version == __version__ for one in pods.alive(transaction)):
        stored_secrets.replace(transaction, name, sealed)
