"""Any interleaving of deliveries, pauses, writes, ends and losses; the invariants hold after each.

Messages keep their order on each wire, as TLS and SSH keep it; everything else is up to
Hypothesis.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from tests.channels.chains import Chain
from tests.channels.wires import End, Pair
from tunnelcloud.channels.channel import Channel
from tunnelcloud.channels.invariants import check_invariants
from tunnelcloud.channels.messages import OPEN_CONNECT_FAILED
from tunnelcloud.channels.states import Sending
from tunnelcloud.channels.windows import LARGEST_WINDOW

KIB = 1024

sizes = st.one_of(st.integers(0, 300), st.sampled_from([1 * KIB, 31 * KIB, 33 * KIB, 150 * KIB]))
CUTS = ["nothing"] * 20 + ["end closes"] * 2
CUTS += ["client closes"] * 3
CUTS += ["open given up", "permission gone", "near lost", "near leaves", "far lost"]
picks = st.integers(0, 1000)


class Interleavings(RuleBasedStateMachine):
    """Clients and targets on either side of a splice."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = Chain(limit=48 * KIB, max_channels=6)
        self.wires = (*self.chain.near.wires, *self.chain.far.wires)
        self.clients: list[End] = []
        self.targets: list[End] = []
        self.answered = 0
        self.near_lost = self.near_left = self.far_lost = False
        self.cut_off: set[int] = set()
        self.sent_before_close: dict[int, int] = {}
        self.states: dict[Channel, tuple[int, int]] = {}
        for _ in range(2):
            client = self.chain.ask()
            self.clients.append(client)
            self.target_answers(True)
            self.chain.settle()
            assert client.is_open

    # What happens.

    @precondition(lambda self: not self.near_lost)
    @rule()
    def client_asks(self) -> None:
        client = End()
        self.clients.append(client)
        client.channel = self.chain.near.a.open_channel(b"direct-tcpip", b"", client)

    @precondition(lambda self: len(self.chain.far.users[1].asked) > self.answered)
    @rule(yes=st.booleans())
    def target_answers(self, yes: bool) -> None:
        channel, _, number = self.chain.far.users[1].asked[self.answered]
        self.answered += 1
        if not yes:
            channel.refuse(OPEN_CONNECT_FAILED, "refused")
        elif channel.sending is Sending.REQUESTED:
            target = End()
            target.is_target = True
            target.channel = channel
            channel.user = target
            channel.confirm()
            target.is_open = True
            target.client = self.clients[int(number)]
            self.targets.append(target)

    @rule(wire=st.integers(0, 3), count=st.integers(1, 12))
    def wire_delivers(self, wire: int, count: int) -> None:
        for _ in range(count):
            self.wires[wire].deliver()

    @rule(wire=st.integers(0, 3), limit=st.sampled_from([0, 5 * KIB, 48 * KIB, 500 * KIB]))
    def wire_changes(self, wire: int, limit: int) -> None:
        self.wires[wire].limit = limit

    @rule(pick=picks, size=sizes)
    def end_writes(self, pick: int, size: int) -> None:
        end = self.some_open_end(pick)
        if end and not end.eof_sent:
            end.write(size)

    @rule(pick=picks, size=sizes)
    def end_reads(self, pick: int, size: int) -> None:
        end = self.some_open_end(pick)
        if end:
            end.consume(size)

    @rule(pick=picks)
    def end_reads_on(self, pick: int) -> None:
        end = self.some_open_end(pick)
        if end:
            end.eager = True
            end.consume(end.held)

    @rule(pick=picks)
    def end_sends_eof(self, pick: int) -> None:
        end = self.some_open_end(pick)
        if end:
            end.send_eof()

    @rule(pick=picks)
    def end_closes_after_both_ends(self, pick: int) -> None:
        end = self.some_open_end(pick)
        if end and end.eof_sent and end.eof_seen:
            end.channel.close()

    @rule(pick=picks, kind=st.sampled_from(CUTS))
    def something_is_cut_off(self, pick: int, kind: str) -> None:
        splices = self.chain.router.splices
        splice = splices[pick % len(splices)]
        end = self.some_open_end(pick)
        if kind == "open given up":
            splice.give_up(OPEN_CONNECT_FAILED, "no answer")
        elif kind == "permission gone":
            self.cut_off.add(splice.near.remote_number)
            splice.end("assignment removed")
        elif kind == "end closes" and end and end.is_target:
            self.cut_off.add(end.client.channel.number)
            end.channel.close("enough")
        elif kind in ("end closes", "client closes") and end and not end.is_target:
            self.sent_before_close[end.channel.number] = end.close()
        elif kind == "near leaves" and not self.near_lost:
            while self.chain.near.wires[0].deliver():
                pass  # a wire that was full takes more of what is queued
            for client in self.clients:
                if client.is_open and client.end is None:
                    left = client.written - client.channel.queued
                    self.sent_before_close[client.channel.number] = left
            self.near_lost = self.near_left = True
            self.chain.near.b.connection_lost("good-bye", in_order=True)
            self.chain.near.lose()
        elif kind == "near lost" and not self.near_lost:
            self.near_lost = True
            self.chain.near.lose()
        elif kind == "far lost" and not self.far_lost:
            self.far_lost = True
            self.chain.far.lose()

    def some_open_end(self, pick: int) -> "End | None":
        ends = [
            end
            for end in (*self.clients, *self.targets)
            if end.is_open and end.end is None and end.failure is None
        ]
        return ends[pick % len(ends)] if ends else None

    # What holds after each step.  (That bytes arrive whole and in order is End's to check.)

    @invariant()
    def no_rule_is_broken(self) -> None:
        assert [wire.ended for wire in self.wires] == [""] * 4

    @invariant()
    def channels_hold_what_they_say(self) -> None:
        multiplexers = [
            end for pair in (self.chain.near, self.chain.far) for end in (pair.a, pair.b)
        ]
        found = {channel for multiplexer in multiplexers for channel in multiplexer.channels}
        for channel in found | set(self.states):
            check_invariants(channel)
            before = self.states.get(channel, (0, 0))
            now = (channel.sending.value, channel.receiving.value)
            assert before[0] <= now[0], "sending went back"
            assert before[1] <= now[1], "receiving went back"
            self.states[channel] = now

    @property
    def channels_to_clients(self) -> set[Channel]:
        """The pod's, also those whose connection is gone, but not what came before their CLOSE."""
        return {*self.chain.near.b.channels, *(one.near for one in self.chain.router.splices)}

    @invariant()
    def credit_is_counted(self) -> None:
        # Of those whose connection is gone, bytes that came before the peer's CLOSE still count.
        ends = {
            self.chain.near.a: {one.channel for one in self.clients},
            self.chain.far.b: {one.channel for one in self.targets},
        }
        pairs: tuple[Pair, ...] = (self.chain.near, self.chain.far)
        for pair in pairs:
            for multiplexer, account, budget in zip(
                (pair.a, pair.b), pair.accounts, pair.budgets, strict=True
            ):
                channels = {*multiplexer.channels, *ends.get(multiplexer, ())}
                windows = [c.window for c in channels if c.window is not None]
                for window in windows:
                    assert window.size <= LARGEST_WINDOW
                    # One that was closed from here costs nothing, and keeps nothing (see below).
                    assert not window.size or window.granted + window.held <= window.size
                    assert min(window.granted, window.held) >= 0
                if multiplexer not in (self.chain.far.a, self.chain.near.b):
                    assert account.used == budget.used == sum(w.size for w in windows)
        pod = [c.window for c in (*self.channels_to_clients, *self.chain.far.a.channels)]
        assert self.chain.pod_credit == sum(w.size for w in pod if w is not None)

    @invariant()
    def what_the_pod_holds_was_granted(self) -> None:
        """What a splice queues on one side is what the other side's window pays for as held."""
        near, far = self.channels_to_clients, self.chain.far.a.channels
        for one, other in ((near, far), (far, near)):
            queued = sum(channel.queued for channel in one)
            windows = [c.window for c in other if c.window is not None]
            held = sum(window.held for window in windows if window.size)
            assert queued <= held

    @invariant()
    def clean_ends_are_whole(self) -> None:
        for end in (*self.clients, *self.targets):
            if end.end is not None and end.end[0]:
                assert end.eof_seen
                assert end.eof_sent

    def teardown(self) -> None:
        """Let everything run out: what was not cut off arrives, and nothing is left."""
        for end in (*self.clients, *self.targets):
            if end.is_open and end.end is None:
                end.eager = True
                end.consume(end.held)
                end.send_eof()
        while len(self.chain.far.users[1].asked) > self.answered:
            self.target_answers(yes=False)
        self.settle()
        for end in (*self.clients, *self.targets):
            if end.is_open and end.end is None:
                end.consume(end.held)
                end.send_eof()
                self.settle()
                end.channel.close()
            self.settle()
        self.no_rule_is_broken()
        for multiplexer in (
            self.chain.near.a,
            self.chain.near.b,
            self.chain.far.a,
            self.chain.far.b,
        ):
            assert multiplexer.channel_count == 0
        for pair in (self.chain.near, self.chain.far):
            assert [budget.used for budget in pair.budgets] == [0, 0]
        for client in self.clients:
            assert client.failure is not None or client.end is not None
        for target in self.targets:
            self.judge(target, target.client)

    def judge(self, target: End, client: End) -> None:
        """Compare both ends of a stream that nobody cut off."""
        number = client.channel.number
        assert target.end is not None
        if self.far_lost or number in self.cut_off:
            return
        if number in self.sent_before_close:
            if not self.near_lost or self.near_left:
                assert target.received == self.sent_before_close[number]
                assert target.end == (True, "")
        elif not self.near_lost and client.failure is None:
            assert (client.end, target.end) == ((True, ""), (True, ""))
            assert client.received == target.written
            assert target.received == client.written

    def settle(self) -> None:
        for wire in self.wires:
            wire.limit = 48 * KIB
        self.chain.settle()
        while len(self.chain.far.users[1].asked) > self.answered:
            self.target_answers(yes=False)
            self.chain.settle()


class InterleavingTests(SynchronousTestCase):
    def test_any_interleaving(self) -> None:
        run_state_machine_as_test(
            Interleavings,
            settings=settings(
                max_examples=60,
                stateful_step_count=60,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
