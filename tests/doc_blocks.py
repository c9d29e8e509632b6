"""The blocks of the documentation that people copy: commands, settings, others' files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
_TOML = re.compile(r"\s*(#|\[[a-z.]+\]|[a-z_]+ = )")
_SETS = re.compile(r"[A-Z_]+=")
_ENGINES = frozenset({"docker", "podman", "kubectl"})
_SERVICES = frozenset({"pod", "connector", "demo"})
_ENDS_COMMAND = re.compile(r"[&|;()<>]+")


@frozen
class Block:
    """One block of a page.

    :ivar language: what the page says that it is; ``""`` for an indented block, of commands or of
        settings.
    """

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """Name it in a failure."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def kind(self) -> str:
        """``shell`` and ``toml`` where the page leaves it open."""
        if self.language:
            return self.language
        return "toml" if _TOML.match(self.text) else "shell"


def pages() -> list[Path]:
    """Give the pages that are read by those who use the product."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Give a page's blocks."""
    for token in MarkdownIt().parse(page.read_text()):
        if token.type in ("fence", "code_block"):
            assert token.map is not None
            yield Block(page, token.map[0] + 1, token.info.strip(), token.content)


def spans(page: Path) -> Iterator[str]:
    """Give what stands in backquotes within a page's text."""
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def commands(text: str) -> Iterator[list[str]]:
    """Give the words of each simple command of a shell block, without redirections and comments.

    In a block with prompts only what stands behind one is a command.
    """
    lines = text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        skip = False
        for word in lexer:
            if _ENDS_COMMAND.fullmatch(word):
                skip = word.startswith((">", "<"))
                if not skip and words:
                    yield words
                    words = []
            elif skip:
                skip = False
            else:
                words.append(word)
        if words:
            yield words


def program(words: list[str]) -> list[str]:
    """Give a command without what it sets in the environment, and without sudo."""
    while words and (_SETS.match(words[0]) or words[0] == "sudo"):
        if words[0] == "sudo":
            while words[1].startswith("-"):
                words = words[2:] if words[1] == "-u" else words[1:]
        words = words[1:]
    return words


def own_words(words: list[str]) -> tuple[str, list[str]] | None:
    """Give what of a command is ours to read: by ``twistd`` or ``tunnelcloud``, and the words.

    None if a command has nothing of ours.
    """
    first = Path(words[0]).name
    if first == "tunnelcloud":
        return first, words[1:]
    if first == "twistd":
        return first, words[words.index("tunnelcloud") + 1 :]
    started = next((one for one in words if one in ("run", "exec")), None)
    if first not in _ENGINES or started is None:
        return None
    rest = words[words.index(started) :]
    if "tunnelcloud" not in rest:
        return None
    rest = rest[rest.index("tunnelcloud") + 1 :]
    # The image's entrance tells services from the command line: they have options only.
    is_service = started == "run" and rest[0] in _SERVICES and rest[1].startswith("-")
    return ("twistd" if is_service else "tunnelcloud"), rest
