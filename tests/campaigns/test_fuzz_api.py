"""A short run of the API's campaign for each role: what it may call, a few examples of each."""

import os
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns import turns
from tests.campaigns.fuzz_api import ALL_PHASES, run
from tests.integration.processes import ENVIRONMENT, PYTHON
from tests.requirements import require_module

EXAMPLES = int(os.environ.get("TUNNELCLOUD_TESTS_API_EXAMPLES", "2"))
PHASES = ALL_PHASES if EXAMPLES > 2 else "fuzzing"


_BUSY = """
import sys, time
from tests.campaigns import turns
turns.watch()
from twisted.internet import epollreactor
epollreactor.install()
from twisted.internet import reactor

def work(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass

{instead}
def begin():
    work(float(sys.argv[1]))
    reactor.callLater(0, reactor.stop)

# What is due before the reactor waits for the first time belongs to its start.
reactor.callLater(0, reactor.callLater, 0, begin)
reactor.run()
"""


class TurnTests(SynchronousTestCase):
    """What measures a pod's turns in the campaign."""

    def said(self, seconds: float, instead: str = "") -> list[str]:
        words = [PYTHON, "-c", _BUSY.format(instead=instead), str(seconds)]
        done = subprocess.run(words, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True)
        return done.stdout.decode().splitlines()

    def test_a_turn_that_is_too_long_is_told(self) -> None:
        said = self.said(2 * turns.LONGEST_TURN)
        [line] = turns.long_turns(said)
        self.assertIn("no request", line)
        self.assertGreaterEqual(turns.longest(said), 2000 * turns.LONGEST_TURN)

    def test_a_whole_look_for_garbage_is_not(self) -> None:
        said = self.said(
            0.0, "import gc; kept = [[] for _ in range(10**6)]; work = lambda _: gc.collect()"
        )
        self.assertEqual(turns.long_turns(said), [])

    def test_short_turns_are_not(self) -> None:
        said = self.said(turns.LONGEST_TURN / 25)
        self.assertEqual(turns.long_turns(said), [])
        self.assertGreaterEqual(turns.longest(said), 0)


class ApiCampaignTests(SynchronousTestCase):
    def try_as(self, role: str, phases: str = PHASES) -> None:
        require_module("schemathesis")
        report = run(role, EXAMPLES, seed=1, own=True, phases=phases)
        self.assertGreater(report.cases, EXAMPLES * 10)

    def test_as_an_administrator(self) -> None:
        # The campaign itself tries the bounds of each of its many fields as well ("coverage").
        self.try_as("admin", "examples,fuzzing,stateful" if EXAMPLES > 2 else PHASES)

    def test_as_an_auditor(self) -> None:
        # The other phases would do what they did as an administrator.
        self.try_as("auditor", "fuzzing")

    def test_as_a_user(self) -> None:
        self.try_as("user")
