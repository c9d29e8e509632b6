"""What another policy would cut is what enforcement would cut by it."""

from datetime import timedelta

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.costs import LINEAR, growth
from tests.domain.values import NOW, approval, grant, policy, tunnel, view
from tunnelcloud.domain.entities import Channel, Session, SessionMethod
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.policy_effects import (
    SESSION_TOO_OLD,
    OpenSession,
    cuts_of_user,
    with_policy,
)
from tunnelcloud.domain.schedule import parse_window

DB = tunnel("db")


def opened(number=1, channels=1, a_tunnel=DB, minutes=10, **others):
    session = Session(
        id=f"ses_{number}",
        user_id="usr_alice",
        user_name="alice",
        login_name="alice",
        client_version="",
        started_at=NOW - timedelta(minutes=minutes),
        **{"method": SessionMethod.KEY, "source_ip": "192.0.2.7", "pod_id": "pod_1", **others},
    )
    made = tuple(
        Channel(
            id=f"chn_{number}_{one}",
            session_id=session.id,
            tunnel_id=a_tunnel.id,
            destination=a_tunnel.name,
            port=5432,
            opened_at=NOW,
        )
        for one in range(channels)
    )
    return OpenSession(session, made, made[0].id if made else "")


class EffectTests(SynchronousTestCase):
    def cuts(self, conditions, *sessions, more=(), at=NOW):
        old = policy()
        before = view(grant(DB, policies=(old,)), *more)
        return list(cuts_of_user(with_policy(before, evolve(old, **conditions)), sessions, at))

    def test_nothing_changes(self):
        self.assertEqual(self.cuts({}, opened()), [])

    def test_a_network(self):
        [cut] = self.cuts({"source_networks": ("10.0.0.0/8",)}, opened(channels=2))
        self.assertEqual(len(cut.channels), 2)
        self.assertEqual(cut.reason, "db: not open to connections from 192.0.2.7")
        self.assertFalse(cut.ends)
        self.assertEqual(self.cuts({"source_networks": ("192.0.2.0/24",)}, opened()), [])

    def test_hours_over_midnight_and_several(self):
        night = parse_window("Thu 22:00-13:00 Europe/Paris")  # it is Friday, 13:00 in Paris
        self.assertEqual(len(self.cuts({"windows": (night,)}, opened())), 1)
        before = NOW - timedelta(seconds=1)
        self.assertEqual(self.cuts({"windows": (night,)}, opened(), at=before), [])
        noon = parse_window("Fri 12:00-13:00 UTC")
        self.assertEqual(self.cuts({"windows": (night, noon)}, opened()), [])

    def test_hours_in_a_zone_that_changes_its_clocks(self):
        """On 29 March 2026 it is 03:00 in Paris an hour after 01:00 there."""
        window = parse_window("Sun 03:00-04:00 Europe/Paris")
        for hour, open_then in ((0, False), (1, True), (2, False)):
            at = NOW.replace(day=29, hour=hour, minute=30)
            found = self.cuts({"windows": (window,)}, opened(), at=at)
            self.assertEqual(not found, open_then, hour)

    def test_another_path_is_enough(self):
        other = grant(DB, group_name="dba")
        narrow = {"source_networks": ("10.0.0.0/8",)}
        self.assertEqual(self.cuts(narrow, opened(), more=(other,)), [])

    def test_a_session_that_is_too_old_ends(self):
        self.assertEqual(self.cuts({"max_session_seconds": 601}, opened()), [])
        [cut] = self.cuts({"max_session_seconds": 600}, opened(channels=0))
        self.assertEqual((cut.ends, cut.reason), (True, SESSION_TOO_OLD))
        # Another tunnel is left to it: only the connections to this one go.
        other = grant(tunnel("web", "10.0.0.6"))
        [cut] = self.cuts({"max_session_seconds": 600}, opened(), more=(other,))
        self.assertEqual((cut.ends, len(cut.channels)), (False, 1))

    def test_as_many_as_are_too_many(self):
        [cut] = self.cuts({"max_channels": 2}, opened(channels=5))
        self.assertEqual(len(cut.channels), 3)
        found = self.cuts({"max_sessions": 2}, *(opened(number) for number in range(5)))
        self.assertEqual([one.session.id for one in found], ["ses_2", "ses_3", "ses_4"])
        # Each pod counts its own, as enforcement does.
        apart = [opened(number, pod_id=f"pod_{number}") for number in range(5)]
        self.assertEqual(self.cuts({"max_sessions": 2}, *apart), [])

    def test_an_approval_that_lasts_less(self):
        asking = evolve(policy(), approval=Approval.OTHERS)
        given = approval(asking, tunnel(), ends_at=NOW + timedelta(hours=1))
        narrower = evolve(asking, approval_seconds=60)
        one = evolve(view(grant(tunnel(), policies=(asking,))), approved=(given,))
        for seconds, lasts in ((59, True), (60, False)):
            at = NOW + timedelta(seconds=seconds)
            cuts = list(cuts_of_user(with_policy(one, narrower), [opened()], at))
            self.assertEqual(not cuts, lasts, seconds)

    def test_approvals(self):
        """What users confirm concerns the opening; what others allow, all of the stream."""
        self.assertEqual(self.cuts({"approval": Approval.SELF}, opened()), [])
        [cut] = self.cuts({"approval": Approval.OTHERS}, opened())
        self.assertIn("needs an approval", cut.reason)

    def test_many_sessions_of_one_user(self):
        """Four times as many sessions of one user take about four times as long."""

        def judge(sessions):
            self.cuts({"max_sessions": 1}, *sessions)

        def make(size):
            return [opened(number) for number in range(size)]

        self.assertLess(growth(judge, make, 600), LINEAR)
