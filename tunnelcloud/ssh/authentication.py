"""The login as a state machine (RFC 4252, RFC 4256): events in, actions out.

It knows no connection, no key and no clock.  Its driver carries out the actions in the given order.
What holds, in words:

- Only the answer to the request now in flight can let anyone in: each question has a number of its
  own, and a session made for another question is discarded.
- At most one request succeeds: after it, and after the end, nothing is answered.
- One request is in flight; a second one ends the connection.
- A question about a key never leads to a session, only a signed request does.  A signed request
  that follows a question about the same key, answered with yes, isn't checked for registration
  again.
- After a token was typed at the prompt, no other method's prompt asks for it again.
- An empty answer to the prompt asks whether the login was confirmed in a browser, if that was
  offered.  It brings no penalty.
- An empty token is never checked, and the same wrong token once: tools give their one password
  again and again.  Each counts as a failure, but brings no further penalty.
- A question about a key tells whether the key is registered, and nothing else: what it opens, and
  for which login, is judged after a good signature.
- The sixth failure and the twenty-first question about a key end the connection.  Keys that open
  nothing count as questions, with or without a signature, since agents offer many.
"""

from enum import Enum, auto

from attrs import evolve, frozen

from tunnelcloud.ssh.login_requests import (
    KeyRequest,
    OtherRequest,
    PromptRequest,
    Request,
    TokenRequest,
)


@frozen
class OfferKey:
    """Ask whether the key is registered; answer with ``Authentication.offered``."""

    question: int
    request: KeyRequest


@frozen
class LoginWithKey:
    """Verify signature and login; answer with ``granted`` or ``refused``."""

    question: int
    request: KeyRequest


@frozen
class LoginWithToken:
    """Verify and spend the token; answer with ``granted`` or ``refused``."""

    question: int
    request: TokenRequest


@frozen
class LoginByBrowser:
    """Ask whether the login was confirmed; answer with ``granted`` or ``refused``."""

    question: int
    request: PromptRequest


@frozen
class SendKeyOk:
    """Send USERAUTH_PK_OK."""

    request: KeyRequest


@frozen
class SendPrompt:
    """Send USERAUTH_INFO_REQUEST.

    :ivar user: the login's name.
    :ivar keys_refused: whether the client showed keys before that opened nothing, registered or
        not.
    """

    user: bytes
    keys_refused: bool = False


@frozen
class SendBanner:
    """Send USERAUTH_BANNER with a line for the user."""

    text: str


@frozen
class SendFailure:
    """Send USERAUTH_FAILURE with the list of methods.

    :ivar typed: whether a token was typed at the prompt.  Clients would ask for it again as a
        password, which would confuse the user.
    """

    typed: bool = False


@frozen
class Penalise:
    """Add a penalty to the source address."""


@frozen
class Succeed:
    """Send USERAUTH_SUCCESS and hand the connection over to the session."""

    session: object


@frozen
class Discard:
    """Log the session out: nobody uses it."""

    session: object


@frozen
class End:
    """End the connection, telling why."""

    text: str


Action = (
    OfferKey
    | LoginWithKey
    | LoginWithToken
    | LoginByBrowser
    | SendKeyOk
    | SendPrompt
    | SendBanner
    | SendFailure
    | Penalise
    | Succeed
    | Discard
    | End
)
Actions = tuple[Action, ...]


TOO_MANY_KEYS = (
    "too many keys were offered: for a one-time token add -o PubkeyAuthentication=no, "
    "for a key -o IdentitiesOnly=yes -i FILE"
)


class State(Enum):
    """What the machine waits for."""

    REQUEST = auto()
    VERDICT = auto()
    TOKEN = auto()
    OVER = auto()


class Authentication:
    """One connection's login.

    :param failures: how many failures end the connection.
    :param queries: how many questions about keys are answered.
    :ivar offers_browser: whether the prompt came with a link.
    """

    def __init__(self, failures: int, queries: int) -> None:
        self.state = State.REQUEST
        self.offers_browser = False
        self._failures_left = failures
        self._queries_left = queries
        self._question = 0
        self._request: Request | None = None
        self._good: KeyRequest | None = None
        self._keys_refused = False
        self._told = ""
        self._typed = False
        self._wrong: set[int] = set()  # hashes: a login name may have 35,000 bytes

    def requested(self, request: Request) -> Actions:
        """Take a request of the client."""
        if self.state is State.OVER:
            return ()
        if self.state is State.VERDICT:
            return self._end("a login request before the last one was answered")
        if self.state is State.TOKEN:
            # A new request gives up the prompt (RFC 4256, 3.1); asking costs an attempt.
            self.state = State.REQUEST
            self._failures_left -= 1
            if self._failures_left <= 0:
                return self._end("too many failed logins")
        good, self._good = self._good, None
        match request:
            case KeyRequest(signature=bytes()) if evolve(request, signature=None) == good:
                return self._ask(request, LoginWithKey)
            case KeyRequest():
                return self._ask(request, OfferKey)
            case TokenRequest():
                return self._try(request)
            case PromptRequest():
                self.state = State.TOKEN
                self._request = request
                return (SendPrompt(request.user, self._keys_refused),)
            case OtherRequest(method=b"none"):
                return self._queried()
            case OtherRequest():
                return self._failed()

    def answered(self, token: str | None) -> Actions:
        """Take the answer to the prompt; None if the answer isn't a single token."""
        if self.state is State.OVER:
            return ()
        if self.state is not State.TOKEN:
            return self._end("an answer that nobody asked for")
        assert isinstance(self._request, PromptRequest)
        self.state = State.REQUEST
        if token is None:
            return self._failed()
        if not token and self.offers_browser:
            return self._ask(self._request, LoginByBrowser)
        # Tools that know only passwords give an empty answer.
        self._typed = self._typed or token != ""
        return self._try(TokenRequest(self._request.user, token))

    def unjudged(self, question: int, text: str) -> Actions:
        """Hear that a key can't be judged now, with a line for the user."""
        if not self._awaits(question):
            return ()
        self.state = State.REQUEST
        return (*self._tell(text), *self._queried())

    def offered(self, question: int, registered: bool) -> Actions:
        """Take whether anybody registered a key."""
        if not self._awaits(question):
            return ()
        request = self._request
        assert isinstance(request, KeyRequest)
        self.state = State.REQUEST
        if not registered:
            self._keys_refused = True
            return self._queried()
        if request.signature is not None:
            return self._ask(request, LoginWithKey)
        if self._queries_left <= 0:
            return self._queried()
        self._queries_left -= 1
        self._good = request
        return (SendKeyOk(request),)

    def granted(self, question: int, session: object) -> Actions:
        """Take a session that was made in answer to a question."""
        if not self._awaits(question):
            return (Discard(session),)
        self.state = State.OVER
        self._request = None
        return (Succeed(session),)

    def refused(self, question: int, text: str = "", offence: bool = True) -> Actions:
        """Take a refusal, with a line for the user or ``""``.

        A key with a good signature that opens nothing brings no penalty, and is no failure.
        """
        if not self._awaits(question):
            return ()
        self.state = State.REQUEST
        if not offence and isinstance(self._request, KeyRequest):
            self._keys_refused = True
            return (*self._tell(text), *self._queried())
        if offence and isinstance(self._request, TokenRequest):
            self._wrong.add(hash(self._request))
        banner: Actions = (SendBanner(text),) if text else ()
        penalty: Actions = (Penalise(),) if offence else ()
        return (*banner, *penalty, *self._failed())

    def closed(self) -> None:
        """Take the end of the connection."""
        self.state = State.OVER
        self._request = None
        self._wrong.clear()

    def _try(self, request: TokenRequest) -> Actions:
        """Have a token checked, unless it was refused before."""
        if not request.token or hash(request) in self._wrong:
            return self._failed()
        return self._ask(request, LoginWithToken)

    def _awaits(self, question: int) -> bool:
        return self.state is State.VERDICT and question == self._question

    def _ask(
        self,
        request: KeyRequest | TokenRequest | PromptRequest,
        action: "type[OfferKey | LoginWithKey | LoginWithToken | LoginByBrowser]",
    ) -> Actions:
        self.state = State.VERDICT
        self._request = request
        self._question += 1
        return (action(self._question, request),)  # type: ignore[arg-type]

    def _tell(self, text: str) -> Actions:
        """Send the user a line about a key, once: an agent may offer many keys."""
        said, self._told = self._told, text
        return (SendBanner(text),) if text and text != said else ()

    def _queried(self) -> Actions:
        if self._queries_left <= 0:
            return self._end(TOO_MANY_KEYS)
        self._queries_left -= 1
        return (SendFailure(self._typed),)

    def _failed(self) -> Actions:
        self._failures_left -= 1
        if self._failures_left <= 0:
            return self._end("too many failed logins")
        return (SendFailure(self._typed),)

    def _end(self, text: str) -> Actions:
        self.closed()
        return (End(text),)
