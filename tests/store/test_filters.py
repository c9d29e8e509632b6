"""Each filter of a list is asked for: by a query of the API, or by the program itself."""

import ast
import importlib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud
from tunnelcloud.store.object_reads import Listing

ROOT = Path(tunnelcloud.__file__).parent


def aggregates():
    """Give what is listed of each kind, by its kind."""
    for path in sorted((ROOT / "store").glob("*.py")):
        module = importlib.import_module(f"tunnelcloud.store.{path.stem}")
        for one in vars(module).values():
            if isinstance(one, Listing):
                yield one.kind, one


def asked_for():
    """Name what is given to functions, what queries have, and what is put into a mapping."""
    found = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg:
                found.add(node.arg)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
            elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                found.add(node.slice.value)
    return found


class FilterTests(SynchronousTestCase):
    def test_each_is_asked_for(self):
        asked = asked_for()
        unused = [
            f"{kind}.{name}"
            for kind, one in sorted(dict(aggregates()).items())
            for name in one.filters
            if name not in asked
        ]
        self.assertEqual(unused, [])
