"""The page of what was tried says what is run, and no more."""

import ast
import subprocess
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.compatibility import PAGE, ROOT, SECTIONS, page

LINES = [one for lines in SECTIONS.values() for one in lines]


@cache
def classes(file):
    """Give the test classes of a file, each with the names of its methods."""
    tree = ast.parse((ROOT / "tests" / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.name: {each.name for each in node.body if isinstance(each, functions)}
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Tests")
    }


class CompatibilityTests(SynchronousTestCase):
    def test_the_page_is_what_the_list_makes(self):
        self.assertEqual(PAGE.read_text(), page(), "run python -m tests.compatibility")

    def test_each_test_is_there(self):
        for one in LINES:
            for test in one.tests:
                file, name = test.split(" ")
                kind, _, method = name.partition(".")
                self.assertIn(kind, classes(file), test)
                self.assertTrue(not method or method in classes(file)[kind], test)

    def test_debians_versions_are_those_that_are_installed(self):
        query = Path("/usr/bin/dpkg-query")
        system = Path("/etc/debian_version")
        if not query.exists() or not system.exists() or not system.read_text().startswith("12"):
            return
        for one in LINES:
            if not one.debian:
                continue
            words = [query, "-W", "-f", "${Version}", one.debian]
            found = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
            version = found.stdout.partition(":")[2] or found.stdout
            if found.returncode == 0 and version:
                self.assertTrue(version.startswith(one.version), (one.name, version))
