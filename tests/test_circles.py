"""No two modules of the program need each other, also where a function imports one of them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud

ROOT = Path(tunnelcloud.__file__).parent


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imports(node: ast.AST) -> Iterator[str]:
    """Give the names that are imported, but for those that only annotations have."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (one.name for one in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module is not None:
            yield child.module
            yield from (f"{child.module}.{one.name}" for one in child.names)
        elif not _is_for_types(child):
            yield from _imports(child)


def needs() -> dict[str, set[str]]:
    """Give the modules that each module of the program imports."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        found[name] = set(_imports(ast.parse(path.read_text(encoding="utf-8")))) - {name}
    return {name: {one for one in imported if one in found} for name, imported in found.items()}


class CircleTests(SynchronousTestCase):
    def test_there_is_none(self) -> None:
        left = needs()
        while ends := {name for name, needed in left.items() if not needed & left.keys()}:
            left = {name: needed for name, needed in left.items() if name not in ends}
        self.assertEqual({name: needed & left.keys() for name, needed in left.items()}, {})
