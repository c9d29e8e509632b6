"""What cred asks before it makes a session: whose credential is this?

The answer to a good one, cred's avatar id, is the id of the session that the same transaction
wrote.  Only a verified signature, a spent token or a confirmation in a browser leads to an id.
"""

from attrs import field, frozen
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials
from twisted.internet.defer import Deferred, fail
from zope.interface import Attribute, implementer

from tunnelcloud.ssh.interfaces import BrowserOffer, IAccess, LoginAttempt, LoginRefused
from tunnelcloud.ssh.signatures import verify


class IKeyCredentials(ICredentials):
    """A signed login request."""

    attempt = Attribute("The ``LoginAttempt``.")
    algorithm = Attribute("The signature algorithm's name.")
    key_blob = Attribute("The public key, as RFC 4253, 6.6 encodes it.")
    data = Attribute("What was signed.")
    signature = Attribute("The signature's blob.")


class ITokenCredentials(ICredentials):
    """A one-time token."""

    attempt = Attribute("The ``LoginAttempt``.")
    token = Attribute("The token as text.")


class IBrowserCredentials(ICredentials):
    """A login that somebody may have confirmed in a browser."""

    attempt = Attribute("The ``LoginAttempt``.")
    offer = Attribute("The ``BrowserOffer`` that the connection got.")


@implementer(IBrowserCredentials)
@frozen
class BrowserCredentials:
    """See ``IBrowserCredentials``."""

    attempt: LoginAttempt
    offer: BrowserOffer


@implementer(IKeyCredentials)
@frozen
class KeyCredentials:
    """See ``IKeyCredentials``."""

    attempt: LoginAttempt
    algorithm: bytes
    key_blob: bytes
    data: bytes
    signature: bytes


@implementer(ITokenCredentials)
@frozen
class TokenCredentials:
    """See ``ITokenCredentials``."""

    attempt: LoginAttempt
    token: str = field(repr=False)


@implementer(ICredentialsChecker)
class KeyChecker:
    """Lets in clients that can sign with a key that opens something."""

    credentialInterfaces = (IKeyCredentials,)

    def __init__(self, access: IAccess) -> None:
        self._access = access

    def requestAvatarId(self, credentials: KeyCredentials) -> "Deferred[str]":  # type: ignore[override]
        """Verify the signature, then the login."""
        if not verify(
            credentials.algorithm, credentials.key_blob, credentials.signature, credentials.data
        ):
            self._access.login_failed(credentials.attempt, "key", "bad signature")
            return fail(LoginRefused())
        return self._access.login_with_key(credentials.attempt, credentials.key_blob)


@implementer(ICredentialsChecker)
class TokenChecker:
    """Lets in clients that have a one-time token."""

    credentialInterfaces = (ITokenCredentials,)

    def __init__(self, access: IAccess) -> None:
        self._access = access

    def requestAvatarId(self, credentials: TokenCredentials) -> "Deferred[str]":  # type: ignore[override]
        """Verify and spend the token."""
        return self._access.login_with_token(credentials.attempt, credentials.token)


@implementer(ICredentialsChecker)
class BrowserChecker:
    """Lets in clients whose login somebody confirms in a browser."""

    credentialInterfaces = (IBrowserCredentials,)

    def __init__(self, access: IAccess) -> None:
        self._access = access

    def requestAvatarId(self, credentials: BrowserCredentials) -> "Deferred[str]":  # type: ignore[override]
        """Wait for the confirmation."""
        return self._access.login_by_browser(credentials.attempt, credentials.offer)


def checkers_of(access: IAccess) -> list[ICredentialsChecker]:
    """Give the checkers of all credentials that the front door takes."""
    return [KeyChecker(access), TokenChecker(access), BrowserChecker(access)]
