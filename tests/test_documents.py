"""What the pages in docs/ link to is there, and each picture is shown."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ANCHOR = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
NAMED = re.compile(r"`(tunnelcloud/[a-z0-9_/]+(?:\.py|/))`|`tests/[a-z0-9_/]+\.py`")


def pages():
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]


def linked():
    """Give each file that a page links to, with the page."""
    for page in pages():
        for target in LINK.findall(page.read_text()):
            if "://" not in target and not target.startswith("mailto:"):
                yield page.relative_to(ROOT), (page.parent / target).resolve()


def anchors(page):
    """Give the names that a page's headings have in links, as GitHub and MyST make them."""
    plain = [
        re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", one)
        for one in HEADING.findall(page.read_text())
    ]
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in plain}


class DocumentTests(SynchronousTestCase):
    def test_links_lead_to_headings(self):
        found = [
            (str(page.relative_to(ROOT)), target, name)
            for page in pages()
            for target, name in ANCHOR.findall(page.read_text())
            if "://" not in target
            and name not in anchors((page.parent / target).resolve() if target else page)
        ]
        self.assertEqual(found, [])

    def test_links_lead_somewhere(self):
        self.assertEqual([(str(p), str(t)) for p, t in linked() if not t.exists()], [])

    def test_files_of_the_code_are_where_pages_say(self):
        found = [
            (page.name, match[0])
            for page in pages()
            for match in NAMED.finditer(page.read_text())
            if not (ROOT / match[0].strip("`")).exists()
        ]
        self.assertEqual(found, [])

    def test_the_guide_names_files_that_are_there(self):
        guide = (ROOT / "docs" / "code.md").read_text()
        named = set(re.findall(r"(?<![/\w.])[a-z]+/[a-z_/]+\.py\b", guide))
        self.assertGreater(len(named), 30)
        gone = {name for name in named if not (ROOT / "tunnelcloud" / name).exists()}
        self.assertEqual({name for name in gone if not (ROOT / name).exists()}, set())

    def test_each_picture_is_shown(self):
        shown = {target for _, target in linked()}
        pictures = set((ROOT / "docs" / "images").iterdir())
        self.assertEqual(pictures - shown, set())
        self.assertLess(len(pictures), 30)
