"""Pages of the documentation that are made from the code: settings, commands, metrics."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import MagicMock

import click
from prometheus_client.core import Metric
from pydantic import BaseModel

from tunnelcloud.cli.command import main
from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.pod.counters import Counters
from tunnelcloud.pod.metrics import Measured, metrics_registry
from tunnelcloud.settings import PodSettings
from tunnelcloud.store.transaction import Committed

ETC = Path(__file__).resolve().parent.parent / "etc"
WIDTH = 96

_SETTING = re.compile(r"^(?:# ?)?([a-z_]+) = ([^#]*?)\s*(?:# (.*))?$")
_GOES_ON = re.compile(r"^\s+# (.*)$")
_SECTION = re.compile(r"^\[([a-z.]+)\]\s*(?:# (.*))?$")


class Setting(typing.NamedTuple):
    """One line of a settings file.

    :ivar value: as it stands there: the default, or an example where there is none.
    :ivar text: what the comment says of it.
    """

    value: str
    text: str


def settings_of(text: str) -> dict[str, Setting]:
    """Read what the commented pod.toml says of each setting, by its dotted name.

    A section's own comment stands under the name of the section.
    """
    found: dict[str, Setting] = {}
    section = name = ""
    for line in text.splitlines():
        if match := _SECTION.match(line):
            section = name = match[1]
            found[name] = Setting("", match[2] or "")
        elif match := _SETTING.match(line):
            name = f"{section}.{match[1]}" if section else match[1]
            found[name] = Setting(match[2], match[3] or "")
        elif name and (match := _GOES_ON.match(line)):
            before = found[name]
            found[name] = Setting(before.value, f"{before.text} {match[1]}".strip())
        else:
            name = ""
    return found


def names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Give each setting's dotted name, in the order of the model."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from names(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def settings_page() -> str:
    """Write the page of pod.toml, in the order of its sections."""
    said = settings_of((ETC / "pod.toml").read_text())
    sections: dict[str, list[str]] = {}
    for name in names(PodSettings):
        sections.setdefault(name.rpartition(".")[0], []).append(name)
    about = "A setting that the file lacks has the value given here, unless it is an example."
    parts = [f"# pod.toml\n\nSettings of a pod. {about}\n"]
    for section, members in sorted(sections.items(), key=lambda one: bool(one[0])):
        title = f"[{section}]" if section else "Above all sections"
        about = said[section].text if section in said else ""
        rows = [
            f"| `{name.rpartition('.')[2]}` | `{said[name].value}` | {said[name].text} |"
            for name in members
        ]
        head = "| setting | default, or an example | |\n|---|---|---|"
        parts.append(
            "\n".join(filter(None, [f"## {title}\n", about and f"{about}.\n", head, *rows]))
        )
    return "\n\n".join(parts) + "\n"


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Give a command and all below it: its words, and its help."""
    context.terminal_width = context.max_content_width = WIDTH
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            if not inner.hidden:
                yield from commands(inner, click.Context(inner, context, name))


def commands_page() -> str:
    """Write the page of the command line."""
    parts = ["# The command line\n"]
    for words, text in commands(main, click.Context(main, info_name="tunnelcloud")):
        level = "##" if words.count(" ") < 2 else "###"
        parts.append(f"{level} {words}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def metrics() -> list[Metric]:
    """Give the families of metrics that a pod exports, of a pod that nothing happens in."""
    nothing = {name: MagicMock() for name in (one.name for one in Measured.__attrs_attrs__)}
    for name in ("flood", "link_flood"):
        nothing[name].counters.return_value = {"starting": 0, "penalised": 0}
    database = nothing["database"]
    database.exists.return_value = False
    registry = metrics_registry(Measured(**nothing))
    counters = Counters()
    counters.register(registry)
    counters.answered("read", 0.0, failed=True)
    closed = AuditEvent("channel.closed")
    counters.committed(Committed((), (AuditRecord("", datetime.now(UTC), closed),)))
    return [one for one in registry.collect() if one.name.startswith("tunnelcloud_")]


def metrics_page() -> str:
    """Write the page of metrics."""
    rows = []
    for family in sorted(metrics(), key=lambda one: one.name):
        ending = "_total" if family.type == "counter" else ""
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        labels |= set(getattr(family, "_labelnames", ()))
        shown = ", ".join(f"`{label}`" for label in sorted(labels))
        rows.append(
            f"| `{family.name}{ending}` | {family.type} | {shown} | {family.documentation} |"
        )
    head = "# Metrics\n\n| metric | kind | labels | |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


PAGES: dict[str, typing.Callable[[], str]] = {
    "settings": settings_page,
    "commands": commands_page,
    "metrics": metrics_page,
}


def write(directory: Path) -> None:
    """Write all pages; one that is the same as before is left alone."""
    directory.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        path, text = directory / f"{name}.md", make()
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
