"""The words that people read: docs/style-of-words.md, and what holds the code to it."""

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud

PACKAGE = Path(tunnelcloud.__file__).parent
TEMPLATES = PACKAGE / "web" / "templates"
GLOSSARY = Path(__file__).resolve().parents[3] / "docs" / "style-of-words.md"
PAGES = {"Applications", "applications"}
"""The one page that is called so; what it lists are tunnels."""
ROOMS = ("web/portal", "cli", "ssh", "domain/objects")
"""Where texts for people are written in Python."""
FIRST = "method"
"""The first row whose banned words no text has: those above are words of English."""


COUNTS = re.compile(r'"""(So (many|long|often)|(For|After) so long)\b')
"""A docstring of a number that doesn't say what it counts."""


def written():
    """Give all code, pages and documents, but for the glossary, each on one line."""
    documents = [GLOSSARY.parents[1] / "README.md", *GLOSSARY.parent.rglob("*.md")]
    for path in [*PACKAGE.rglob("*.py"), *TEMPLATES.rglob("*.html"), *documents]:
        if path != GLOSSARY:
            yield path, re.sub(r"\s+(#\s+)?", " ", path.read_text("utf-8"))


def never():
    """Give the phrases that the glossary's second table bans, as one pattern."""
    rows = GLOSSARY.read_text("utf-8").partition("| never | but |")[2]
    phrases = re.findall(r"^\| (\w[^|]*) \|", rows, re.MULTILINE)
    return re.compile(rf"\b({'|'.join(map(re.escape, phrases))})\b", re.IGNORECASE)


def shown(text):
    """Give what a template shows: without its tags, blocks and comments."""
    return re.sub(r"<[^>]*>|\{%.*?%\}|\{#.*?#\}", " ", text, flags=re.DOTALL)


def texts_of(source):
    """Give the literal texts of a module, but for its docstrings."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text and id(node) not in docstrings:
            yield node.value


def banned():
    """Give the words that the glossary bans, as patterns."""
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", GLOSSARY.read_text("utf-8"), re.MULTILINE
    )
    names = [row[0] for row in rows]
    wanted = rows[names.index(FIRST) :]
    phrases = [phrase.strip() for row in wanted for phrase in row[2].split(",")]
    return [re.compile(rf"\b{re.escape(phrase)}\b") for phrase in phrases]


class WordsTests(SynchronousTestCase):
    def test_a_tunnel_is_called_a_tunnel(self):
        for path in TEMPLATES.rglob("*.html"):
            found = set(re.findall(r"\b[Aa]pplications?\b(?!/)", shown(path.read_text())))
            self.assertEqual(found - PAGES, set(), path.name)

    def test_no_text_has_a_word_that_the_glossary_bans(self):
        patterns = banned()
        self.assertGreater(len(patterns), 10)
        for path in TEMPLATES.rglob("*.html"):
            text = shown(path.read_text("utf-8"))
            self.assertEqual([one.pattern for one in patterns if one.search(text)], [], path.name)
        for room in ROOMS:
            for path in (PACKAGE / room).rglob("*.py"):
                for text in texts_of(path.read_text("utf-8")):
                    found = [one.pattern for one in patterns if one.search(text)]
                    self.assertEqual(found, [], f"{path.name}: {text}")

    def test_nothing_is_said_in_a_clever_way(self):
        phrases = never()
        for path, text in written():
            self.assertEqual([one[0] for one in phrases.finditer(text)], [], path.name)
            self.assertIsNone(COUNTS.search(text), path.name)

    def test_the_check_finds_what_it_is_for(self):
        self.assertIn("Take away", list(texts_of('x = f"Take away"\ndef f():\n    """Lately."""')))
        self.assertTrue(any(one.search("Lately") for one in banned()))
        self.assertTrue(never().search("Take it that the door is open."))
        self.assertTrue(COUNTS.search('"""So many connections wait."""'))
