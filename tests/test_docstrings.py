"""Docstrings say what is there: each field of theirs names a parameter or an attribute.

Ruff holds where docstrings have to be and how they are laid out; it doesn't know Sphinx's fields.
"""

import ast
import re
import tokenize
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud

ROOT = Path(tunnelcloud.__file__).parent
FIELD = re.compile(r"^\s*:(\w+)\b ?([^:]*):", re.MULTILINE)
EPYTEXT = re.compile(r"\b[BCILU][{]|^\s*@(ivar|param|raise|return|rtype|see|type)\b", re.MULTILINE)
FIELDS = {"param", "return", "raise", "ivar"}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def texts(path):
    """Give the comments and the texts of a file, but for those that are put together."""
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            prefix = token.string.partition(token.string[-1])[0] if token.string else ""
            if token.type == tokenize.COMMENT or (
                token.type == tokenize.STRING and "f" not in prefix.lower()
            ):
                yield token.start[0], token.string


def documented():
    """Give each definition that has a docstring, with where it is."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, FUNCTIONS | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node)
                if text:
                    name = getattr(node, "name", "")
                    yield f"{path.relative_to(ROOT)}: {name}", node, text


def parameters(node):
    """Name the parameters of a function, or of what makes a class."""
    if isinstance(node, ast.ClassDef):
        makers = [one for one in node.body if getattr(one, "name", "") == "__init__"]
        fields = {one.target.id.lstrip("_") for one in node.body if isinstance(one, ast.AnnAssign)}
        return fields.union(*map(parameters, makers))
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {one.arg for one in every if one is not None}


def attributes(node):
    """Name what a class gives its instances."""
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute | ast.Name) and isinstance(one.ctx, ast.Store):
            found.add(one.attr if isinstance(one, ast.Attribute) else one.id)
        elif isinstance(one, FUNCTIONS):
            found.add(one.name)
    return found


class DocstringTests(SynchronousTestCase):
    def test_fields_name_what_is_there(self):
        wrong = []
        for where, node, text in documented():
            for field, name in FIELD.findall(text):
                if field == "param" and name not in parameters(node):
                    wrong.append(f"{where} has no parameter {name}")
                elif field == "ivar":
                    bases = getattr(node, "bases", ())
                    if not isinstance(node, ast.ClassDef) or (
                        not bases and name not in attributes(node)
                    ):
                        wrong.append(f"{where} has no attribute {name}")
        self.assertEqual(wrong, [])

    def test_there_are_no_other_fields(self):
        found = {
            f"{where}: {field}"
            for where, _, text in documented()
            for field, _ in FIELD.findall(text)
            if field not in FIELDS
        }
        self.assertEqual(found, set())

    def test_no_file_has_epytext(self):
        top = Path(__file__).parent.parent
        files = [
            path
            for room in ("tunnelcloud", "tests", "benchmarks", "twisted")
            for path in (top / room).rglob("*.py")
            if EPYTEXT.search(path.read_text())
        ]
        found = [
            f"{path.relative_to(top)}:{line}: write Sphinx fields and double backquotes"
            for path in sorted(files)
            for line, text in texts(path)
            if EPYTEXT.search(text.lstrip("\"'"))
        ]
        self.assertEqual(found, [])
