"""The login machine, in any order of messages and verdicts."""

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.fakes import TOKEN
from tunnelcloud.channels.messages import ProtocolError, pack_string
from tunnelcloud.ssh import authentication as auth
from tunnelcloud.ssh.authentication import Authentication
from tunnelcloud.ssh.login_requests import (
    KeyRequest,
    OtherRequest,
    PromptRequest,
    Request,
    TokenRequest,
    read_answer,
    read_request,
)

QUERY = KeyRequest(b"alice", b"ssh-ed25519", b"blob")
SIGNED = KeyRequest(b"alice", b"ssh-ed25519", b"blob", b"signature")
WITH_TOKEN = TokenRequest(b"alice", TOKEN)
PROMPT = PromptRequest(b"alice")
NONE = OtherRequest(b"alice", b"none")
OTHER = OtherRequest(b"alice", b"hostbased")


class AnyOrder(RuleBasedStateMachine):
    """Messages and verdicts in any order, doubled, late, to wrong questions, after the end.

    The model knows one thing: which questions were asked that a session may answer, and which of
    them is the last thing the client asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.machine = Authentication(failures=6, queries=20)
        self.asked = 0
        self.verdicts: set[int] = set()
        self.current: auth.Action | None = None
        self.closed = False
        self.sessions = 0
        self.discarded = 0
        self.made = 0
        self.replies = 0
        self.requests = 0
        self.ended = False

    def perform(self, actions: auth.Actions) -> None:
        if self.closed or self.ended:
            assert all(isinstance(action, auth.Discard) for action in actions)
        for action in actions:
            match action:
                case (
                    auth.OfferKey()
                    | auth.LoginWithKey()
                    | auth.LoginWithToken()
                    | auth.LoginByBrowser()
                ):
                    assert self.current is None
                    self.asked += 1
                    assert action.question == self.asked
                    self.current = action
                case auth.Succeed():
                    self.sessions += 1
                    self.ended = True
                case auth.Discard():
                    self.discarded += 1
                case auth.End():
                    self.ended = True
                case auth.SendKeyOk() | auth.SendFailure() | auth.SendPrompt():
                    self.replies += 1

    @rule(request=st.sampled_from((QUERY, SIGNED, WITH_TOKEN, PROMPT, NONE, OTHER)))
    def request(self, request: Request) -> None:
        in_flight = self.current is not None and not (self.closed or self.ended)
        self.requests += 1
        self.perform(self.machine.requested(request))
        assert not in_flight or self.ended

    @rule(offers=st.booleans())
    def offer_browser(self, offers: bool) -> None:
        self.machine.offers_browser = offers

    @rule(token=st.sampled_from((TOKEN, "", None)))
    def answer(self, token: str | None) -> None:
        self.requests += 1
        self.perform(self.machine.answered(token))

    @rule(question=st.integers(0, 8), registered=st.booleans())
    def offered(self, question: int, registered: bool) -> None:
        current = self.current
        question = self.asked if question > 5 else question
        if isinstance(current, auth.OfferKey) or question != self.asked:
            if isinstance(current, auth.OfferKey) and current.question == question:
                self.current = None
            self.perform(self.machine.offered(question, registered))

    @rule(question=st.integers(0, 8))
    def granted(self, question: int) -> None:
        current = self.current
        question = self.asked if question > 5 else question
        if isinstance(current, auth.OfferKey) and current.question == question:
            return  # nobody makes a session out of a question about a key
        self.made += 1
        wins = (
            current is not None
            and current.question == question
            and not self.closed
            and not self.ended
        )
        if wins:
            self.current = None
        before = self.sessions
        self.perform(self.machine.granted(question, f"session {self.made}"))
        assert self.sessions - before == wins

    @rule(question=st.integers(0, 8), offence=st.booleans(), text=st.sampled_from(("", "used")))
    def refused(self, question: int, offence: bool, text: str) -> None:
        current = self.current
        question = self.asked if question > 5 else question
        if current is not None and current.question == question:
            self.current = None
        self.perform(self.machine.refused(question, text, offence))

    @rule()
    def close(self) -> None:
        self.machine.closed()
        self.closed = True

    @invariant()
    def one_winner(self) -> None:
        """There is one avatar at most, and every other session was discarded."""
        assert self.sessions <= 1
        assert self.sessions + self.discarded == self.made

    @invariant()
    def one_reply_a_request(self) -> None:
        """Nothing is answered that wasn't asked."""
        assert self.replies <= self.requests + self.asked


AnyOrder.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
AnyOrderTests = AnyOrder.TestCase


class LimitTests(SynchronousTestCase):
    """Six failures, twenty questions about keys."""

    def setUp(self) -> None:
        self.machine = Authentication(failures=6, queries=20)
        self.asked = 0

    def ask(self, request: Request) -> int:
        (action,) = self.machine.requested(request)
        self.asked += 1
        assert getattr(action, "question", None) == self.asked
        return self.asked

    def test_failures(self) -> None:
        """The sixth wrong token ends it."""
        for number in range(5):
            actions = self.machine.refused(self.ask(TokenRequest(b"alice", f"{number}")))
            self.assertEqual(actions, (auth.Penalise(), auth.SendFailure()))
        actions = self.machine.refused(self.ask(WITH_TOKEN))
        self.assertEqual(actions[-1], auth.End("too many failed logins"))
        self.assertEqual(self.machine.requested(WITH_TOKEN), ())

    def test_one_wrong_token_again_and_again(self) -> None:
        """It is an offence once, and is asked about once; it still ends the connection."""
        actions = self.machine.refused(self.ask(WITH_TOKEN))
        self.assertEqual(actions, (auth.Penalise(), auth.SendFailure()))
        for _ in range(4):
            self.assertEqual(self.machine.requested(WITH_TOKEN), (auth.SendFailure(),))
        actions = self.machine.requested(WITH_TOKEN)
        self.assertEqual(actions, (auth.End("too many failed logins"),))

    def test_a_spent_token_is_asked_about_again(self) -> None:
        """What was no offence may have another answer later: the pod couldn't tell, for one."""
        for _ in range(2):
            actions = self.machine.refused(self.ask(WITH_TOKEN), "try again later", False)
            self.assertEqual(actions, (auth.SendBanner("try again later"), auth.SendFailure()))

    def test_empty_tokens(self) -> None:
        """They are nobody's token, and no offence."""
        empty = TokenRequest(b"alice", "")
        self.assertEqual(self.machine.requested(empty), (auth.SendFailure(),))
        self.machine.requested(PROMPT)
        self.assertEqual(self.machine.answered(""), (auth.SendFailure(),))

    def test_questions(self) -> None:
        """Twenty keys may be offered, and then still a token; the next key ends it."""
        for request in (QUERY, SIGNED) * 10:
            actions = self.machine.offered(self.ask(request), False)
            self.assertEqual(actions, (auth.SendFailure(),))
        self.machine.refused(self.ask(WITH_TOKEN))
        actions = self.machine.offered(self.ask(QUERY), False)
        self.assertEqual(actions, (auth.End(auth.TOO_MANY_KEYS),))

    def test_good_questions_count(self) -> None:
        """A good key isn't confirmed without end either."""
        for _ in range(20):
            self.assertEqual(self.machine.offered(self.ask(QUERY), True), (auth.SendKeyOk(QUERY),))
        actions = self.machine.offered(self.ask(QUERY), True)
        self.assertIsInstance(actions[0], auth.End)

    def test_good_key_after_many(self) -> None:
        """The signed request of the twentieth key still gets in."""
        for _ in range(19):
            self.machine.offered(self.ask(QUERY), False)
        self.machine.offered(self.ask(QUERY), True)
        (action,) = self.machine.requested(SIGNED)
        self.assertIsInstance(action, auth.LoginWithKey)
        self.assertEqual(self.machine.granted(action.question, "s"), (auth.Succeed("s"),))

    def test_asked_once(self) -> None:
        """A signed request is judged at once only behind a yes to the very same key and user."""
        self.machine.offered(self.ask(QUERY), True)
        other = evolve(SIGNED, user=b"bob")
        (action,) = self.machine.requested(other)
        self.assertIsInstance(action, auth.OfferKey)
        self.machine.offered(action.question, False)
        (action,) = self.machine.requested(SIGNED)
        self.assertIsInstance(action, auth.OfferKey)
        self.machine.offered(action.question, False)
        (action,) = self.machine.requested(QUERY)
        self.machine.offered(action.question, False)
        (action,) = self.machine.requested(SIGNED)
        self.assertIsInstance(action, auth.OfferKey)

    def test_prompts_cost(self) -> None:
        """Giving up the prompt again and again ends it like wrong tokens do."""
        for _ in range(6):
            self.assertEqual(self.machine.requested(PROMPT), (auth.SendPrompt(b"alice"),))
        self.assertIsInstance(self.machine.requested(PROMPT)[0], auth.End)

    def test_prompt_tells_of_keys(self) -> None:
        """Once a key opened nothing, the prompt may say so; a bad signature or a yes is no such."""
        self.machine.offered(self.ask(QUERY), True)
        self.assertEqual(self.machine.requested(PROMPT), (auth.SendPrompt(b"alice"),))
        self.machine.offered(self.ask(QUERY), False)
        told = auth.SendPrompt(b"alice", keys_refused=True)
        self.assertEqual(self.machine.requested(PROMPT), (told,))
        self.assertEqual(self.machine.requested(PROMPT), (told,))

    def test_a_key_that_opens_nothing(self) -> None:
        """Signed with, it counts as a question; the prompt tells of it, and a line is said once."""
        for line in ((auth.SendBanner("no room"),), ()):
            self.machine.offered(self.ask(QUERY), True)
            actions = self.machine.refused(self.ask(SIGNED), "no room", offence=False)
            self.assertEqual(actions, (*line, auth.SendFailure()))
        self.assertEqual(
            self.machine.requested(PROMPT), (auth.SendPrompt(b"alice", keys_refused=True),)
        )
        for _ in range(8):
            self.machine.offered(self.ask(QUERY), True)
            self.machine.refused(self.ask(SIGNED), offence=False)
        self.machine.offered(self.ask(QUERY), False)
        actions = self.machine.requested(WITH_TOKEN)
        self.assertEqual(actions, ())

    def test_an_empty_answer_asks_for_the_browser_where_that_is_offered(self) -> None:
        """It costs a failure while nobody has confirmed, and is no offence."""
        self.machine.requested(PROMPT)
        self.assertEqual(self.machine.answered(""), (auth.SendFailure(),))
        self.machine.offers_browser = True
        for question in (1, 2):
            self.machine.requested(PROMPT)
            self.assertEqual(self.machine.answered(""), (auth.LoginByBrowser(question, PROMPT),))
            actions = self.machine.refused(question, "not yet", offence=False)
            self.assertEqual(actions, (auth.SendBanner("not yet"), auth.SendFailure()))
        self.machine.requested(PROMPT)
        (asked,) = self.machine.answered(TOKEN)
        self.assertIsInstance(asked, auth.LoginWithToken)
        self.machine.refused(3)
        self.machine.requested(PROMPT)
        self.machine.answered("")
        self.assertEqual(self.machine.granted(4, "session"), (auth.Succeed("session"),))

    def test_typed_once(self) -> None:
        """What was typed at the prompt isn't asked for as a password; other answers don't count."""
        for answer in (None, ""):
            self.machine.requested(PROMPT)
            for action in self.machine.answered(answer):
                if isinstance(action, auth.LoginWithToken):
                    self.asked = action.question
                    self.machine.refused(action.question)
        self.assertEqual(self.machine.requested(NONE), (auth.SendFailure(),))
        self.machine.requested(PROMPT)
        (action,) = self.machine.answered("wrong")
        assert isinstance(action, auth.LoginWithToken)
        actions = self.machine.refused(action.question)
        self.assertEqual(actions[-1], auth.SendFailure(typed=True))
        self.assertEqual(self.machine.requested(NONE), (auth.SendFailure(typed=True),))

    def test_none_is_free_but_not_endless(self) -> None:
        """Asking for the methods costs no attempt."""
        for _ in range(20):
            self.assertEqual(self.machine.requested(NONE), (auth.SendFailure(),))
        self.assertIsInstance(self.machine.requested(NONE)[0], auth.End)

    def test_refusal_with_text(self) -> None:
        """A token that was used says so, and is no offence."""
        actions = self.machine.refused(self.ask(WITH_TOKEN), "used at 12:00", offence=False)
        self.assertEqual(actions, (auth.SendBanner("used at 12:00"), auth.SendFailure()))

    def test_unasked_answer(self) -> None:
        """An answer without a prompt ends it."""
        self.assertIsInstance(self.machine.answered(TOKEN)[0], auth.End)

    def test_secrets_are_not_shown(self) -> None:
        """A token doesn't get into a log by way of its request."""
        self.assertNotIn(TOKEN, repr(self.machine.requested(WITH_TOKEN)))


class CodecTests(SynchronousTestCase):
    """What the client writes, as values."""

    def request(self, method: bytes, rest: bytes) -> Request:
        fields = (b"alice", b"ssh-connection", method)
        return read_request(b"".join(map(pack_string, fields)) + rest)

    def test_password(self) -> None:
        """The token is the password; what mails and chats put around it doesn't count, nor do
        capitals, nor what is too long."""
        for typed in (
            TOKEN,
            f"  {TOKEN}\n",
            f"\t{TOKEN} ",
            TOKEN.upper(),
            f"\ufeff{TOKEN}\r\n",
            f'"{TOKEN}"',
            f"\u201c{TOKEN}\u201d\u00a0",
            f"`{TOKEN}`",
        ):
            request = self.request(b"password", b"\0" + pack_string(typed.encode()))
            self.assertEqual(request, WITH_TOKEN)
        request = self.request(b"password", b"\0" + pack_string(b"a" * 30_000))
        assert isinstance(request, TokenRequest)
        self.assertEqual(len(request.token), 1024)
        request = self.request(b"password", b"\0" + pack_string(b"\xff\xfe\0"))
        self.assertEqual(request, TokenRequest(b"alice", "��\0"))

    def test_password_change(self) -> None:
        """A password can't be changed."""
        rest = b"\1" + pack_string(b"old") + pack_string(b"new")
        self.assertEqual(
            self.request(b"password", rest), OtherRequest(b"alice", b"password change")
        )

    def test_publickey(self) -> None:
        """A question has no signature, a signed request has one."""
        rest = pack_string(b"ssh-ed25519") + pack_string(b"blob")
        self.assertEqual(self.request(b"publickey", b"\0" + rest), QUERY)
        signed = self.request(b"publickey", b"\1" + rest + pack_string(b"signature"))
        self.assertEqual(signed, SIGNED)

    def test_others(self) -> None:
        """Whatever else may follow the method isn't looked at."""
        self.assertEqual(self.request(b"keyboard-interactive", b"anything"), PROMPT)
        self.assertEqual(self.request(b"none", b""), NONE)
        self.assertEqual(self.request(b"hostbased", b"anything"), OTHER)

    def test_malformed(self) -> None:
        """What is cut short, too long, or for another service is a protocol error."""
        for payload in (
            b"",
            b"\0\0\0\xffalice",
            pack_string(b"a") + pack_string(b"ssh-userauth") + pack_string(b"none"),
        ):
            self.assertRaises(ProtocolError, read_request, payload)
        for method, rest in ((b"publickey", b"\1"), (b"password", b"\0\0\0\0\1aa")):
            self.assertRaises(ProtocolError, self.request, method, rest)

    def test_answers(self) -> None:
        """One answer is a token; none or two are no answer."""
        self.assertEqual(read_answer(b"\0\0\0\1" + pack_string(TOKEN.encode() + b" ")), TOKEN)
        self.assertIsNone(read_answer(b"\0\0\0\0"))
        self.assertIsNone(read_answer(b"\0\0\0\2" + pack_string(b"a") * 2))
        self.assertRaises(ProtocolError, read_answer, b"\0\0\0\1")
