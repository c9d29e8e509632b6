"""Prepares a pod before it serves: state directory, store, CA, host keys, first token.

Runs before the reactor does, so it may block; each fault is one line that says what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import frozen
from twisted.logger import Logger

from tunnelcloud import __version__
from tunnelcloud.daemon import CannotServe
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pki.host_keys import HostKey
from tunnelcloud.pki.sealing import Sealer
from tunnelcloud.pod import admin_token
from tunnelcloud.pod.audit_log import write_audit_lines
from tunnelcloud.pod.cluster import Seat
from tunnelcloud.pod.name_claim import take_home, take_seat
from tunnelcloud.pod.shared_secrets import UNUSABLE, SharedSecrets, take_shared_secrets
from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile, check_private
from tunnelcloud.settings import PodSettings
from tunnelcloud.settings_files import BadSettings
from tunnelcloud.sinks.sinks import Sinks, make_sinks
from tunnelcloud.store.engine import Store, open_store
from tunnelcloud.store.errors import StoreError
from tunnelcloud.store.migration_in_child import migrate_in_child
from tunnelcloud.store.pods import Registration
from tunnelcloud.store.sqlite_files import FILE_NAME

_log = Logger()


@frozen
class Foundation:
    """The parts that a pod's services are built upon."""

    settings: PodSettings
    store: Store
    secrets: SharedSecrets
    seat: Seat
    ssh_address: PublicAddress
    connectors_address: PublicAddress
    sinks: Sinks

    @property
    def authority(self) -> CertificateAuthority:
        """The CA of all pods, as it was at the start."""
        return self.secrets.authorities.serving

    @property
    def host_keys(self) -> tuple[HostKey, ...]:
        """The SSH host keys of all pods, as they were at the start."""
        return self.secrets.host_keys.current

    @property
    def sealer(self) -> Sealer:
        """Encrypts secrets that all pods can decrypt."""
        return self.secrets.sealer

    @property
    def database_file(self) -> Path | None:
        """SQLite's file; None for a database server."""
        if self.settings.database.url != "sqlite":
            return None
        return self.settings.state_directory / FILE_NAME


def lay_foundation(
    settings: PodSettings, listening: Callable[[str], int], own_host: str
) -> Foundation:
    """Create or open everything that a pod needs.

    :param listening: gives the port that the first listener of a section (``"ssh"``,
        ``"connectors"``) took, for addresses that aren't set.
    :param own_host: the host of such an address.
    :raise CannotServe: with a line that says what is wrong and what to do.
    """
    directory = settings.state_directory
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(directory / admin_token.FILE_NAME)
        home = take_home(directory)
        sinks = make_sinks(settings.audit, settings.notify, directory)
    except OSError as error:
        why = error.strerror or str(error)
        raise CannotServe(
            f"{directory}: can't be used as state_directory: {why}; name a directory that the "
            "pod's user may make or write, with state_directory in pod.toml or --state"
        ) from None
    except (BadSettings, ExposedPrivateFile, UnreadablePrivateFile) as error:
        raise CannotServe(str(error)) from None
    ssh_address = settings.ssh.public_address or PublicAddress(own_host, listening("ssh"))
    connectors_address = settings.connectors.public_address or PublicAddress(
        own_host, listening("connectors")
    )
    try:
        migrate_in_child(settings.database.url, directory, _say_upgrading)
        store = open_store(settings.database.url, directory, beside=settings.name)
    except StoreError as error:
        raise CannotServe(str(error)) from None
    store.listen(write_audit_lines)
    store.listen(lambda committed: sinks.add(committed.records))
    try:
        store.check()
        secrets = take_shared_secrets(store, directory, settings.database.sealing_key_file)
        if secrets.fault:
            _log.warn(
                "{fault}. Until then second factors and sign-in providers don't work here, and "
                "this pod isn't ready.",
                fault=secrets.fault,
            )
        registration = Registration(
            name=settings.name,
            version=__version__,
            ssh_address=str(ssh_address),
            connectors_address=str(connectors_address),
            home=home,
        )
        seat = take_seat(store, registration, shared=settings.database.url != "sqlite")
        admin_token.ensure(store, directory)
    except UNUSABLE as error:
        store.close()
        raise CannotServe(str(error)) from None
    except CannotServe:
        store.close()
        raise
    return Foundation(
        settings=settings,
        store=store,
        secrets=secrets,
        seat=seat,
        ssh_address=ssh_address,
        connectors_address=connectors_address,
        sinks=sinks,
    )


def _say_upgrading() -> None:
    _log.info(
        "Upgrading the database to this version: up to a minute for each million channels on record"
    )
