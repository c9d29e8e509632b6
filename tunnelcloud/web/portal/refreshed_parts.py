"""The parts of a page that keep themselves fresh: cut out of it, and told apart.

A template marks such a part by a comment before it and behind it, and by ``data-fresh``: how many
seconds it may be old.
"""

from __future__ import annotations

import hashlib
import re

from attrs import frozen

_PART = re.compile(rb"<!--fresh-->(.*?)<!--/fresh-->", re.DOTALL)
_SECONDS = re.compile(rb'data-fresh="(\d+)"')
_TOLD_TIME = re.compile(rb">[^<]*</time>")


@frozen
class Parts:
    """The parts of one page.

    :ivar html: of all of them; empty for a page that has none.
    :ivar seconds: how old they may be; None when they don't change any more.
    :ivar digest: of their content, without relative times and without how old they may be.
    """

    html: bytes
    seconds: int | None
    digest: str


def cut_parts(page: bytes) -> Parts:
    """Cut the parts out of a page."""
    html = b"\n".join(part.strip() for part in _PART.findall(page))
    seconds = min(map(int, _SECONDS.findall(html)), default=None)
    steady = _SECONDS.sub(b"", _TOLD_TIME.sub(b"", html))
    return Parts(html, seconds, hashlib.sha256(steady).hexdigest()[:16])


def event_of(parts: Parts) -> bytes:
    """Write parts as a server-sent event."""
    lines = b"".join(b"data: %s\n" % line for line in parts.html.splitlines())
    return b"event: parts\n%sid: %s\n\n" % (lines, parts.digest.encode("ascii"))
