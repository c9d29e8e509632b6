"""Channels that wait for an approval: neither confirmed nor refused, and not dialled.

A request for a held channel's tunnel waits in the store, where its approvers see it.  An approval
makes a grant, the grant changes the user's view, and the channel is decided on again like any
other.  After a refusal, or without an answer in time, the channel is refused with the reason.  It
ends with its client.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.messages import OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_CONNECT_FAILED
from tunnelcloud.channels.unconfirmed import UnconfirmedUser
from tunnelcloud.domain.approvals import ApprovalRequest, RequestStatus
from tunnelcloud.domain.entities import Session
from tunnelcloud.domain.objects.policies import Approval, Policy
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy_sentences import waits_at
from tunnelcloud.net.escaping import escape
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.store import approvals, users
from tunnelcloud.store.transaction import Change, Resync, Transaction

_STDIO_ORIGINATOR = ("127.0.0.1", 65535)
"""The origin that OpenSSH names for a connection without one."""

_LONGEST_ANSWER = 500

_LOOKED_AT_ONCE = 200
"""How many requests are looked up together when changes may have been missed."""


@implementer(IChannelUser)
@define(eq=False)
class HeldChannel(UnconfirmedUser):
    """One channel that waits.

    :ivar originator: the origin that the client claims for the connection.
    :ivar on_over: called once, when the channel no longer waits.
    :ivar on_refused: passes a refusal on to the client, with a reason code and its words.
    """

    channel: IChannel
    session: Session
    tunnel: Tunnel
    policy: Policy
    destination: str
    port: int
    originator: tuple[str, int]
    on_over: Callable[[HeldChannel], None]
    on_refused: Callable[[HeldChannel, int, str], None]
    over: bool = field(default=False, init=False)

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for all channels that wait for the same request."""
        confirms = self.policy.approval is Approval.SELF
        source = self.session.source_ip if confirms else ""
        return self.session.user_id, self.tunnel.id, self.policy.id, source

    @property
    def is_stdio(self) -> bool:
        """Whether it is OpenSSH's ``-W``, which connects no socket of its own and ends with it."""
        return self.originator == _STDIO_ORIGINATOR

    def release(self) -> None:
        """Stop waiting; without effect the second time."""
        if not self.over:
            self.over = True
            self.on_over(self)

    def refuse(self, reason_code: int, text: str) -> None:
        """Refuse the channel, unless it is over."""
        if not self.over:
            self.release()
            self.on_refused(self, reason_code, text)

    def closed(self, clean: bool, reason: str) -> None:
        """The client is gone."""
        self.release()


Ask = Callable[[HeldChannel], "Deferred[ApprovalRequest]"]
Look = Callable[[Collection[str]], "Deferred[list[ApprovalRequest]]"]


@define(eq=False)
class _Waiting:
    """The channels that wait for one request."""

    channels: dict[HeldChannel, IDelayedCall] = field(factory=dict)
    request: ApprovalRequest | None = None


class HeldChannels:
    """The channels of this pod that wait for approvals.

    :param ask: creates the request of a channel, or finds the pending one.
    :param look: reads the state of requests, by their ids.
    :ivar page: gives the address of the page that lists requests; each has its own below it.
    """

    def __init__(self, ask: Ask, look: Look, clock: IReactorTime, page: Callable[[], str]) -> None:
        self._ask = ask
        self._look = look
        self._clock = clock
        self.page = page
        self._waiting: dict[tuple[str, ...], _Waiting] = {}
        self._by_request: dict[str, _Waiting] = {}
        self._of_user: dict[str, dict[tuple[str, ...], _Waiting]] = {}
        self._lines: dict[str, dict[tuple[str | None, str], Sequence[str]]] = {}

    def __len__(self) -> int:
        return sum(len(one.channels) for one in self._waiting.values())

    def hold(self, held: HeldChannel) -> None:
        """Let a channel wait; :meth:`let_go` ends that."""
        held.channel.user = held
        self._lines.pop(held.session.user_id, None)
        waiting = self._waiting.get(held.key)
        first = waiting is None
        if waiting is None:
            waiting = self._waiting[held.key] = _Waiting()
            self._of_user.setdefault(held.session.user_id, {})[held.key] = waiting
        waiting.channels[held] = self._clock.callLater(
            held.policy.approval_wait_seconds, self._unanswered, held
        )
        if first:
            asked = self._ask(held)
            asked.addCallbacks(
                self._tell, self._unasked, callbackArgs=(waiting,), errbackArgs=(waiting,)
            )
        elif waiting.request is not None:
            self._tell(waiting.request, waiting)

    def let_go(self, held: HeldChannel) -> None:
        """Forget a channel that no longer waits."""
        waiting = self._waiting.get(held.key)
        if waiting is None or held not in waiting.channels:
            return
        self._lines.pop(held.session.user_id, None)
        timer = waiting.channels.pop(held)
        if timer.active():
            timer.cancel()
        if not waiting.channels:
            del self._waiting[held.key]
            of_user = self._of_user[held.session.user_id]
            del of_user[held.key]
            if not of_user:
                del self._of_user[held.session.user_id]
            if waiting.request is not None:
                self._by_request.pop(waiting.request.id, None)

    def lines(self, user_id: str, tunnel_id: str | None) -> Sequence[str]:
        """Say what a user's channels wait for, a line for each request.

        Sessions ask each second: the same lines are given until something changes.

        :param tunnel_id: the only tunnel that matters; None for all.
        """
        waiting = self._of_user.get(user_id)
        if waiting is None:
            return ()
        kept, kind = self._lines.setdefault(user_id, {}), (tunnel_id, self.page())
        if kind not in kept:
            kept[kind] = tuple(self._make_lines(waiting.values(), tunnel_id))
        return kept[kind]

    def _make_lines(self, waiting: Iterable[_Waiting], tunnel_id: str | None) -> Iterator[str]:
        for one in waiting:
            first = next(iter(one.channels))
            if one.request is not None and tunnel_id in (None, first.tunnel.id):
                yield waits_at(first.tunnel.name, first.policy, self._where(one.request))

    def _where(self, request: ApprovalRequest) -> str:
        return f"{self.page()}/{request.id}"

    def changed(self, change: Change | Resync) -> None:
        """Hear of a change from the change feed: a request may have been refused."""
        if isinstance(change, Resync):
            self._look_at_some(iter(tuple(self._by_request)))
        elif change.kind == "request" and change.id in self._by_request:
            self._look_at_some(iter((change.id,)))

    def _look_at_some(self, ids: Iterator[str]) -> None:
        """Look up the requests with these ids, so many at a time."""
        some = tuple(islice(ids, _LOOKED_AT_ONCE))
        if some:
            looked = self._look(some).addCallback(self._looked)
            looked.addCallback(lambda _: self._look_at_some(ids)).addErrback(_failed)

    def _looked(self, requests: Iterable[ApprovalRequest]) -> None:
        for request in requests:
            waiting = self._by_request.get(request.id)
            if waiting is not None:
                self._tell(request, waiting)

    def _unasked(self, failure: Failure, waiting: _Waiting) -> None:
        OUTAGES.tell(failure, "requests for approval can't be made")
        for held in tuple(waiting.channels):
            text = f"{held.tunnel.name}: the pod can't ask for an approval now; try again soon"
            held.refuse(OPEN_CONNECT_FAILED, text)

    def _tell(self, request: ApprovalRequest, waiting: _Waiting) -> None:
        """Refuse the channels of refused requests.  An approval changes the user's view instead."""
        waiting.request = request
        if waiting.channels:
            self._by_request[request.id] = waiting
            self._lines.pop(next(iter(waiting.channels)).session.user_id, None)
        if request.status is not RequestStatus.REFUSED:
            return
        for held in tuple(waiting.channels):
            text = f"{held.tunnel.name}: refused by {request.decided_by}"
            # Somebody else typed it, and a client may show it to a terminal as it is.
            words = f"{text}: {escape(request.answer, _LONGEST_ANSWER)}" if request.answer else text
            held.refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, words)

    def _unanswered(self, held: HeldChannel) -> None:
        waiting = self._waiting.get(held.key)
        request = None if waiting is None else waiting.request
        where = "" if request is None else f" at {self._where(request)}"
        seconds = held.policy.approval_wait_seconds
        if held.policy.approval is Approval.SELF:
            text = f"confirm it in the portal{where} and connect again"
        else:
            text = f"nobody has approved it for {seconds} s; once it is{where}, connect again"
            if held.policy.emergency_seconds is not None:
                text += "; in an emergency, open it yourself there"
        held.refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, f"{held.tunnel.name}: {text}")


def ask_for_channel(transaction: Transaction, held: HeldChannel) -> ApprovalRequest:
    """Create the request of a channel; a function of the store."""
    return approvals.ask(
        transaction,
        users.get(transaction, held.session.user_id),
        held.tunnel,
        held.policy,
        source_ip=held.session.source_ip,
        client=held.session.client_version,
        session_id=held.session.id,
    )


def _failed(failure: Failure) -> None:
    OUTAGES.tell(failure, "requests for approval can't be looked up")
