"""What a preview of a policy says it would cut is what the pod cuts when it is saved."""

from datetime import timedelta

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, grant, policy, tunnel, view
from tests.pod.fakes import Connection, World
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.policy_effects import OpenSession, cuts_of_user, with_policy
from tunnelcloud.domain.schedule import parse_window

CHANGES = (
    {},
    {"source_networks": ("10.0.0.0/8",)},
    {"source_networks": ("192.0.2.0/24",)},
    {"windows": (parse_window("Fri 22:00-06:00 UTC"),)},
    {"windows": (parse_window("Thu 22:00-13:00 UTC"),)},
    {"valid_until": NOW},
    {"max_channels": 1},
    {"max_channels": 3},
    {"max_sessions": 1},
    {"max_sessions": 2},
    {"max_session_seconds": 60},
    {"max_session_seconds": 86_400},
    {"approval": Approval.SELF},
    {"approval": Approval.OTHERS},
)


class SameAsEnforcementTests(SynchronousTestCase):
    def open(self):
        """Begin two sessions, with two and one connections; both are ten minutes old."""
        self.old = policy()
        self.world = World(view(grant(tunnel("db"), policies=(self.old,))), "con_1")
        first = self.world.live
        second = self.world.sessions.begin(evolve(self.world.session, id="ses_2"))
        self.ended = {"ses_1": self.world.connection, "ses_2": Connection()}
        second.attached(self.ended["ses_2"])
        for live, count in ((first, 2), (second, 1)):
            self.world.live = live
            for _ in range(count):
                self.world.open()
                self.world.links.links[0].answer()
                self.world.settle()
        self.world.clock.advance(600)
        return first, second

    def opened(self, live):
        channels = tuple(route.record for route in live.routes)
        return OpenSession(live.session, channels, f"chn_{live.session.id}")

    def test_each_condition(self):
        for conditions in CHANGES:
            sessions = self.open()
            after = with_policy(self.world.views.view, evolve(self.old, **conditions))
            at = NOW + timedelta(seconds=600)
            said = {
                cut.session.id: (len(cut.channels), cut.ends)
                for cut in cuts_of_user(after, [self.opened(live) for live in sessions], at)
            }
            before = {live.session.id: len(live.routes) for live in sessions}
            for live in sessions:
                live.recheck(after)
            self.world.settle()
            cut = {}
            for live in sessions:
                _, limit = [(None, None), *self.ended[live.session.id].limits][-1]
                ends = limit is not None and limit <= 600
                lost = before[live.session.id] - len(live.routes)
                if lost or ends:
                    cut[live.session.id] = (lost, ends)
            self.assertEqual(said, cut, conditions)
