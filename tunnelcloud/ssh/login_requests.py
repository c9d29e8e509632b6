"""What a client asks for at login (RFC 4252, RFC 4256): from payloads to values.

``tunnelcloud.ssh.authentication`` decides about them.
"""

from attrs import field, frozen

from tunnelcloud.channels.messages import ProtocolError, Reader
from tunnelcloud.domain.tokens import as_typed


@frozen
class KeyRequest:
    """The client offers a key; with ``signature`` None it only asks whether the key is accepted."""

    user: bytes
    algorithm: bytes
    key_blob: bytes
    signature: bytes | None = None


@frozen
class TokenRequest:
    """The client sends a token as its password."""

    user: bytes
    token: str = field(repr=False)


@frozen
class PromptRequest:
    """The client wants to be asked for a token."""

    user: bytes


@frozen
class OtherRequest:
    """A request for a method that isn't offered, or for "none"."""

    user: bytes
    method: bytes


Request = KeyRequest | TokenRequest | PromptRequest | OtherRequest


def read_request(payload: bytes) -> Request:
    """Read a USERAUTH_REQUEST's payload, without the message's number (RFC 4252, 5).

    :raise ProtocolError: it isn't one, or is for another service than ``ssh-connection``.
    """
    reader = Reader(payload)
    user, service, method = reader.string(), reader.string(), reader.string()
    if service != b"ssh-connection":
        raise ProtocolError("a login for a service that doesn't exist")
    if method == b"publickey":
        signed = reader.boolean()
        algorithm, key_blob = reader.string(), reader.string()
        signature = reader.string() if signed else None
        reader.end()
        return KeyRequest(user, algorithm, key_blob, signature)
    if method == b"password":
        changes = reader.boolean()
        password = reader.string()
        if changes:
            return OtherRequest(user, b"password change")
        reader.end()
        return TokenRequest(user, _token(password))
    if method == b"keyboard-interactive":
        return PromptRequest(user)
    return OtherRequest(user, method)


def read_answer(payload: bytes) -> str | None:
    """Read a USERAUTH_INFO_RESPONSE's payload: the token, or None unless it is one answer.

    :raise ProtocolError: it isn't such a message.
    """
    reader = Reader(payload)
    if reader.uint32() != 1:
        return None
    answer = reader.string()
    reader.end()
    return _token(answer)


_LONGEST_TOKEN = 1024


def _token(raw: bytes) -> str:
    """Return the text that may be a token, stripped and cut to the longest that is checked."""
    return as_typed(raw[: 2 * _LONGEST_TOKEN].decode("utf-8", "replace"))[:_LONGEST_TOKEN]
