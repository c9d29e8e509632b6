"""The oracle of the campaign of faults can fail, and its points are the program's."""

import importlib

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.fault_oracle import (
    CLOSED_WITHIN,
    NOBODY,
    Blame,
    innocents,
    judge_records,
    judge_tokens,
    judge_writes,
)
from tests.campaigns.fault_points import FUNCTIONS, Armed, label_of
from tests.campaigns.fault_work import Books, End, Login
from tests.campaigns.processes import run_campaign
from tests.requirements import require_executable, require_root
from tunnelcloud.store import groups

NOW = 1000.0


class ShortTests(SynchronousTestCase):
    def test_a_pod_is_killed(self):
        require_executable("ip")
        require_root()
        words = ["--engine", "sqlite", "--rounds", 1, "--only", "kill_a_pod", "--no-last-look"]
        # How soon a pod is ready is the long form's to judge, on a machine of its own.
        self.assertIn('"failed": 0', run_campaign("faults", *words, "--ready", 100))


class OracleTests(SynchronousTestCase):
    def setUp(self):
        self.books = Books()

    def login(self, name, pod=0, ended_at=None):
        login = self.books.logins[name] = Login(name, "ada", pod, 1.0, ended_at)
        return login

    def test_innocents(self):
        session = End(self.login("one"), NOW, True)
        stream = End(self.login("two", pod=1), NOW, False)
        self.assertEqual(len(innocents([session, stream], NOBODY)), 2)
        self.assertEqual(innocents([session, stream], Blame([0], [1])), [])
        self.assertEqual(len(innocents([session, stream], Blame([], [0, 1]))), 1)
        self.assertEqual(innocents([stream], Blame([1])), [])

    def test_writes(self):
        self.books.groups = {"grp_1": "a", "grp_2": "b"}
        self.books.denied = ["c"]
        self.assertEqual(judge_writes(self.books, {"grp_1": "a", "grp_2": "b"}), [])
        [lost] = judge_writes(self.books, {"grp_1": "a"})
        self.assertIn("lost: ['b']", lost)
        [made] = judge_writes(self.books, {"grp_1": "a", "grp_2": "b", "grp_3": "c"})
        self.assertIn("there: ['c']", made)

    def test_tokens(self):
        self.books.tokens = {"tok_1": 1, "tok_2": 0}
        self.assertEqual(judge_tokens(self.books, {"tok_1": 1, "tok_2": 1}), [])
        self.assertEqual(len(judge_tokens(self.books, {"tok_1": 2})), 1)
        self.assertEqual(len(judge_tokens(self.books, {})), 1)

    def test_records(self):
        self.login("open")
        self.login("over", ended_at=NOW - 1)
        self.login("over for long", ended_at=NOW - CLOSED_WITHIN - 1)
        right = [("open", True, ""), ("over", True, ""), ("over for long", False, "it left")]
        self.assertEqual(judge_records(self.books, right, NOW), [])
        for wrong in (
            [("open", False, "a mistake"), *right[1:]],
            right[1:],
            [*right[:2], ("over for long", True, "")],
            [*right[:2], ("over for long", False, "")],
        ):
            self.assertEqual(len(judge_records(self.books, wrong, NOW)), 1, wrong)


class PointTests(SynchronousTestCase):
    def test_each_is_a_function_of_the_program(self):
        for label in FUNCTIONS:
            module, _, name = label.rpartition(".")
            self.assertEqual(label_of(getattr(importlib.import_module(module), name)), label)
        self.assertNotIn(label_of(groups.create), FUNCTIONS)

    def test_nobody_dies_at_another_point(self):
        armed = Armed(self.mktemp(), "pod-1")
        armed.file.parent.mkdir()
        armed.pass_by("inside it")
        armed.arm("inside it")
        armed.pass_by("told it")
        self.assertTrue(armed.file.exists())
        self.assertFalse(armed.disarm())
