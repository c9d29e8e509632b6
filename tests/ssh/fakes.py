"""An in-memory pod: verified fakes of what the front door asks for, and a factory over them."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from twisted.conch.ssh.keys import Key
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.messages import OPEN_ADMINISTRATIVELY_PROHIBITED
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.domain.addresses import read_networks
from tunnelcloud.net.source_limits import FloodControl, FloodLimits
from tunnelcloud.ssh.checkers import checkers_of
from tunnelcloud.ssh.factory import FrontDoorFactory
from tunnelcloud.ssh.interfaces import (
    DoctorStep,
    IAccess,
    ISessionAvatar,
    ISessionConnection,
    ISessionInformation,
    LoginAttempt,
    LoginRefused,
    TunnelRow,
    TunnelTraffic,
)
from tunnelcloud.ssh.limits import Limits

T = TypeVar("T")
TOKEN = "abcdefghijklmnopqrstuvwxyz"
HOST_KEY = Key(ed25519.Ed25519PrivateKey.generate())
RSA_HOST_KEY = Key(rsa.generate_private_key(public_exponent=65537, key_size=3072))
ECDSA_HOST_KEY = Key(ec.generate_private_key(ec.SECP256R1()))
USER_KEY = Key(ed25519.Ed25519PrivateKey.generate())


@implementer(IAccess)
class InMemoryAccess:
    """Keys and tokens in dictionaries; ``answer`` decides when a verdict comes."""

    def __init__(self) -> None:
        self.keys: dict[bytes, str] = {}
        self.tokens: dict[str, str] = {}
        self.spent: set[str] = set()
        self.sessions: dict[str, LoginAttempt] = {}
        self.offers: list[bytes] = []
        self.failures: list[tuple[LoginAttempt, str, str]] = []
        self.link: Any = None
        self.confirmed = False
        self.offered: list[LoginAttempt] = []
        self.holders: dict[Any, LoginAttempt] = {}
        self.withdrawn: list[Any] = []
        self.used: list[Any] = []
        self.answer: Callable[[Deferred[Any]], Deferred[Any]] = lambda verdict: verdict

    def is_registered(self, key_blob: bytes) -> Deferred[bool]:
        self.offers.append(key_blob)
        return self.answer(succeed(key_blob in self.keys))

    def login_with_key(self, attempt: LoginAttempt, key_blob: bytes) -> Deferred[str]:
        if not self._opens(attempt, self.keys.get(key_blob)):
            return self.answer(fail(LoginRefused(offence=False)))
        return self._start(attempt)

    def login_with_token(self, attempt: LoginAttempt, token: str) -> Deferred[str]:
        if not self._opens(attempt, self.tokens.get(token)):
            return self.answer(fail(LoginRefused()))
        if token in self.spent:
            refusal = LoginRefused("this token was used at 12:00", offence=False)
            return self.answer(fail(refusal))
        self.spent.add(token)
        return self._start(attempt)

    def offer_browser(self, attempt: LoginAttempt, held: Any = None) -> Any:
        if held is not None:
            if self.holders.get(held) == attempt:
                return held
            self.withdraw_browser(held)
        self.offered.append(attempt)
        if self.link is not None:
            self.holders[self.link] = attempt
        return self.link

    def withdraw_browser(self, offer: Any) -> None:
        self.withdrawn.append(offer)

    def login_by_browser(self, attempt: LoginAttempt, offer: Any) -> Deferred[str]:
        if not self.confirmed:
            return self.answer(fail(LoginRefused("not confirmed yet", offence=False)))
        self.used.append(offer)
        return self._start(attempt)

    def login_failed(self, attempt: LoginAttempt, method: str, reason: str) -> None:
        self.failures.append((attempt, method, reason))

    def _opens(self, attempt: LoginAttempt, user: str | None) -> bool:
        return user is not None and attempt.login_name in (user.encode(), b"tcptunnel")

    def _start(self, attempt: LoginAttempt) -> Deferred[str]:
        session_id = f"session-{len(self.sessions) + 1}"
        self.sessions[session_id] = attempt
        return self.answer(succeed(session_id))


@implementer(IChannelUser)
class Echo:
    """Sends back what it gets; a half-closed stream is answered whole."""

    def __init__(self, channel: IChannel) -> None:
        self.channel = channel
        self.received = 0
        self.ended: str | None = None
        self._pending = 0
        self._eof = False

    def opened(self) -> None:
        raise AssertionError("nobody opens this way")

    def open_failed(self, reason_code: int, description: str) -> None:
        raise AssertionError("nobody opens this way")

    def data_received(self, data: memoryview) -> None:
        self.received += len(data)
        self._pending += len(data)
        self.channel.write(bytes(data))

    def drained(self, count: int) -> None:
        self._pending -= count
        self.channel.consumed(count)
        self._finish()

    def peer_closed(self) -> None:
        self.channel.close("closed by the peer")

    def eof_received(self) -> None:
        self._eof = True
        self._finish()

    def _finish(self) -> None:
        if self._eof and not self._pending:
            self.channel.send_eof()
            self.channel.close()

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        return False

    def closed(self, clean: bool, reason: str) -> None:
        self.ended = reason


@implementer(ISessionAvatar, ISessionInformation)
class Avatar:
    """A session that echoes every forward to ``echo:7`` and refuses the others."""

    notice = ""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.user_id = "usr_alice"
        self.waits: Sequence[str] = ()
        self.connection: ISessionConnection | None = None
        self.echoes: list[Echo] = []
        self.ended: list[str] = []
        self.logouts = 0
        self.rows = (
            TunnelRow(
                "db",
                "The \x1b[31mdatabase",
                "Ready",
                "ssh -N …",
                lambda: {"name": "db", "ports": [1]},
            ),
            TunnelRow(
                "web", "", "site paris: no connector", "ssh -N … web", lambda: {"name": "web"}
            ),
        )
        self.counts = {"db": TunnelTraffic(0, 0, 0)}

    def attached(self, connection: ISessionConnection) -> None:
        assert self.connection is None
        self.connection = connection

    def direct_tcpip_requested(
        self, channel: IChannel, host: bytes, port: int, originator: tuple[str, int]
    ) -> None:
        if (host, port) != (b"echo", 7):
            channel.refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, "echo: port 7 is published")
            return
        echo = Echo(channel)
        self.echoes.append(echo)
        channel.user = echo
        channel.confirm()

    @property
    def information(self) -> "Avatar":
        return self

    def tunnels(self) -> Deferred[Sequence[TunnelRow]]:
        return succeed(self.rows)

    def in_place(self, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        return Deferred.fromCoroutine(work())

    def in_turns(self, steps: Iterator[Deferred[None] | None]) -> Deferred[None]:
        async def go() -> None:
            for awaited in steps:
                if awaited is not None:
                    await awaited

        return Deferred.fromCoroutine(go())

    def jump(self) -> str:
        return "alice@pod.example.com:2222"

    def waiting(self) -> Sequence[str]:
        return self.waits

    def traffic(self) -> Mapping[str, TunnelTraffic]:
        return self.counts

    async def doctor(self, tunnel_name: str) -> AsyncIterator[DoctorStep]:
        if tunnel_name not in ("db", "web"):
            raise LookupError(tunnel_name)
        yield DoctorStep("grant", True, 0.1, "alice may")
        yield DoctorStep("connect", tunnel_name == "db", 12.5, "10.0.0.5:5432")

    def logged_out(self, reason: str) -> None:
        self.ended.append(reason)

    def logout(self) -> None:
        self.logouts += 1


@implementer(IRealm)
class Realm:
    """Keeps the avatars it made, by session id."""

    def __init__(self) -> None:
        self.avatars: dict[str, Avatar] = {}

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: Any) -> Any:
        assert ISessionAvatar in interfaces
        assert avatarId not in self.avatars, "one session, one avatar"
        avatar = self.avatars[avatarId] = Avatar(avatarId)
        return ISessionAvatar, avatar, avatar.logout


class Pod:
    """A front door over an in-memory pod, with one key and one token of alice's."""

    def __init__(
        self,
        clock: IReactorTime,
        limits: Limits | None = None,
        flood_limits: FloodLimits | None = None,
        balancers: Sequence[str] = (),
        exempt: Sequence[str] = (),
    ) -> None:
        self.clock = clock
        self.access = InMemoryAccess()
        self.access.keys[USER_KEY.blob()] = "alice"
        self.access.tokens[TOKEN] = "alice"
        self.realm = Realm()
        self.flood = FloodControl(
            clock, lambda: 0.5, flood_limits, read_networks((*exempt, *balancers))
        )
        self.budget = CreditBudget()
        self.factory = FrontDoorFactory(
            portal=Portal(self.realm, checkers_of(self.access)),
            access=self.access,
            host_keys=[HOST_KEY, RSA_HOST_KEY, ECDSA_HOST_KEY],
            clock=clock,
            flood=self.flood,
            budget=self.budget,
            limits=limits,
            balancers=balancers,
        )

    @property
    def avatar(self) -> Avatar:
        """The only avatar there is."""
        (avatar,) = self.realm.avatars.values()
        return avatar
