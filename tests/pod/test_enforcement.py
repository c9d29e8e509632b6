"""What is no longer allowed ends, also when the notice of it comes before the session."""

import sys
from datetime import timedelta

from attrs import evolve
from twisted.internet.defer import fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, grant, policy, tunnel, view
from tests.pod.fakes import Connection, Link, World
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.schedule import BadWindow
from tunnelcloud.pod.enforcement import RETRY_SECONDS, UNREAD, Enforcement
from tunnelcloud.pod.live_session import NOTHING_LEFT, LiveSession
from tunnelcloud.pod.user_views import Views
from tunnelcloud.pod.work_in_turns import STEPS, Turns
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.sessions import EndRequest
from tunnelcloud.store.transaction import Change, Resync


def most_in_a_turn(clock, progress, wanted):
    """Turn the clock as a reactor turns, and tell the longest way that one turn went."""
    most = 0
    for _ in range(wanted):
        before = progress()
        if before >= wanted:
            return most
        calls, clock.calls = clock.calls, []
        for call in calls:
            if call.active() and call.getTime() <= clock.seconds():
                call.called = 1
                call.func(*call.args, **call.kw)
            else:
                clock.calls.append(call)
        most = max(most, progress() - before)
    raise AssertionError(f"{progress()} of {wanted}")


class EnforcementCase(SynchronousTestCase):
    """Alice's two sessions on a pod, and a store that is asked."""

    def setUp(self):
        self.world = World(view(grant(tunnel("db", "10.0.0.1"))))
        self.deleted = set()
        self.wanted = {}
        self.instead = []
        self.asked = []
        self.loads = []
        self.reviewed = []
        self.is_current = True
        self.enforcement = Enforcement(
            self.world.sessions,
            Views(self.load, lambda: self.is_current),
            self.world.clock,
            Turns(self.world.clock),
            end_requests=self.end_requests,
            good_keys=self.good_keys,
            reconcile=lambda: succeed(self.instead),
            review_links=lambda ids: succeed(self.reviewed.append(ids)),
        )

    def load(self, user_ids):
        self.loads.append(list(user_ids))
        return succeed(dict.fromkeys(user_ids, self.world.views.view))

    def end_requests(self):
        self.asked.append("ends")
        return succeed(
            [EndRequest(kind, one, "ses_2", why) for (kind, one), why in self.wanted.items()]
        )

    def good_keys(self, key_ids):
        self.asked.append(set(key_ids))
        return succeed(frozenset(key_ids) - self.deleted)

    def hear(self, *changes):
        for change in changes:
            self.enforcement.changed(change)
        self.world.clock.pump([0] * 4)

    def begin(self):
        session = evolve(self.world.session, id="ses_2", key_id="key_1")
        live = self.world.sessions.begin(session)
        connection = Connection()
        live.attached(connection)
        return connection


class OvertakenTests(EnforcementCase):
    """On PostgreSQL notices come by a connection of their own, and may overtake an answer."""

    def test_a_key_that_was_deleted_before_its_session_was_there(self):
        self.deleted.add("key_1")
        self.hear(Change("key", "key_1"))
        connection = self.begin()
        self.assertEqual(connection.ended, [])
        self.enforcement.sweep()
        self.assertEqual(connection.ended, ["the key was revoked"])

    def test_a_session_that_somebody_ended_before_it_was_there(self):
        self.wanted["session", "ses_2"] = "ended by root"
        self.hear(Change("session", "ses_2"))
        connection = self.begin()
        self.enforcement.sweep()
        self.assertEqual(connection.ended, ["ended by root"])

    def test_what_somebody_wanted_ended_while_the_pod_was_taken_for_dead(self):
        connection = self.begin()
        self.hear(Resync())
        self.assertEqual(connection.ended, [])
        self.instead.append(EndRequest("session", "ses_2", "ses_2", "ended by root"))
        self.hear(Resync())
        self.assertEqual(connection.ended, ["ended by root"])
        self.assertEqual(self.world.connection.ended, [])

    def test_what_was_heard_is_forgotten(self):
        self.begin()
        self.hear(Change("key", "key_1"))
        for _ in range(20):
            self.enforcement.sweep()
        self.assertLess(len(self.asked), 8)


class FailedReadTests(EnforcementCase):
    """What couldn't be read once is read again, whether or not anything more is heard."""

    def fail_once(self, name):
        """Have one of the store's answers fail."""
        answer, failing = getattr(self, name), [StoreUnavailable("the disk is full")]

        def fails(*args):
            return fail(failing.pop()) if failing else answer(*args)

        return fails

    def wait(self):
        self.world.clock.pump([RETRY_SECONDS, *[0] * 4])

    def test_a_view(self):
        connection = self.begin()
        self.enforcement._views._load = self.fail_once("load")
        self.world.views.view = view()
        self.hear(Change("tunnel", "tun_db", True, ("tun_db",)))
        self.assertEqual(connection.ended, [])
        # Whoever opens a channel has the view read; the older channels go on nonetheless.
        self.enforcement._views.get("usr_alice")
        self.hear(Change("tunnel", "tun_x", True, ("tun_x",)))
        self.assertEqual(connection.ended, [])
        self.wait()
        self.assertEqual(connection.ended, [NOTHING_LEFT])

    def test_a_view_that_stays_unreadable(self):
        """What was taken away from its user may not go on for ever."""
        connection = self.begin()
        self.enforcement._longest_unread = 60
        self.enforcement._views._load = lambda _: fail(BadWindow("an unreadable row"))
        self.hear(Change("tunnel", "tun_db", True, ("tun_db",)))
        for _ in range(5):
            self.wait()
        self.assertEqual(connection.ended, [])
        self.wait()
        self.assertEqual(connection.ended, [UNREAD.format(60)])
        self.assertEqual(self.enforcement._unread_since, {})
        self.flushLoggedErrors(BadWindow)

    def test_who_comes_back_after_a_failure_long_ago(self):
        """They had no session when it was looked at again, so that nobody knew of the end of it."""
        connection = self.begin()
        self.enforcement._longest_unread = 60
        self.enforcement._views._load = self.fail_once("load")
        self.hear(Change("tunnel", "tun_db", True, ("tun_db",)))
        users = self.world.sessions.users
        self.world.sessions.users = lambda: ()
        self.wait()
        self.world.sessions.users = users
        self.world.clock.advance(1000)
        self.enforcement._views._load = self.fail_once("load")
        self.hear(Change("tunnel", "tun_db", True, ("tun_db",)))
        self.assertEqual(connection.ended, [])

    def test_a_view_that_is_readable_again(self):
        connection = self.begin()
        self.enforcement._longest_unread = 60
        self.enforcement._views._load = self.fail_once("load")
        self.hear(Change("tunnel", "tun_db", True, ("tun_db",)))
        for _ in range(10):
            self.wait()
        self.assertEqual((connection.ended, self.enforcement._unread_since), ([], {}))

    def test_what_somebody_wants_ended(self):
        connection = self.begin()
        self.wanted["session", "ses_2"] = "ended by root"
        self.enforcement._end_requests = self.fail_once("end_requests")
        self.hear(Change("session", "ses_2"))
        self.assertEqual(connection.ended, [])
        self.wait()
        self.assertEqual(connection.ended, ["ended by root"])

    def test_a_key(self):
        connection = self.begin()
        self.deleted.add("key_1")
        self.enforcement._good_keys = self.fail_once("good_keys")
        self.hear(Change("key", "key_1"))
        self.wait()
        self.assertEqual(connection.ended, ["the key was revoked"])

    def test_many_failures_are_looked_at_again_once(self):
        self.begin()
        self.enforcement._good_keys = lambda _: fail(StoreUnavailable("no answer"))
        for _ in range(3):
            self.hear(Change("key", "key_1"))
        del self.loads[:]
        self.wait()
        self.assertEqual(self.loads, [["usr_alice"]])
        self.assertEqual(len(self.world.clock.getDelayedCalls()), 1)


class RetitledTests(EnforcementCase):
    def test_a_title_that_changes_while_many_channels_are_checked(self):
        """Somebody looks at it meanwhile, so the view is read anew: the check goes on."""
        self.begin()
        views, checked = self.enforcement._views, []
        steps = self.enforcement._steps(self.world.views.view)
        views.get("usr_alice")
        self.patch(LiveSession, "recheck_route", lambda live, view, route: checked.append(route))
        for live in self.world.sessions.of_user("usr_alice"):
            live.routes.update(dict.fromkeys([object(), object()]))
        next(steps)
        self.world.views.view = evolve(self.world.views.view)
        views.changed(["tun_db"], decides=False)
        views.shown("usr_alice")
        list(steps)
        self.assertEqual(len(set(checked)), 4)


class ExpiredKeyTests(EnforcementCase):
    """No notice tells of a key that the clock ends."""

    def test_the_sessions_of_a_key_that_expired_end(self):
        connection = self.begin()
        self.deleted.add("key_1")
        self.enforcement.keys_expired({"key_9"})
        self.assertEqual(connection.ended, [])
        self.enforcement.keys_expired({"key_1", "key_9"})
        self.assertEqual(connection.ended, ["the key has expired"])

    def test_a_key_that_lasts_longer_by_now_goes_on(self):
        connection = self.begin()
        self.enforcement.keys_expired({"key_1"})
        self.assertEqual(connection.ended, [])

    def test_nothing_is_asked_without_a_key(self):
        self.begin()
        self.enforcement.keys_expired(frozenset())
        self.assertEqual(self.asked, [])


class CostTests(EnforcementCase):
    """What is heard in one turn is looked at together, and costs what it concerns."""

    def test_many_changes_are_one_load(self):
        self.hear(Resync())
        del self.loads[:]
        self.hear(*(Change("tunnel", "tun_db", True, ("tun_db",)) for _ in range(50)))
        self.assertEqual(self.loads, [["usr_alice"]])

    def test_what_concerns_nobody_here_is_not_looked_at(self):
        self.hear(Resync())
        del self.loads[:], self.asked[:]
        for change in (
            Change("tunnel", "tun_x", True, ("tun_x",)),
            Change("tunnel", "tun_db", False, ("tun_db",)),
            Change("assignment", "asg_9", True, ("grp_9",)),
            Change("key", "key_9"),
            Change("session", "ses_9"),
            Change("connector", "con_1", False),
        ):
            self.hear(change)
        self.assertEqual((self.loads, self.asked, self.reviewed), ([], [], [None]))

    def test_links_are_reviewed_by_what_concerns_them(self):
        self.hear(Change("connector", "con_1"), Change("site", "sit_1"))
        self.assertEqual(self.reviewed, [{"con_1", "sit_1"}])

    def test_a_resync_asks_once_for_all_sessions(self):
        for number in range(5):
            session = evolve(self.world.session, id=f"ses_{number + 5}", key_id=f"key_{number}")
            self.world.sessions.begin(session)
        self.hear(Resync())
        self.assertEqual(self.asked, ["ends", {f"key_{number}" for number in range(5)}])

    def test_a_channel_that_somebody_ended(self):
        session = evolve(self.world.session, id="ses_2")
        self.world.live = self.world.sessions.begin(session)
        self.world.links.links.append(Link("con_1"))
        client = self.world.open()
        self.world.links.links[0].answer()
        self.world.settle()
        [record] = [route.record for route in self.world.live.routes]
        self.wanted["channel", record.id] = "ended by root"
        self.hear(Change("channel", record.id))
        self.world.settle()
        self.assertIsNotNone(client.end)
        self.assertEqual(self.asked, ["ends"])


class SweepTests(EnforcementCase):
    """The clock's sweep looks at what is due, and at nothing else."""

    def setUp(self):
        super().setUp()
        self.world.links.links.append(Link("con_1"))

    def look(self, policies):
        self.world.views.view = view(grant(tunnel("db"), policies=policies))
        client = self.world.open()
        self.world.links.links[0].answer()
        self.world.settle()
        return client

    def decisions(self):
        live, counted = self.world.live, []
        before = live.recheck_route
        live.recheck_route = lambda *args: counted.append(before(*args))
        return counted

    def wait(self, seconds):
        for _ in range(seconds):
            self.world.clock.advance(1)
            self.enforcement.sweep()
            self.world.clock.advance(0)
            self.world.settle()

    def test_a_channel_without_an_end_is_never_looked_at(self):
        self.look((policy(source_networks=("192.0.2.0/24",), max_channels=5),))
        counted = self.decisions()
        self.wait(200)
        self.assertEqual(counted, [])

    def test_channels_that_wait_for_an_approval_are_never_looked_at(self):
        asked = policy(approval=Approval.OTHERS, approvers_id="grp_bosses")
        self.world.views.view = view(grant(tunnel("db"), policies=(asked,)))
        calls = []
        for count in (10, 20):
            while len(self.world.held) < count:
                self.world.open()
            self.loads.clear()
            profiled = []
            sys.setprofile(lambda frame, event, arg, profiled=profiled: profiled.append(event))
            self.enforcement.sweep()
            sys.setprofile(None)
            calls.append(len(profiled))
            self.assertEqual(self.loads, [])
        self.assertEqual(calls[0], calls[1])

    def test_a_right_that_ends(self):
        client = self.look((policy(valid_until=NOW + timedelta(seconds=90)),))
        counted = self.decisions()
        self.wait(89)
        self.assertIsNone(client.end)
        self.assertLess(len(counted), 3)
        self.wait(1)
        self.assertIsNotNone(client.end)

    def test_a_right_that_ends_while_no_changes_are_heard(self):
        """The database may be away for many minutes."""
        client = self.look((policy(valid_until=NOW + timedelta(seconds=90)),))
        self.wait(70)
        self.is_current = False
        self.wait(19)
        self.assertIsNone(client.end)
        self.wait(1)
        self.assertIsNotNone(client.end)

    def test_an_idle_channel(self):
        client = self.look((policy(idle_seconds=80),))
        counted = self.decisions()
        self.wait(50)
        client.write(10)
        self.world.settle()
        self.wait(79)
        self.assertIsNone(client.end)
        self.wait(12)
        self.assertIsNotNone(client.end)
        self.assertLess(len(counted), 20)

    def test_thousands_that_end_at_once_leave_turns_to_others(self):
        self.look((policy(valid_until=NOW + timedelta(seconds=5)),))
        [route] = self.world.live.routes
        looked = []
        self.world.live.recheck_route = lambda view, route: looked.append(route)
        self.enforcement._recheck_routes(self.world.views.view, [route] * 1000)
        most = most_in_a_turn(self.world.clock, lambda: len(looked), 1000)
        self.assertLessEqual(most, STEPS)
