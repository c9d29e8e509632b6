"""One-time links by which people set their password; the first administrator's among them."""

from __future__ import annotations

import os
from collections.abc import Callable

from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.domain.tokens import hash_secret, new_link_secret
from tunnelcloud.store import invitations, users
from tunnelcloud.store.engine import Store
from tunnelcloud.store.invitations import Invitation
from tunnelcloud.store.transaction import Transaction

LIFETIME_SECONDS = 72 * 60 * 60


class LinkIsOver(Exception):
    """The link is unknown, was used, or has expired."""


def first_administrator_link(
    store: Store, web_url: str, random: Callable[[int], bytes] = os.urandom
) -> str | None:
    """Make the one-time link for the first administrator; the one made before ends.

    :param web_url: where people reach the portal, without a slash at the end.
    :return: None when there is an administrator already.
    """
    secret = new_link_secret(random)

    def work(transaction: Transaction) -> bool:
        if users.count(transaction, role=Role.ADMIN):
            return False
        invitations.create(
            transaction,
            user_id=None,
            secret_hash=hash_secret(secret),
            lifetime_seconds=LIFETIME_SECONDS,
        )
        return True

    return f"{web_url}/invitation/{secret}" if store.write(work) else None


def invited(transaction: Transaction, secret: str) -> tuple[Invitation, User | None]:
    """Tell whom a link is for; None for the first administrator, who has no name yet.

    :raise LinkIsOver: the link was used, has expired, or is unknown.
    """
    invitation = invitations.peek(transaction, hash_secret(secret))
    if invitation is None:
        raise LinkIsOver
    if invitation.user_id is not None:
        user = users.get(transaction, invitation.user_id)
        if user.service:
            raise LinkIsOver
        return invitation, user
    if users.count(transaction, role=Role.ADMIN):
        raise LinkIsOver
    return invitation, None


def accept(transaction: Transaction, secret: str, name: str, hashed: str) -> User:
    """Use up a link, and set the password of the user it is for.

    :param name: the one that the first administrator chose.
    :param hashed: the password, in PHC form.
    :raise LinkIsOver: the link was used, has expired, or is unknown.
    :raise Conflict: the chosen name is somebody else's.
    """
    _, user = invited(transaction, secret)
    if invitations.redeem(transaction, hash_secret(secret)) is None:
        raise LinkIsOver
    if user is None:
        user = users.create(transaction, name=name, role=Role.ADMIN)
    return users.set_password(transaction, user.id, hashed)
