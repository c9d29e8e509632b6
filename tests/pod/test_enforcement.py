"""What is no longer allowed ends, also when the notice of it comes before the session."""

from attrs import evolve
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import grant, tunnel, view
from tests.pod.fakes import Connection, World
from tunnelcloud.pod.enforcement import CUT_OFF, Enforcement
from tunnelcloud.pod.views import Views
from tunnelcloud.store.transaction import Change, Resync


class OvertakenTests(SynchronousTestCase):
    """On PostgreSQL notices come by a connection of their own, and may overtake an answer."""

    def setUp(self):
        self.world = World(view(grant(tunnel("db", "10.0.0.1"))))
        self.deleted = set()
        self.wanted = {}
        self.closed = set()
        self.asked = []
        self.enforcement = Enforcement(
            self.world.sessions,
            Views(self.world.views.get, lambda: True),
            end_requested=lambda kind, id_: succeed(self.wanted.get((kind, id_))),
            key_is_good=self.key_is_good,
            closed_sessions=lambda ids: succeed([one for one in ids if one in self.closed]),
            review_links=lambda: succeed(None),
        )

    def key_is_good(self, key_id):
        self.asked.append(key_id)
        return succeed(key_id not in self.deleted)

    def begin(self):
        session = evolve(self.world.session, id="ses_2", key_id="key_1")
        live = self.world.sessions.begin(session)
        connection = Connection()
        live.attached(connection)
        return connection

    def test_a_key_that_was_deleted_before_its_session_was_there(self):
        self.deleted.add("key_1")
        self.enforcement.changed(Change("key", "key_1"))
        connection = self.begin()
        self.assertEqual(connection.ended, [])
        self.enforcement.sweep()
        self.assertEqual(connection.ended, ["the key was revoked"])

    def test_a_session_that_somebody_ended_before_it_was_there(self):
        self.wanted["session", "ses_2"] = "ended by root"
        self.enforcement.changed(Change("session", "ses_2"))
        connection = self.begin()
        self.enforcement.sweep()
        self.assertEqual(connection.ended, ["ended by root"])

    def test_a_session_that_another_pod_took_for_gone(self):
        connection = self.begin()
        self.enforcement.changed(Resync())
        self.assertEqual(connection.ended, [])
        self.closed.add("ses_2")
        self.enforcement.changed(Resync())
        self.assertEqual(connection.ended, [CUT_OFF])
        self.assertEqual(self.world.connection.ended, [])

    def test_what_was_heard_is_forgotten(self):
        self.begin()
        self.enforcement.changed(Change("key", "key_1"))
        for _ in range(20):
            self.enforcement.sweep()
        self.assertLess(len(self.asked), 8)
