"""Pages of the documentation that are made from the code: settings, commands, ports and so on."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import MagicMock

import attrs
import click
from prometheus_client.core import Metric
from pydantic import BaseModel

from tunnelcloud.cli.command import main
from tunnelcloud.domain.dial_failures import DialFailure, failure_text
from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.pod.counters import Counters
from tunnelcloud.pod.metrics import Measured, metrics_registry
from tunnelcloud.settings import LISTENING, PodSettings
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.store.database_metrics import Measures
from tunnelcloud.store.transaction import Committed
from tunnelcloud.web.tree import route_table

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
    nothing["database"].exists.return_value = False
    nothing["sessions"].traffic.return_value = (0, 0)
    nothing["measures"].return_value = Measures()
    counters = Counters()
    registry = metrics_registry(Measured(**nothing), counters)
    counters.answered("read", 0.0, failed=True)
    counters.refused("port")
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


RULE_NAMES = {
    "user": "the user is blocked",
    "destination": "no tunnel of the user's has this destination, or several have",
    "port": "the tunnel doesn't publish the port",
    "enabled": "the tunnel is disabled",
    "method": "the tunnel opens with a token and the session used a key, or the other way round",
    "assignment": "never: it names the assignment or the group that leads to the tunnel",
    "source": "the client's address is in none of a policy's networks",
    "valid_from": "it is before a policy's beginning",
    "valid_until": "a policy has ended",
    "window": "it is outside a policy's hours",
    "max_session": "the session is older than a policy allows",
    "max_sessions": "the user has as many sessions open as a policy allows",
    "max_channels": "the user has as many connections open as a policy allows",
    "approval": "nobody has approved it, or the approval is over",
}
"""When each rule of ``tunnelcloud explain`` fails."""

WHO_DIALS = {
    "ssh": "users",
    "connectors": "connectors",
    "web": "browsers and the command line, or the proxy before it",
    "front": "users, connectors and browsers",
    "metrics": "monitoring",
}
"""Who comes to the listeners of a section."""


def ports_page() -> str:
    """Write the page of ports: what listens, and what is dialled."""
    settings = PodSettings()
    rows = []
    for name in LISTENING:
        section = getattr(settings, name)
        listen = ", ".join(f"`{one}`" for one in section.listen) or "nothing"
        about = (type(section).__doc__ or "").rstrip(".")
        rows.append(f"| `[{name}] listen` | {listen} | {about} | {WHO_DIALS[name]} |")
    return (
        "\n".join(
            [
                "# Ports\n",
                "## What a pod listens on\n",
                "| setting | by default | what it is | who comes |\n|---|---|---|---|",
                *rows,
                "\nA connector listens on nothing.\n",
                "## What is dialled\n",
                "| from | to |\n|---|---|",
                "| a connector | each pod's `[connectors] public_address`; the targets |",
                "| a pod | its database; identity providers; what `[audit]` names |",
            ]
        )
        + "\n"
    )


def limits_page() -> str:
    """Write the page of limits: those of the SSH front door, and each user's share."""
    said = settings_of((ETC / "pod.toml").read_text())
    door = [
        f"| {field.name.replace('_', ' ')} | {getattr(Limits(), field.name):,g} |"
        for field in attrs.fields(Limits)
    ]
    shares = [
        f"| `{name.partition('.')[2]}` | {said[name].value} | {said[name].text} |"
        for name in names(PodSettings)
        if name.startswith("shares.")
    ]
    return (
        "\n".join(
            [
                "# Limits\n",
                "## Of one SSH connection\n",
                "Times are in seconds, sizes in bytes.\n",
                "| limit | value |\n|---|---|",
                *door,
                "\n## Of one user, on each pod\n",
                "`[shares]` of pod.toml sets them.\n",
                "| setting | default | |\n|---|---|---|",
                *shares,
            ]
        )
        + "\n"
    )


def refusals_page() -> str:
    """Write the page of why a connection is refused: by a rule, and by what happened behind it."""
    rules = [f"| `{name}` | {text} |" for name, text in RULE_NAMES.items()]
    dialled = []
    for one in DialFailure:
        text = failure_text(one, "10.0.0.5", 5432, "paris")
        dialled.append(f"| `{one.value}` | {text} | {one.reason_code} |")
    return (
        "\n".join(
            [
                "# Refusals\n",
                "## By a rule\n",
                "`tunnelcloud explain` names the rule; the user reads in words which one failed.\n",
                "| rule | fails when |\n|---|---|",
                *rules,
                "\n## On the way to the target\n",
                "The number is the reason code of SSH's CHANNEL_OPEN_FAILURE.\n",
                "| what happened | what the user reads | code |\n|---|---|---|",
                *dialled,
            ]
        )
        + "\n"
    )


def api_page() -> str:
    """Write the page of the API: every operation, and who may do it."""
    sections: dict[str, list[str]] = {}
    for route in route_table(MagicMock(), "").routes:
        who = ", ".join(sorted(role.value for role in route.roles)) or "anybody"
        row = f"| `{route.method}` | `{route.path}` | {route.summary} | {who} |"
        sections.setdefault(route.path.strip("/").partition("/")[0], []).append(row)
    head = "| | below `/api/v1` | | roles |\n|---|---|---|---|"
    about = (
        "`GET /api/v1/openapi.json` of a pod describes it in full, for programs: every field, "
        "filter and answer. The portal's page API shows that with examples. Errors are "
        "`application/problem+json` (RFC 9457)."
    )
    parts = [f"# The API\n\n{about}\n"]
    for name, rows in sorted(sections.items()):
        parts.append("\n".join([f"## {name}\n", head, *rows]) + "\n")
    return "\n".join(parts)


def connector_settings_page() -> str:
    """Write the page of connector.toml: the commented file."""
    about = "Settings of a connector. A line behind a `#` is an example; without it nothing is set."
    text = (ETC / "connector.toml").read_text()
    return f"# connector.toml\n\n{about}\n\n```toml\n{text}```\n"


PAGES: dict[str, typing.Callable[[], str]] = {
    "settings": settings_page,
    "commands": commands_page,
    "metrics": metrics_page,
    "ports": ports_page,
    "limits": limits_page,
    "refusals": refusals_page,
    "api": api_page,
    "connector-settings": connector_settings_page,
}


def write(directory: Path) -> None:
    """Write all pages; one that is the same as before is left alone."""
    directory.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        path, text = directory / f"{name}.md", make()
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
