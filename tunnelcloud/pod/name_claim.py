"""How a pod takes its name among those that share its database, before it serves.  Blocks.

A pod that was killed and starts again proves by its state directory that the process of before is
dead, and has its place at once.  Any other pod that finds its name in use looks on for a while:
who is alive renews the lease, and keeps the name.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from tunnelcloud.daemon import CannotServe
from tunnelcloud.pod.cluster import BEAT_SECONDS, Seat
from tunnelcloud.private_files import hold_file
from tunnelcloud.store import pods
from tunnelcloud.store.engine import Store
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.pods import NameInUse, Registration

HOME_FILE = "pod.lock"
WATCH_SECONDS = 2.5 * BEAT_SECONDS
_LOOK_SECONDS = 0.5
_BYTES = 16


def take_home(directory: Path) -> str:
    """Keep other processes out of a state directory, as long as this one lives.

    :return: what names the directory; a copy of it has another name.
    :raise CannotServe: another process has it.
    :raise OSError: it can't be used.
    """
    lock = hold_file(directory / HOME_FILE)
    if lock is None:
        raise CannotServe(
            f"{directory} is in use by another pod: give each its own state_directory"
        )
    token = os.read(lock, _BYTES)
    if len(token) != _BYTES:
        token = os.urandom(_BYTES)
        os.pwrite(lock, token, 0)
        os.fsync(lock)
    found = os.fstat(lock)
    place = f"{found.st_dev} {found.st_ino}".encode("ascii")
    return hashlib.sha256(token + place).hexdigest()[:32]


def take_seat(
    store: Store,
    registration: Registration,
    *,
    shared: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> Seat:
    """Register a pod, with a new incarnation.

    :param shared: whether other pods may use the database.
    :raise CannotServe: a living pod has the name.
    :raise StoreError: the database can't be used.
    """
    mine = evolve(registration, incarnation=os.urandom(_BYTES).hex())
    try:
        pod = store.write(pods.register, mine, shared=shared)
    except NameInUse as error:
        if _is_renewed(store, error.holder.id, error.holder.leased_until, sleep):
            raise CannotServe(str(error)) from None
        pod = store.write(pods.register, mine, shared=shared, instead_of=error.holder.incarnation)
    return Seat(pod.id, mine)


def _is_renewed(store: Store, pod_id: str, before: object, sleep: Callable[[float], None]) -> bool:
    for _ in range(int(WATCH_SECONDS / _LOOK_SECONDS)):
        sleep(_LOOK_SECONDS)
        try:
            pod = store.read(pods.get, pod_id)
        except NotFound:
            return False
        if pod.stopped_at is not None:
            return False
        if pod.leased_until != before:
            return True
    return False
