"""The pod as the API and the pages see it."""

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import grant, tunnel, view
from tests.pod.fakes import World
from tunnelcloud.pod.live_pod import LivePod
from tunnelcloud.pod.session_information import TOO_MANY_CHECKS
from tunnelcloud.pod.user_shares import Shares


class Checks:
    """Checks that end when a test says so."""

    def __init__(self):
        self.begun = []

    async def check(self, tunnel, port):
        self.begun.append(Deferred())
        return await self.begun[-1]


class CheckTests(SynchronousTestCase):
    def setUp(self):
        self.checks, self.world = Checks(), World(view(grant(tunnel("db"))), "con_1")
        names = [one.name for one in attrs.fields(LivePod) if one.init]
        parts = {"checks": self.checks, "sessions": self.world.sessions}
        self.live = LivePod(**{**dict.fromkeys(names), **parts})

    def check(self, whose):
        return self.live.check_tunnel(tunnel("db"), 5432, whose)

    def test_a_user_has_a_share_of_the_checks(self):
        running = [self.check("usr_1") for _ in range(Shares().checks)]
        (refused,) = self.successResultOf(self.check("usr_1"))
        self.assertEqual((refused.ok, refused.text), (False, TOO_MANY_CHECKS))
        self.check("usr_2")
        self.assertEqual(len(self.checks.begun), len(running) + 1)
        self.checks.begun[0].callback(["done"])
        self.assertEqual(self.successResultOf(running[0]), ["done"])
        self.assertNoResult(self.check("usr_1"))

    def test_who_is_gone_counts_no_longer(self):
        for _ in range(2 * Shares().checks):
            gone = self.check("usr_1")
            gone.cancel()
            self.failureResultOf(gone)
        self.assertNoResult(self.check("usr_1"))
