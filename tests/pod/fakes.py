"""What the pod's switch leans on, in memory."""

from datetime import timedelta

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from tests.channels.wires import End, Pair
from tests.domain.values import NOW
from tunnelcloud.domain.approvals import ApprovalRequest, RequestStatus
from tunnelcloud.domain.entities import Channel, Session, SessionMethod
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pod.counters import Counters
from tunnelcloud.pod.held_channels import HeldChannels
from tunnelcloud.pod.interfaces import IAttachedLink, ILinks, IRecords, IViews
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.session_dependencies import Surroundings
from tunnelcloud.pod.work_in_turns import Turns
from tunnelcloud.ssh.interfaces import ISessionConnection, TunnelRow
from tunnelcloud.store.errors import LimitReached


@implementer(IRecords)
class Records:
    """Keeps what was recorded; holds answers back while ``slow``.

    ``elsewhere`` is how many sessions and channels users have on other pods.
    """

    elsewhere = None

    def __init__(self):
        self.told = []
        self.opened = {}
        self.at_once = []
        self.acknowledged = []
        self.slow = False
        self.withheld = []

    def channel_opened(self, session, tunnel, destination, port, limits=None):
        if self.elsewhere is not None and limits is not None:
            reason = limits.reached(tunnel.name, *self.elsewhere)
            if reason:
                return fail(LimitReached(reason))
        self.told.append(("opened", tunnel.name, destination, port))
        record = Channel(
            id=f"chn_{len(self.told)}",
            session_id=session.id,
            tunnel_id=tunnel.id,
            destination=destination,
            port=port,
            opened_at=NOW,
        )
        self.opened[record.id] = tunnel.name
        return self._answer(record)

    def _answer(self, record):
        if not self.slow:
            return succeed(record)
        answer = Deferred()
        self.withheld.append((answer, record))
        return answer

    def release(self):
        for answer, record in self.withheld:
            answer.callback(record)

    def channel_closed(
        self,
        channel,
        connector_id,
        reason,
        to_target,
        from_target,
        *,
        acknowledged=False,
        at_once=False,
    ):
        name = self.opened[channel.id]
        self.told.append(("closed", name, connector_id, reason, to_target, from_target))
        self.at_once.append(at_once)
        self.acknowledged.append(acknowledged)

    def channel_refused(self, session, tunnel, destination, port, reason):
        self.told.append(("refused", destination, port, reason))
        return self._answer(None)

    def session_ended(self, session, reason, to_target, from_target, *, at_once=False):
        self.told.append(("session ended", reason, to_target, from_target))
        self.at_once.append(at_once)


@implementer(IAttachedLink)
class Link:
    """A connector at the other end of an in-memory wire."""

    def __init__(self, connector_id):
        self.connector_id = connector_id
        self.pair = Pair()
        self.multiplexer = self.pair.a
        self.silence = 0.0
        self.probes = 0

    way = "directly"

    def probe(self):
        self.probes += 1

    @property
    def asked(self):
        return self.pair.users[1].asked

    def answer(self, end=None):
        """Confirm the open that came last."""
        self.pair.settle()
        channel = self.asked[-1][0]
        channel.user = end or End()
        channel.user.channel = channel
        channel.confirm()
        self.pair.settle()
        return channel.user

    def refuse(self, code):
        self.pair.settle()
        self.asked[-1][0].refuse(2, code)
        self.pair.settle()


@implementer(ILinks)
class Links:
    def __init__(self, *links):
        self.links = list(links)

    def pick(self, site_id, exclude=frozenset()):
        able = (each for each in self.links if each.connector_id not in exclude)
        return next((link for link in able if not link.multiplexer.lost), None)


@implementer(IViews)
class Views:
    def __init__(self, view):
        self.view = view

    def get(self, user_id):
        return succeed(self.view)

    shown = get


class Approvals:
    """The requests that were asked, and what has become of each."""

    def __init__(self):
        self.requests = {}
        self.asked = []

    def ask(self, held):
        self.asked.append(held)
        request_id = f"req_{len(self.asked)}"
        self.requests[request_id] = ApprovalRequest(
            id=request_id,
            created_at=NOW,
            user_id=held.session.user_id,
            user_name=held.session.user_name,
            tunnel_id=held.tunnel.id,
            tunnel_name=held.tunnel.name,
            policy_id=held.policy.id,
            approval=held.policy.approval,
            approvers_id=held.policy.approvers_id,
            source_ip=held.session.source_ip,
            client=held.session.client_version,
            reason="",
            seconds=held.policy.approval_seconds,
            status=RequestStatus.PENDING,
            expires_at=NOW,
        )
        return succeed(self.requests[request_id])

    def look(self, ids):
        return succeed([self.requests[one] for one in ids])

    def refuse(self, request_id, answer=""):
        self.requests[request_id] = evolve(
            self.requests[request_id],
            status=RequestStatus.REFUSED,
            decided_by="bob",
            answer=answer,
        )


@implementer(ISessionConnection)
class Connection:
    source = "192.0.2.7"

    def __init__(self):
        self.ended = []
        self.limits = []

    def end(self, reason):
        self.ended.append(reason)

    def limit(self, idle_seconds, session_seconds):
        self.limits.append((idle_seconds, session_seconds))


class World:
    """A client with a live session, a pod's switch, and connectors."""

    def __init__(
        self,
        view,
        *connector_ids,
        method=SessionMethod.KEY,
        login_name="alice",
        tunnel_id=None,
        shares=None,
        max_channels=5000,
    ):
        self.clock = Clock()
        self.records = Records()
        self.counters = Counters()
        self.views = Views(view)
        self.links = Links(*map(Link, connector_ids))
        self.approvals = Approvals()
        self.held = HeldChannels(
            self.approvals.ask,
            self.approvals.look,
            self.clock,
            lambda: "https://portal.example.com/requests",
        )
        self.sessions = LiveSessions(
            Surroundings(
                spread=Spreading(self.clock).run,
                links=self.links,
                records=self.records,
                views=self.views,
                clock=self.clock,
                now=lambda: NOW + timedelta(seconds=self.clock.seconds()),
                describe=lambda view, session, tunnel, decision: TunnelRow(
                    tunnel.name, "", "Ready", "", dict
                ),
                doctor=None,
                turns=Turns(self.clock),
                address=lambda: PublicAddress("pod.example.com", 2222),
                held=self.held,
                counters=self.counters,
            ),
            shares,
            max_channels,
        )
        self.session = Session(
            id="ses_1",
            user_id=view.user.id,
            user_name=view.user.name,
            method=method,
            login_name=login_name,
            source_ip="192.0.2.7",
            client_version="OpenSSH_9.2",
            pod_id="pod_1",
            started_at=NOW,
            tunnel_id=tunnel_id,
        )
        self.live = self.sessions.begin(self.session)
        self.connection = Connection()
        self.live.attached(self.connection)
        self.client = Pair()

    def open(self, host="db", port=5432, originator=("127.0.0.1", 1)):
        """Ask for a forward as a client; its end hears the outcome."""
        end = End()
        end.channel = self.client.a.open_channel(b"direct-tcpip", b"", end)
        self.client.settle()
        channel = self.client.users[1].asked[-1][0]
        self.live.direct_tcpip_requested(channel, host.encode(), port, originator)
        self.settle()
        return end

    def settle(self):
        for _ in range(3):
            self.client.settle()
            for link in self.links.links:
                link.pair.settle()
