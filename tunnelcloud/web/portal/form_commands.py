"""The command and the API call for a form, shown at the foot of pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tunnelcloud.web.portal.admin_kinds import Section
from tunnelcloud.web.portal.forms import Field, FieldKind, shown
from tunnelcloud.web.portal.rendering import shell

_BASE = "/api/v1"


@frozen
class SaidElsewhere:
    """One action: as a command line, and as a call of the API with its body."""

    command: str
    call: str
    body: str = ""


def made_elsewhere(section: Section) -> SaidElsewhere:
    """Say how an object is made."""
    name = section.example.split()[3]
    body: dict[str, Any] = {"name": name}
    body |= {one.name: one.sample for one in section.fields if one.sample is not None}
    command = section.example
    if section.assignable:
        body["assignments"] = [{"user_id": "<id of a user>", "methods": ["token", "key"]}]
        command += f"\ntunnelcloud assign {name} --user alice --method token --method key"
    call = f"POST {_BASE}/{section.plural}"
    return SaidElsewhere(command, call, json.dumps(body, ensure_ascii=False))


def changed_elsewhere(
    section: Section, item: Mapping[str, Any], names: Mapping[str, str]
) -> SaidElsewhere:
    """Say how an object gets the settings that it has.

    :param names: what stands for ids of other objects on the command line.
    """
    fields = [one for one in section.fields if not one.fixed and one.kind is not FieldKind.SECRET]
    words = ["tunnelcloud", section.noun.replace("_", "-"), "set", item["name"]]
    for one in fields:
        words += _option(one, item[one.name], names)
    body = {one.name: item[one.name] for one in fields}
    return SaidElsewhere(
        " ".join(map(shell, words)),
        f"PATCH {_BASE}/{section.plural}/{item['id']}",
        json.dumps(body, ensure_ascii=False),
    )


def _option(one: Field, value: Any, names: Mapping[str, str]) -> list[str]:
    """Return the words that set a field; none for a default value."""
    if not one.flag or value in (one.default, "", [], {}, None):
        return []
    if one.kind is FieldKind.CHECK:
        return [one.flag.split("/")[0 if value else 1]]
    if isinstance(value, dict):
        value = [f"{key}={name}" for key, name in value.items()]
    if isinstance(value, list):
        return [word for item in value for word in (one.flag, str(item))]
    if one.kind is FieldKind.MOMENT:
        return [one.flag, value]
    text = str(shown(one, value))
    return [one.flag, names.get(text, text)]
