"""Templates into pages: what every template can use, and the files pages refer to."""

from __future__ import annotations

import gzip
import hashlib
import shlex
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tunnelcloud.domain.quantities import bytes_text
from tunnelcloud.domain.ssh_command import bracketed
from tunnelcloud.net.escaping import escape_whole
from tunnelcloud.web.portal.schedule_fields import chips_of, hours_of, zone_names

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Lines end and words join with these; in emoji and in Persian they are part of writing.
_LAYOUT = "\n\t\u200c\u200d"
_STEPS = (
    (60, 1, "s"),
    (3600, 60, "min"),
    (86_400, 3600, "h"),
    (63_072_000, 86_400, "d"),
    (float("inf"), 31_536_000, "y"),
)


@frozen
class StaticFile:
    """A file that pages refer to, under an address that changes when it does.

    :ivar packed: the content as gzip has it.
    """

    content: bytes
    packed: bytes
    content_type: str
    version: str


def static_files() -> dict[str, StaticFile]:
    """Read all of them, by name."""
    found = {}
    for entry in files("tunnelcloud.web").joinpath("static").iterdir():
        extension = entry.name.rpartition(".")[2]
        if extension in _TYPES:
            content = entry.read_bytes()
            version = hashlib.sha256(content).hexdigest()[:12]
            found[entry.name] = StaticFile(
                content, gzip.compress(content, mtime=0), _TYPES[extension], version
            )
    return found


def relative(moment: datetime, now: datetime) -> str:
    """Write how long ago, or how long until, a time is."""
    seconds = (now - moment).total_seconds()
    for limit, unit, name in _STEPS:
        if abs(seconds) < limit:
            if seconds >= 0:
                return f"{int(seconds // unit)} {name} ago"
            # What was just made for three days isn't to be called one for two.
            return f"in {round(-seconds / unit)} {name}"
    raise AssertionError("the last step has no limit")


def visible(value: object) -> object:
    """Write invisible characters, and those that turn a text around, as logs and the command
    line do: ``\\u202e``.

    Every value that a template shows goes through this; ``|exact`` keeps one as it is, for the
    fields of forms and for what is copied.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(map(_visible_character, value))


def _visible_character(character: str) -> str:
    if character in _LAYOUT or unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp"):
        return character
    return escape_whole(character)


def exact(value: object) -> Markup:
    """Escape a value and change nothing else of it."""
    return escape(value)


def shell(value: object) -> str:
    """Write a value as one word of a command line, on one line."""
    return shlex.quote(str(visible(str(value))).replace("\n", "\\n"))


def lines(value: object) -> str:
    """Write a list as a text area has it: an item a line."""
    return "\n".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)


def sentence(value: object) -> str:
    """Write a text as a sentence: with a capital, and one stop at its end."""
    text = str(visible(str(value))).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")


class Renderer:
    """Makes pages of templates; whatever isn't markup already is escaped."""

    def __init__(self) -> None:
        self.static = static_files()
        self._environment = Environment(
            loader=PackageLoader("tunnelcloud.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=visible,
            # The files of a program that runs don't change.
            auto_reload=False,
        )
        self._environment.filters.update(
            bracketed=bracketed, size=bytes_text, lines=lines, exact=exact, shell=shell,
            sentence=sentence, hours=hours_of, chips=chips_of,
        )  # fmt: skip
        self._environment.globals.update(static=self._static_address, zone_names=zone_names)

    def render(self, template: str, values: Mapping[str, Any], now: datetime) -> bytes:
        """Make a page."""

        def moment(value: str | None, otherwise: str = "never") -> str:
            if value is None:
                return otherwise
            when = datetime.fromisoformat(value).astimezone(UTC)
            exact = when.isoformat(" ", "seconds").removesuffix("+00:00")
            text = (
                f'<time datetime="{escape(value)}" title="{exact} UTC">{relative(when, now)}</time>'
            )
            return Markup(text)  # noqa: S704  (what was read as a time holds no markup)

        page = self._environment.get_template(template).render(**values, moment=moment)
        return page.encode("utf-8", "backslashreplace")

    def _static_address(self, name: str) -> str:
        return f"/static/{name}?v={self.static[name].version}"
