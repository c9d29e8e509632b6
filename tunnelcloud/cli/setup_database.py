"""What ``tunnelcloud setup`` puts into the database before a pod's first start.

It is one transaction beside the keys that all pods share, which the first start would make.
"""

from __future__ import annotations

import os
import pwd
from datetime import datetime
from pathlib import Path

from attrs import field, frozen

from tunnelcloud.daemon import CannotServe
from tunnelcloud.domain import join_tokens
from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.domain.tokens import hash_secret, new_link_secret
from tunnelcloud.domain.totp import new_recovery_codes, read_recovery_code
from tunnelcloud.pki.sealing import Sealer
from tunnelcloud.pod.shared_secrets import SharedSecrets, take_shared_secrets
from tunnelcloud.settings import PodSettings
from tunnelcloud.store import connectors, invitations, second_factors, sites, users
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.transaction import Actor, Transaction
from tunnelcloud.web.portal.invitations import LIFETIME_SECONDS
from tunnelcloud.web.portal.passwords import hash_password
from tunnelcloud.web.portal.second_factor import purpose
from tunnelcloud.web.resources.context import DAY

_SALT_BYTES = 16


@frozen
class Proof:
    """A password, and a second factor whose code was right.

    :ivar step: the time step of that code, which serves no second time.
    """

    password: str = field(repr=False)
    secret: bytes = field(repr=False)
    step: int


@frozen
class Wanted:
    """The objects to create.

    :ivar proof: how the administrator signs in; None for a link that lets them choose.
    """

    administrator: str | None = None
    proof: Proof | None = None
    site: str | None = None
    connector: str | None = None

    @property
    def is_any(self) -> bool:
        """Whether there is anything to create."""
        return self.administrator is not None or self.site is not None


@frozen
class Made:
    """The result.

    :ivar notes: what was there already.
    :ivar link_secret: the secret of the link with which the administrator chooses a password.
    :ivar join_token: for a connector that hasn't joined.
    :ivar expires_at: when that one ends.
    """

    notes: tuple[str, ...] = ()
    link_secret: str | None = field(default=None, repr=False)
    recovery_codes: tuple[str, ...] = field(default=(), repr=False)
    join_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


def become_owner(directory: Path) -> None:
    """If root runs this, continue as the directory's owner: the pod couldn't read root's files."""
    try:
        found = directory.stat()
    except FileNotFoundError:
        return
    if os.geteuid() != 0 or found.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(found.st_uid).pw_name, found.st_gid)
    except KeyError:
        os.setgroups([found.st_gid])
    os.setgid(found.st_gid)
    os.setuid(found.st_uid)


def make(settings: PodSettings, wanted: Wanted) -> Made:
    """Create the objects that don't exist yet.

    :param settings: with a public address for connectors.
    :raise UNUSABLE: the state directory or the database can't be used, as SQLite's while a pod
        runs, or a name means something else.
    :raise CannotServe: the keys of this database can't be used.
    """
    directory = settings.state_directory
    if settings.database.sealing_key_file is None:
        become_owner(directory)  # It makes that key. Another one may be for root's eyes alone.
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = open_store(settings.database.url, directory, beside=settings.name)
    try:
        secrets = take_shared_secrets(store, directory, settings.database.sealing_key_file)
        if secrets.fault:
            raise CannotServe(secrets.fault)
        return store.acting(Actor("tunnelcloud setup")).write(_make, settings, secrets, wanted)
    finally:
        store.close()


def _make(
    transaction: Transaction, settings: PodSettings, secrets: SharedSecrets, wanted: Wanted
) -> Made:
    notes: list[str] = []
    link, codes = None, []
    if wanted.administrator is not None:
        if users.can_administer_now(transaction):
            notes.append("an administrator can sign in already: no other one was made")
        else:
            user = _administrator(transaction, wanted.administrator)
            if wanted.proof is None:
                link = _link(transaction, user)
            else:
                codes = _prove(transaction, secrets.sealer, user, wanted.proof)
    token, expires_at = None, None
    if wanted.site is not None and wanted.connector is not None:
        secret = os.urandom(join_tokens.SECRET_LENGTH)
        expires_at = _connector(transaction, wanted.site, wanted.connector, secret)
        if expires_at is None:
            notes.append(f"connector {wanted.connector} has joined already: it needs no token")
        else:
            address = settings.connectors.public_address
            assert address is not None
            pin = secrets.authorities.serving.pin
            token = join_tokens.JoinToken(address, pin, secret).encode()
    return Made(tuple(notes), link, tuple(codes), token, expires_at)


def _administrator(transaction: Transaction, name: str) -> User:
    user = users.find_login(transaction, name)
    if user is None:
        return users.create(transaction, name=name, role=Role.ADMIN)
    if user.service or user.blocked:
        raise Conflict("", f"{name} is a service account or blocked: name another administrator")
    return users.update(transaction, user.id, {"role": Role.ADMIN})


def _link(transaction: Transaction, user: User) -> str:
    secret = new_link_secret(os.urandom)
    invitations.create(
        transaction,
        user_id=user.id,
        secret_hash=hash_secret(secret),
        lifetime_seconds=LIFETIME_SECONDS,
    )
    return secret


def _prove(transaction: Transaction, sealer: Sealer, user: User, proof: Proof) -> list[str]:
    hashed = hash_password(proof.password, os.urandom(_SALT_BYTES))
    users.set_password(transaction, user.id, hashed)
    sealed = sealer.seal_for_all(proof.secret, purpose(user.id))
    second_factors.begin(transaction, user.id, sealed)
    codes = new_recovery_codes(os.urandom)
    hashes = [hash_secret(str(read_recovery_code(one))) for one in codes]
    second_factors.confirm(transaction, user.id, proof.step, hashes)
    return codes


def _connector(
    transaction: Transaction, site_name: str, name: str, secret: bytes
) -> datetime | None:
    """Create a connector in a site if it isn't there, and return when its join token expires.

    :return: None for one that has joined.
    """
    site = sites.SITES.find_named(transaction, site_name)
    if site is None:
        site = sites.create(transaction, name=site_name)
    connector = connectors.CONNECTORS.find_named(transaction, name)
    if connector is None:
        connector = connectors.create(transaction, name=name, site_id=site.id)
    elif connector.site_id != site.id:
        raise Conflict("", f"connector {name} is in another site: give --connector another name")
    if connector.joined_at is not None:
        return None
    return connectors.add_join_token(
        transaction,
        connector.id,
        secret_hash=join_tokens.hash_secret(secret),
        lifetime_seconds=DAY,
    ).expires_at
