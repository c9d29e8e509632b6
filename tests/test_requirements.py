"""Whatever a test needs beside Python, it asks for in one way."""

import ast
import os
import re
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import requirements

HERE = Path(__file__).parent
OTHER_WAYS = re.compile(r"\bSkipTest\(|shutil\.which\(|\bskipIf\(|\bskipUnless\(|\.skip = ")


def sources():
    """Give each of the tests' files, but for the one place itself, with its tree."""
    for path in sorted(HERE.rglob("*.py")):
        if path.name not in ("requirements.py", "test_requirements.py"):
            yield path, path.read_text()


class OneWayTests(SynchronousTestCase):
    def test_nothing_is_skipped_in_another_way(self):
        found = [
            f"{path.relative_to(HERE)}: {line.strip()}"
            for path, text in sources()
            for line in text.splitlines()
            if OTHER_WAYS.search(line)
        ]
        self.assertEqual(found, [])

    def test_every_program_has_its_package(self):
        asked = {
            argument.value
            for _, text in sources()
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call)
            and getattr(node.func, "id", "") == "require_executable"
            and isinstance(argument := node.args[0], ast.Constant)
        }
        self.assertEqual(asked - requirements.PACKAGES.keys(), set())


class MissingTests(SynchronousTestCase):
    def setUp(self):
        self.noted = Path(self.mktemp())
        self.patch(
            os, "environ", {**os.environ, requirements.NOTED: str(self.noted), "PATH": "/nowhere"}
        )
        os.environ.pop(requirements.SWITCH, None)
        self.patch(requirements.shutil, "which", lambda name, path: None)

    def test_a_skip_says_what_installs_it(self):
        error = self.assertRaises(SkipTest, requirements.require_executable, "plink")
        self.assertEqual(str(error), "the program plink is missing: apt-get install putty-tools")

    def test_one_line_for_all(self):
        for name in ("plink", "puttygen", "curl"):
            self.assertRaises(SkipTest, requirements.require_executable, name)
        self.assertRaises(SkipTest, requirements.require_module, "no_such_module")
        self.assertEqual(
            requirements.summary(self.noted.read_text().splitlines()),
            "Tests were skipped. What they need: apt-get install curl putty-tools; "
            "besides: the Python module no_such_module",
        )
        self.assertEqual(requirements.summary([]), "Nothing was skipped for want of a program.")

    def test_nothing_may_be_skipped(self):
        os.environ[requirements.SWITCH] = "1"
        for ask in (
            lambda: requirements.require_executable("plink"),
            lambda: requirements.require_module("no_such_module"),
            lambda: requirements.require_node_modules("no_such_package"),
        ):
            self.assertRaises(requirements.RequirementMissing, ask)
