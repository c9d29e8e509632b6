"""The checks of ``tunnelcloud doctor`` on a pod's machine, whether the pod runs or not."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen
from sqlalchemy import Connection, func, select

from tunnelcloud.cli.client import Api, Failed
from tunnelcloud.cli.output import one_line
from tunnelcloud.config import CannotStart
from tunnelcloud.domain.addresses import is_loopback
from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.link.tls import JOIN_ALPN
from tunnelcloud.net.clocks import clock_findings
from tunnelcloud.net.findings import (
    Finding,
    NoAnswer,
    bad,
    good,
    resolve,
    shown_certificate,
    ssh_greeting,
    warning,
)
from tunnelcloud.pki import (
    SEALING_KEY_FILE,
    Authorities,
    BadAuthority,
    BadSealingKey,
    CannotUnseal,
    ExposedPrivateFile,
    UnreadablePrivateFile,
    load_sealer,
)
from tunnelcloud.pod.ending import WARN_BEFORE
from tunnelcloud.pod.shared_secrets import read_authorities
from tunnelcloud.pod.web_certificate import WebCertificate
from tunnelcloud.settings import PodSettings
from tunnelcloud.store import schema
from tunnelcloud.store.errors import StateUnusable
from tunnelcloud.store.migrate import LEASE_SECONDS
from tunnelcloud.store.snapshots import snapshot
from tunnelcloud.store.sqlite_files import FILE_NAME

_DAY = "%Y-%m-%d"
_GIB = 1024**3
_LITTLE_SPACE = _GIB
_NO_SPACE = 100 * 1024**2
_APART = 2.0
"""Two clocks may be so many seconds apart: decisions are made by both."""


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
        """Tell whether a pod was heard of lately."""
        now = datetime.now(UTC) + timedelta(seconds=self.ahead)
        return name in self.seen and now - self.seen[name] < timedelta(seconds=LEASE_SECONDS)


def examine_pod(settings: PodSettings) -> Iterator[Finding]:
    """Look at one thing after the other that a pod with these settings needs."""
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
    authorities = None
    if kept is not None and kept.blobs:
        found: list[Authorities] = []
        yield from _keys(settings, kept, found.append)
        authorities = found[0] if found else None
    yield from _web_certificate(settings)
    runs = kept is not None and kept.runs(settings.name)
    yield from _public(settings, authorities, runs)


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


def _keys(
    settings: PodSettings, kept: Kept, found: Callable[[Authorities], object]
) -> Iterator[Finding]:
    path = settings.database.sealing_key_file or settings.state_directory / SEALING_KEY_FILE
    try:
        authorities = read_authorities(load_sealer(path), kept.blobs)
    except KeyError:
        yield warning("keys", "the database has none yet: the pod makes them when it starts first")
        return
    except FileNotFoundError:
        yield bad("keys", f"{path} isn't there: copy it from another pod of this database")
        return
    except CannotUnseal:
        yield bad("keys", f"{path} doesn't open the database's keys: it is another database's")
        return
    except (BadAuthority, BadSealingKey, ExposedPrivateFile, UnreadablePrivateFile) as error:
        yield bad("keys", str(error))
        return
    except OSError as error:
        yield bad("keys", f"{path} can't be read: {error.strerror}; run this as the pod's user")
        return
    ends = authorities.all[0].certificate.not_valid_after_utc
    if ends - datetime.now(UTC) < WARN_BEFORE:
        yield warning("keys", f"the CA ends on {ends:{_DAY}}: `tunnelcloud authority rotate`")
    else:
        yield good("keys", f"the sealing key opens them; the CA is good until {ends:{_DAY}}")
    found(authorities)


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


def _public(
    settings: PodSettings, authorities: Authorities | None, runs: bool
) -> Iterator[Finding]:
    def tried(what: str, look: Callable[[], str]) -> Finding:
        try:
            return good(what, look())
        except NoAnswer as why:
            if not runs:
                return warning(what, f"{why}; try again while the pod runs")
            return bad(
                what,
                f"{why}. If it works from elsewhere, only this machine's own way out and in again "
                "is closed; else look at DNS, firewall and port forwarding",
            )

    name = "ssh.public_address"
    if settings.ssh.public_address is None:
        yield _unset(name)
    else:
        ssh_address = settings.ssh.public_address
        yield tried(name, lambda: _reached(ssh_address, ssh_greeting(ssh_address)))
    name = "connectors.public_address"
    if settings.connectors.public_address is None:
        yield _unset(name)
    else:
        address = settings.connectors.public_address
        yield tried(name, lambda: _reached(address, _own(address, authorities)))
    url = settings.web.public_url
    if url is None:
        yield warning("web.public_url", "isn't set: links in mails and commands name this machine")
        return
    host = urlsplit(url).hostname or ""
    if not url.startswith("https:") and not is_loopback(host):
        yield warning("web.public_url", f"{url} has no TLS: passwords can be read on the way")
    yield tried("web.public_url", lambda: _ready(url))


def _unset(name: str) -> Finding:
    host = socket.getfqdn()
    return warning(name, f"isn't set: others are told {host}, this machine's own name")


def _reached(address: PublicAddress, said: str) -> str:
    return f"{address} ({', '.join(resolve(address.host))}) answers: {said}"


def _own(address: PublicAddress, authorities: Authorities | None) -> str:
    shown = shown_certificate(address, JOIN_ALPN)
    if authorities is not None and authorities.issuer_of(shown) is None:
        raise NoAnswer(
            f"{address} shows a certificate that isn't of this database's CA (issued by "
            f"{shown.issuer.rfc4514_string()}): another server answers there, or something "
            "between opens TLS"
        )
    return "a pod of this database" if authorities is not None else "TLS"


def _ready(url: str) -> str:
    api = Api(url, None)
    try:
        return f"{url} answers: {one_line(api.text('/readyz'))}"
    except Failed as error:
        raise NoAnswer(str(error)) from None
    finally:
        api.close()
