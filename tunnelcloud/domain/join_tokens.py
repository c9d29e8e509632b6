"""Join tokens, which an administrator carries from the pod to a new connector.

One string without spaces, which holds a pod's address, the digest of the pods' CA and a secret.  By
a checksum a connector recognises a token that was cut or mistyped without asking a pod.
"""

import base64
import binascii
import enum
import hashlib
import shlex

from attrs import field, frozen

from tunnelcloud.domain.addresses import leads_home
from tunnelcloud.domain.ssh_command import PublicAddress

PREFIX = "tcj1."
SECRET_LENGTH = 20
"""160 bits."""

MOST_CERTIFICATES = 20
"""How many certificates one join token brings: a connector whose answer was lost asks again."""

_PIN_LENGTH = 32
_CHECKSUM_LENGTH = 4
_FIXED_LENGTH = _PIN_LENGTH + SECRET_LENGTH + _CHECKSUM_LENGTH
_MAX_LENGTH = 1024


class JoinProblem(enum.StrEnum):
    """Why a connector got no certificate; the values travel on the wire."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    USED = "used"
    OTHER_POD = "other-pod"
    BAD_REQUEST = "bad-request"
    UNAVAILABLE = "unavailable"
    ENDED = "ended"
    REVOKED = "revoked"


_NEW_TOKEN = "get a new one with `tunnelcloud connector join-token NAME`"  # noqa: S105  (a hint)

_TEXTS = {
    JoinProblem.MALFORMED: "the join token is malformed: copy the whole string, "
    f"which starts with {PREFIX}",
    JoinProblem.UNKNOWN: f"the pod doesn't know this join token (any more): {_NEW_TOKEN}",
    JoinProblem.EXPIRED: f"the join token has expired: {_NEW_TOKEN}",
    JoinProblem.USED: "the join token has been used, by another connector or too often: "
    f"{_NEW_TOKEN}",
    JoinProblem.OTHER_POD: "the join token is for another pod: the one that answers at its "
    "address has another CA; check the address, or get a new token from the pod that is there now",
    JoinProblem.BAD_REQUEST: "the pod refused the connector's certificate request: "
    "check that both run versions that fit each other",
    JoinProblem.UNAVAILABLE: "the pod can't take connectors at the moment: try again later",
    JoinProblem.ENDED: "the certificate ended too long ago to be renewed by itself "
    f"(connectors.renewal_grace in pod.toml): {_NEW_TOKEN}, and start it once with --join-file",
    JoinProblem.REVOKED: "the connector was deleted, has joined with another key since, or was "
    "given another certificate which isn't here (this one is a copy, or the other was lost). It "
    f"needs a join token: {_NEW_TOKEN}, and start it once with --join-file",
}


class JoinRefused(Exception):
    """A connector gets no certificate; the text says what to do."""

    def __init__(self, problem: JoinProblem, text: str = "") -> None:
        super().__init__(text or _TEXTS[problem])
        self.problem = problem


@frozen
class JoinToken:
    """The contents of a join token."""

    address: PublicAddress
    """Where a pod listens for connectors."""
    ca_pin: bytes
    """SHA-256 of the CA's certificate."""
    secret: bytes = field(repr=False)

    @property
    def secret_hash(self) -> str:
        """The hash that the store keeps instead of the secret."""
        return hash_secret(self.secret)

    def encode(self) -> str:
        """Give the string that ``parse_join_token`` reads."""
        body = self.ca_pin + self.secret + str(self.address).encode("ascii")
        encoded = base64.urlsafe_b64encode(_checksum(body) + body)
        return PREFIX + encoded.decode("ascii").rstrip("=")


def join_file(name: str) -> str:
    """Name the file that a new connector is to find its join token in.

    The token stands on no command line: other users of the machine could read it there.
    """
    return f"{name}.token"


def keep_command(name: str) -> str:
    """Give the command that reads a join token into that file, where its user alone can read it."""
    return f"(umask 077; cat > {shlex.quote(join_file(name))})"


def join_command(name: str) -> str:
    """Give the command that starts a new connector with the join token in that file."""
    # Without --pidfile= a second twistd in one directory wouldn't start.
    return shlex.join(
        ["twistd", "-n", "--pidfile=", "tunnelcloud", "connector", "--state", f"./{name}",
         "--join-file", join_file(name)]
    )  # fmt: skip


def address_warning(token: JoinToken) -> str:
    """Warn that another machine can't reach the pod by a join token's address; empty if it can."""
    if not leads_home(token.address.host):
        return ""
    return (
        f"this join token leads to {token.address}, which is each machine itself: for a connector "
        "on another machine set connectors.public_address in pod.toml, restart the pod, and make a "
        "new token"
    )


def hash_secret(secret: bytes) -> str:
    """Give the SHA-256 digest of a join token's secret, in hexadecimal.

    The secret is 160 random bits, so that a plain digest can't be searched.
    """
    return hashlib.sha256(secret).hexdigest()


def parse_join_token(text: str) -> JoinToken:
    """Read a join token; white space around it is ignored.

    :raise JoinRefused: it is malformed.
    """
    text = text.strip()
    if not text.startswith(PREFIX) or len(text) > _MAX_LENGTH:
        raise JoinRefused(JoinProblem.MALFORMED)
    encoded = text.removeprefix(PREFIX)
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise JoinRefused(JoinProblem.MALFORMED) from error
    checksum, body = raw[:_CHECKSUM_LENGTH], raw[_CHECKSUM_LENGTH:]
    if len(raw) <= _FIXED_LENGTH or checksum != _checksum(body):
        raise JoinRefused(JoinProblem.MALFORMED)
    pin, body = body[:_PIN_LENGTH], body[_PIN_LENGTH:]
    secret, address = body[:SECRET_LENGTH], body[SECRET_LENGTH:]
    try:
        return JoinToken(read_pod_address(address.decode("ascii")), pin, secret)
    except ValueError as error:
        raise JoinRefused(JoinProblem.MALFORMED) from error


def read_pod_address(text: str) -> PublicAddress:
    """Read what ``str`` makes of a ``PublicAddress``: ``host:port`` or ``[IPv6]:port``.

    :raise ValueError: it isn't of that form, or the port is out of range.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: write an IPv6 address as [address]:port")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is not host:port")
    return PublicAddress(host, int(port))


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(PREFIX.encode("ascii") + body).digest()[:_CHECKSUM_LENGTH]
