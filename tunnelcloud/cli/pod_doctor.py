"""The checks of ``tunnelcloud doctor`` on a pod's machine, whether the pod runs or not."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection, func, select

from tunnelcloud.cli.public_addresses import address_findings
from tunnelcloud.net.clock_check import clock_findings
from tunnelcloud.net.doctor_findings import Finding, bad, good, warning
from tunnelcloud.pki.authority import BadAuthority
from tunnelcloud.pki.authority_rotation import Authorities
from tunnelcloud.pki.host_keys import BadHostKey, HostKeys
from tunnelcloud.pki.sealing import SEALING_KEY_FILE, BadSealingKey, CannotUnseal, load_sealer
from tunnelcloud.pod.certificate_expiry import WARN_BEFORE
from tunnelcloud.pod.shared_secrets import read_authorities, read_host_keys
from tunnelcloud.pod.web_certificate import WebCertificate
from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile
from tunnelcloud.settings import PodSettings
from tunnelcloud.settings_files import CannotStart
from tunnelcloud.store import schema
from tunnelcloud.store.errors import StateUnusable
from tunnelcloud.store.migrate import LEASE_SECONDS
from tunnelcloud.store.snapshots import snapshot
from tunnelcloud.store.sqlite_files import FILE_NAME

_UNUSABLE = (
    BadAuthority,
    BadHostKey,
    BadSealingKey,
    ExposedPrivateFile,
    UnreadablePrivateFile,
)
_DAY = "%Y-%m-%d"
_GIB = 1024**3
_LITTLE_SPACE = _GIB
_NO_SPACE = 100 * 1024**2
_APART = 2.0
"""Seconds by which two clocks may differ: certificates go by one, permissions by the other."""


@frozen
class Kept:
    """What the database says.

    :ivar seen: when each pod was heard of, by name; without those that stopped in order.
    :ivar blobs: what pods share, sealed, by name.
    :ivar answered: after how many seconds it had answered.
    :ivar ahead: by how many seconds its clock is before this machine's; 0 for a file.
    """

    seen: Mapping[str, datetime]
    blobs: Mapping[str, bytes] = field(repr=False)
    answered: float
    ahead: float

    def runs(self, name: str) -> bool:
        """Tell whether a pod was heard of recently."""
        now = datetime.now(UTC) + timedelta(seconds=self.ahead)
        return name in self.seen and now - self.seen[name] < timedelta(seconds=LEASE_SECONDS)


@frozen
class Proofs:
    """What the pods of a database prove themselves with: to connectors, and to SSH clients."""

    authorities: Authorities
    host_keys: HostKeys


def examine_pod(settings: PodSettings) -> Iterator[Finding]:
    """Check what a pod with these settings needs, one thing after the other."""
    yield from _directory(settings.state_directory)
    kept = None
    if settings.database.url == "sqlite" and not (settings.state_directory / FILE_NAME).exists():
        yield warning("database", "there is none yet: the pod makes it when it starts first")
    else:
        try:
            kept = read_database(settings)
        except StateUnusable as error:
            yield bad("database", str(error))
        else:
            yield from _database(settings, kept)
    yield from clock_findings()
    found: list[Proofs] = []
    if kept is not None and kept.blobs:
        yield from key_findings(settings, kept, found.append)
    yield from _web_certificate(settings)
    yield from _audit_file(settings.audit.file.path)
    runs = kept is not None and kept.runs(settings.name)
    authorities = found[0].authorities if found else None
    host_keys = found[0].host_keys if found else None
    yield from address_findings(settings, authorities, host_keys, runs)


def read_database(settings: PodSettings) -> Kept:
    """Read what matters here; pods may go on meanwhile.

    :raise StateUnusable: it can't be read, or is another version's.
    """
    began = time.monotonic()
    with snapshot(settings.database.url, settings.state_directory) as connection:
        pods, shared = schema.pods.c, schema.authority.c
        alive = select(pods.name, pods.last_seen_at).where(pods.stopped_at.is_(None))
        seen = {row.name: row.last_seen_at for row in connection.execute(alive)}
        rows = connection.execute(select(shared.name, shared.content))
        blobs = {row.name: row.content for row in rows}
        answered = time.monotonic() - began
        return Kept(seen, blobs, answered, _ahead(connection))


def proofs_in(settings: PodSettings, kept: Kept) -> Proofs | None:
    """Give the keys of the pods that share a database; None if there are none that can be read."""
    found: list[Proofs] = []
    for _ in key_findings(settings, kept, found.append):
        pass
    return found[0] if found else None


def _ahead(connection: Connection) -> float:
    if connection.dialect.name == "sqlite":
        return 0.0
    theirs: Any = connection.execute(select(func.clock_timestamp())).scalar_one()
    return float((theirs - datetime.now(UTC)).total_seconds())


def _directory(directory: Path) -> Iterator[Finding]:
    try:
        owner = directory.stat().st_uid
    except FileNotFoundError:
        yield warning("state_directory", f"{directory} isn't there: the first start makes it")
        return
    except OSError as error:
        yield bad("state_directory", f"{directory}: {error.strerror}; run this as the pod's user")
        return
    if os.geteuid() not in (0, owner):
        yield bad("state_directory", f"{directory} is another user's: run this as the pod's user")
        return
    free = shutil.disk_usage(directory).free
    text = f"{directory} has {free / _GIB:.1f} GiB of free space"
    if free < _NO_SPACE:
        yield bad("state_directory", f"{text}: the pod soon takes no logins; make room")
    elif free < _LITTLE_SPACE:
        yield warning("state_directory", f"{text}: make room")
    else:
        yield good("state_directory", text)


def _database(settings: PodSettings, kept: Kept) -> Iterator[Finding]:
    kind = "SQLite" if settings.database.url == "sqlite" else "PostgreSQL"
    yield good("database", f"{kind} answers in {kept.answered * 1000:.0f} ms")
    if abs(kept.ahead) > _APART:
        yield bad(
            "clocks",
            f"the database's clock is {abs(kept.ahead):.0f} s "
            f"{'before' if kept.ahead > 0 else 'behind'} this machine's: have both keep time "
            "(chrony or systemd-timesyncd)",
        )
    others = sorted(name for name in kept.seen if kept.runs(name) and name != settings.name)
    beside = f"; so do {', '.join(others)}" if others else ""
    if kept.runs(settings.name):
        yield good("pod", f"{settings.name} runs{beside}")
    else:
        beside = f"; {', '.join(others)} run" if others else ""
        yield warning("pod", f"{settings.name} doesn't run now{beside}")


def key_findings(
    settings: PodSettings, kept: Kept, found: Callable[[Proofs], object]
) -> Iterator[Finding]:
    """Look whether this pod can read the keys that all pods share.

    :param found: called with them if it can.
    """
    path = settings.database.sealing_key_file or settings.state_directory / SEALING_KEY_FILE
    try:
        sealer = load_sealer(path)
        proofs = Proofs(read_authorities(sealer, kept.blobs), read_host_keys(sealer, kept.blobs))
    except KeyError:
        yield warning("keys", "the database has none yet: the pod makes them when it starts first")
        return
    except FileNotFoundError:
        yield bad("keys", f"{path} isn't there: copy it from another pod of this database")
        return
    except CannotUnseal:
        yield bad("keys", f"{path} doesn't open the database's keys: it is another database's")
        return
    except _UNUSABLE as error:
        yield bad("keys", str(error))
        return
    except OSError as error:
        yield bad("keys", f"{path} can't be read: {error.strerror}; run this as the pod's user")
        return
    ends = proofs.authorities.all[0].certificate.not_valid_after_utc
    if ends - datetime.now(UTC) < WARN_BEFORE:
        yield warning("keys", f"the CA ends on {ends:{_DAY}}: `tunnelcloud authority rotate`")
    else:
        yield good("keys", f"the sealing key opens them; the CA is good until {ends:{_DAY}}")
    found(proofs)


def _web_certificate(settings: PodSettings) -> Iterator[Finding]:
    try:
        certificate = WebCertificate.of(settings.web)
    except CannotStart as error:
        yield bad("web.certificate", str(error))
        return
    if certificate is None or certificate.ends_at is None:
        return
    ends = certificate.ends_at
    text = f"is good until {ends:{_DAY}}"
    left = ends - datetime.now(UTC)
    if left < timedelta(0):
        yield bad("web.certificate", f"ended on {ends:{_DAY}}: renew it, then reload the pod")
    elif left < timedelta(days=14):
        yield warning("web.certificate", f"{text}: renew it, then reload the pod")
    else:
        yield good("web.certificate", text)


def _audit_file(path: Path | None) -> Iterator[Finding]:
    if path is None:
        return
    try:
        if path.exists() and not path.is_file():
            yield bad("audit.file", f"{path} is no file: name another path")
            return
        free = shutil.disk_usage(path.parent).free
    except FileNotFoundError:
        yield bad("audit.file", f"{path.parent} isn't there: make it, for the pod's user to write")
        return
    except OSError as error:
        yield bad("audit.file", f"{path}: {error.strerror}")
        return
    text = f"{path.parent} has {free / _GIB:.1f} GiB of free space"
    yield (warning if free < _NO_SPACE else good)("audit.file", text)
