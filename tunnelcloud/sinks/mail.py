"""Notices by mail: each batch of lines is one message to a mail server, with TLS."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from io import BytesIO
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.mail.smtp import ESMTPSender, ESMTPSenderFactory
from twisted.python.failure import Failure

from tunnelcloud.net.escaping import escape
from tunnelcloud.sinks.interfaces import DeliveryFailed

_SUBJECT = 120
_BASE64 = re.compile("[A-Za-z0-9+/]{4,}={0,2}")
_HIDDEN = "…"


@define(eq=False)
class MailOutlet:
    """Sends lines, each a notice as JSON, to recipients.

    :ivar name: the server's name, for messages.
    :ivar endpoint: connects to it, with TLS where that comes first.
    :ivar start_tls: begins TLS on a connection in plain text; None where that isn't wanted.
    """

    name: str
    endpoint: IStreamClientEndpoint
    start_tls: Any
    user: str | None
    password: str | None = field(repr=False)
    sender: str
    recipients: Sequence[str]
    _sending: Any = field(default=None, init=False)

    def send(self, lines: Sequence[bytes]) -> Deferred[None]:
        """Send one message of all lines; fire once the server has taken it."""
        result: Deferred[Any] = Deferred(lambda _: self.reopen())
        factory = ESMTPSenderFactory(
            self.user and self.user.encode("utf-8"),
            self.password and self.password.encode("utf-8"),
            self.sender,
            list(self.recipients),
            BytesIO(self._message(lines)),
            result,
            retries=0,
            contextFactory=self.start_tls,
            requireAuthentication=self.user is not None,
            requireTransportSecurity=self.start_tls is not None,
        )
        factory.noisy = False
        factory.protocol = _Sender
        connecting = self.endpoint.connect(factory)
        connecting.addCallbacks(self._connected, self._not_connected, errbackArgs=(result,))
        return result.addCallbacks(self._sent, self._failed)

    def reopen(self) -> None:
        """Hang up; each message has a connection of its own."""
        sending, self._sending = self._sending, None
        if sending is not None and sending.transport is not None:
            sending.transport.abortConnection()

    def _connected(self, protocol: Any) -> None:
        self._sending = protocol

    def _not_connected(self, failure: Failure, result: Deferred[Any]) -> None:
        if not result.called:
            result.errback(failure)

    def _sent(self, _: object) -> None:
        self._sending = None

    def _failed(self, failure: Failure) -> Failure:
        value = failure.value
        said = getattr(value, "resp", None)
        text = said or failure.getErrorMessage().removeprefix("Unable to connect to SMTP server: ")
        text = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
        return Failure(DeliveryFailed(f"{self.name}: {escape(self._without_password(text))}"))

    def _without_password(self, text: str) -> str:
        """Leave the password out: some servers repeat the command that they refuse."""
        password = self.password
        if not password:
            return text

        def shown(word: re.Match[str]) -> str:
            return _HIDDEN if password.encode("utf-8") in _decoded(word[0]) else word[0]

        return _BASE64.sub(shown, text.replace(password, _HIDDEN))

    def _message(self, lines: Sequence[bytes]) -> bytes:
        notices = [json.loads(line) for line in lines]
        message = EmailMessage(policy=SMTP)
        first = escape(notices[0]["text"], _SUBJECT)
        more = f" (and {len(notices) - 1} more)" if len(notices) > 1 else ""
        message["Subject"] = f"TunnelCloud: {first}{more}"
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        text = "\n".join(_paragraph(one) for one in notices)
        message.set_content(text, cte="quoted-printable")
        return message.as_bytes()


def _decoded(word: str) -> bytes:
    try:
        return base64.b64decode(word)
    except binascii.Error:
        return b""


def _paragraph(notice: dict[str, Any]) -> str:
    parts = [f"{notice['at']}  {escape(notice['text'], 1000)}"]
    if notice.get("link"):
        parts.append(f"  {escape(notice['link'], 1000)}")
    return "\n".join(parts) + "\n"


class _Sender(ESMTPSender):
    """Tells its factory of a connection that ended early; an endpoint doesn't.

    Nothing is believed that came before TLS but was to be read after it, and nothing is read that
    comes when the sending is over.
    """

    debug = False
    """Otherwise the text of a failure has the whole dialogue in it, the password included."""

    def esmtpState_serverConfig(self, code: int, resp: bytes) -> None:
        """Read what the server can do; Twisted fails at an empty line."""
        lines = [line for line in resp.splitlines() if line.strip()]
        super().esmtpState_serverConfig(code, b"\n".join(lines))  # type: ignore[no-untyped-call]

    def esmtpState_starttls(self, code: int, resp: bytes) -> None:
        """Begin TLS, unless more has come than the answer.

        Whoever is on the way could put the answers to the whole message there, without any
        certificate: it would count as delivered.
        """
        if self.clearLineBuffer():  # type: ignore[no-untyped-call]
            self.esmtpTLSFailed()  # type: ignore[no-untyped-call]
        else:
            super().esmtpState_starttls(code, resp)  # type: ignore[no-untyped-call]

    def sendError(self, exc: Any) -> None:
        """Tell the factory of a failure, once; a server may go on with more."""
        if getattr(self.factory, "result", None) is None:
            if self.transport is not None:
                self.transport.abortConnection()  # type: ignore[attr-defined]
        else:
            super().sendError(exc)  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        if getattr(self.factory, "result", None) is not None:
            self.factory.clientConnectionLost(None, reason)
