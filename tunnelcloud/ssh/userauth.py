"""The login service: drives ``authentication`` with what the wire and cred say.

Conch's faults closed here: pipelined attempts go uncounted, two successes overwrite one another's
avatar, a success after the end starts a service on a dead connection, and there is no server side
of keyboard-interactive.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE
from twisted.conch.ssh.userauth import (
    MSG_USERAUTH_BANNER,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_PK_OK,
    MSG_USERAUTH_REQUEST,
)
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.channels.messages import pack_string
from tunnelcloud.net.source_limits import REFUSED_LOGIN
from tunnelcloud.ssh import authentication as auth
from tunnelcloud.ssh.checkers import BrowserCredentials, KeyCredentials, TokenCredentials
from tunnelcloud.ssh.interfaces import (
    BrowserOffer,
    IAccess,
    ISessionAvatar,
    LoginAttempt,
    LoginRefused,
)
from tunnelcloud.ssh.login_requests import read_answer, read_request
from tunnelcloud.ssh.signatures import is_usable, signed_data

if TYPE_CHECKING:
    from tunnelcloud.ssh.transport import FrontDoorTransport

METHODS = b"publickey,keyboard-interactive,password"
METHODS_AFTER_PROMPT = b"publickey,keyboard-interactive"
PROMPT = b"One-time token: "
KEYS_REFUSED = (
    "The keys that were offered open nothing for this login. "
    "Paste a one-time token from {tokens_from}."
)
"""Shown with the prompt; the same for known and unknown keys, and for any user name."""
BROWSER = "Open {url} and confirm, then press Return. Or paste a one-time token."
"""Shown with the prompt if a login by browser is offered; the same for any login name."""
MSG_USERAUTH_INFO_REQUEST = 60

Credentials = KeyCredentials | TokenCredentials | BrowserCredentials
Session = tuple[Any, ISessionAvatar, Callable[[], object]]


class LoginService(SSHService):
    """One connection's ``ssh-userauth``.

    :param start: makes the service that serves a session, from its avatar and cred's logout.
    :param tokens_from: where users get one-time tokens, in words.
    """

    name = b"ssh-userauth"
    transport: "FrontDoorTransport"
    _log = Logger()

    def __init__(
        self,
        portal: Portal,
        access: IAccess,
        start: Callable[[ISessionAvatar, Callable[[], object]], SSHService],
        failures: int,
        queries: int,
        tokens_from: str,
    ) -> None:
        self._portal = portal
        self._access = access
        self._start = start
        self._tokens_from = tokens_from
        self._machine = auth.Authentication(failures, queries)
        self._offer_of_browser: BrowserOffer | None = None

    def serviceStopped(self) -> None:
        """The connection is over, or the session has begun."""
        self._machine.closed()
        if self._offer_of_browser is not None:
            self._access.withdraw_browser(self._offer_of_browser)

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        """Take one of the two messages that the gate lets through."""
        self.transport.path.answered()
        if messageNum == MSG_USERAUTH_REQUEST:
            self._perform(self._machine.requested(read_request(packet)))
        else:
            self._perform(self._machine.answered(read_answer(packet)))

    def _perform(self, actions: auth.Actions) -> None:
        for action in actions:
            self._perform_one(action)

    def _perform_one(self, action: auth.Action) -> None:
        send = self.transport.sendPacket
        match action:
            case auth.OfferKey():
                self._offer(action)
            case auth.LoginWithKey() | auth.LoginWithToken() | auth.LoginByBrowser():
                self._login(action.question, self._credentials(action))
            case auth.SendKeyOk(request=offer):
                send(MSG_USERAUTH_PK_OK, pack_string(offer.algorithm) + pack_string(offer.key_blob))
            case auth.SendPrompt():
                self._prompt(action)
            case auth.SendBanner(text=text):
                self._show(text)
            case auth.SendFailure(typed=typed):
                methods = METHODS_AFTER_PROMPT if typed else METHODS
                send(MSG_USERAUTH_FAILURE, pack_string(methods) + b"\0")
            case auth.Penalise():
                self.transport.factory.flood.offended(self.transport.source, REFUSED_LOGIN)
            case auth.Succeed(session=session):
                _, avatar, logout = _session(session)
                if avatar.notice:
                    self._show(avatar.notice)
                self.transport.logged_in(self._start(avatar, logout))
            case auth.Discard(session=session):
                _, avatar, logout = _session(session)
                avatar.logged_out("the client left before the login ended")
                logout()
            case auth.End(text=text):
                self.transport.broken(DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE, text)

    def _show(self, text: str) -> None:
        """Have the client show a line to its user."""
        line = pack_string(f"{text}\r\n".encode()) + pack_string(b"")
        self.transport.sendPacket(MSG_USERAUTH_BANNER, line)

    def _prompt(self, action: auth.SendPrompt) -> None:
        text = self._instruction(action.user, action.keys_refused)
        head = pack_string(b"") + pack_string(text.encode()) + pack_string(b"")
        prompt = head + b"\0\0\0\1" + pack_string(PROMPT) + b"\0"
        self.transport.sendPacket(MSG_USERAUTH_INFO_REQUEST, prompt)

    def _instruction(self, user: bytes, keys_refused: bool) -> str:
        """Return the text above the prompt."""
        offer = self._access.offer_browser(self._attempt(user), self._offer_of_browser)
        self._offer_of_browser = offer
        self._machine.offers_browser = offer is not None
        said = [KEYS_REFUSED.format(tokens_from=self._tokens_from)] if keys_refused else []
        if offer is not None:
            self.transport.awaits_browser()
            said.append(BROWSER.format(url=offer.url))
        return "\n".join(said)

    def _offer(self, action: auth.OfferKey) -> None:
        request = action.request
        if not is_usable(request.algorithm, request.key_blob):
            self._perform(self._machine.offered(action.question, False))
            return
        verdict: Deferred[bool] = maybeDeferred(self._access.is_registered, request.key_blob)

        def judged(registered: bool) -> auth.Actions:
            return self._machine.offered(action.question, registered)

        def failed(failure: Failure) -> auth.Actions:
            if failure.check(LoginRefused):
                error = failure.value
                assert isinstance(error, LoginRefused)
                return self._machine.unjudged(action.question, error.text)
            self._failed(failure)
            return self._machine.offered(action.question, False)

        actions: Deferred[auth.Actions] = verdict.addCallbacks(judged, failed)
        actions.addCallback(lambda found: self.transport.guarded(lambda: self._perform(found)))

    def _credentials(
        self, action: auth.LoginWithKey | auth.LoginWithToken | auth.LoginByBrowser
    ) -> Credentials:
        """Make cred's credentials of the client's request."""
        attempt = self._attempt(action.request.user)
        if isinstance(action, auth.LoginWithToken):
            return TokenCredentials(attempt, action.request.token)
        if isinstance(action, auth.LoginByBrowser):
            assert self._offer_of_browser is not None
            return BrowserCredentials(attempt, self._offer_of_browser)
        request = action.request
        assert request.signature is not None
        assert self.transport.sessionID is not None
        data = signed_data(
            self.transport.sessionID, request.user, request.algorithm, request.key_blob
        )
        return KeyCredentials(attempt, request.algorithm, request.key_blob, data, request.signature)

    def _login(self, question: int, credentials: Credentials) -> None:
        session: Deferred[Any] = self._portal.login(credentials, None, ISessionAvatar)

        def granted(session: Session) -> auth.Actions:
            return self._machine.granted(question, session)

        def refused(failure: Failure) -> auth.Actions:
            if failure.check(LoginRefused):
                error = failure.value
                assert isinstance(error, LoginRefused)
                return self._machine.refused(question, error.text, error.offence)
            if failure.check(UnauthorizedLogin):
                return self._machine.refused(question)
            self._failed(failure)
            return self._machine.refused(question, "try again later", offence=False)

        session.addCallbacks(granted, refused)
        session.addCallback(lambda actions: self.transport.guarded(lambda: self._perform(actions)))

    def _failed(self, failure: Failure) -> None:
        self._log.failure("{name}: a login could not be judged", failure, name=self.transport.name)

    def _attempt(self, user: bytes) -> LoginAttempt:
        transport = self.transport
        return LoginAttempt(user, transport.source, transport.source_port, transport.client_version)


def _session(session: object) -> Session:
    assert isinstance(session, tuple)
    return session
