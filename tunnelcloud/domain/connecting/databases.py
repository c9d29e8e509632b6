"""The dialogs of tools that open their own SSH connection, filled in for one tunnel."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from tunnelcloud.domain.connecting.dialogs import Dialog
from tunnelcloud.domain.connecting.files import pgadmin_servers
from tunnelcloud.domain.connecting.settings import (
    TITLES,
    TOKEN_VALUE,
    Kind,
    Manner,
    Row,
    Text,
    Tool,
    absent,
    key_file,
    offers,
    windows_path,
)
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.ssh_command import bracketed


def _ssh_rows(dialog: Dialog, way: Way) -> list[Row]:
    place = dialog.ssh_place
    host = way.host if dialog.ssh_port else f"{bracketed(way.host)}:{way.port}"
    rows = [Row(*switch, copied=False) for switch in dialog.switches]
    rows.append(Row(place, dialog.ssh_host, host))
    if dialog.ssh_port:
        rows.append(Row(place, dialog.ssh_port, str(way.port)))
    rows.append(Row(place, dialog.ssh_user, way.tool_login))
    with_key = way.method is Method.KEY
    if dialog.authentication is not None:
        label, key_word, password_word = dialog.authentication
        rows.append(Row(place, label, key_word if with_key else password_word, copied=False))
    if with_key:
        rows.append(Row(place, dialog.key_file, _key_file(dialog, way)))
    else:
        rows.append(Row(place, dialog.password, TOKEN_VALUE, secret=True))
    return rows


def _key_file(dialog: Dialog, way: Way) -> str:
    file = key_file(way)
    if dialog.ppk and not file.endswith(".ppk"):
        file += ".ppk"
    return windows_path(file) if dialog.windows else file


def _target_rows(dialog: Dialog, host: str, port: int) -> list[Row]:
    return [
        Row(dialog.target_place, dialog.target_host, host),
        Row(dialog.target_place, dialog.target_port, str(port)),
    ]


def _manner(dialog: Dialog, way: Way, kind: Kind) -> Manner:
    first = way.forwards[0]
    if kind is Kind.COMMAND:
        return Manner(
            kind,
            TITLES[kind],
            _notes(
                dialog.ended,
                "Leave the SSH part of the dialog empty. The command has to run all the time.",
                dialog.then,
            ),
            _target_rows(dialog, way.local_address, first.local),
        )
    way = evolve(way, method=Method(kind.value))
    rows = [*_ssh_rows(dialog, way), *_target_rows(dialog, way.target, first.port)]
    if kind is Kind.KEY:
        note = dialog.key_note
    else:
        note = (
            "The token opens one SSH connection. When the tool needs a second one, or connects "
            "again later, it is refused: a key or the command doesn't have that limit."
        )
    texts = []
    if dialog.slug == "pgadmin":
        name = f"pgadmin-{way.tunnel.name}.json"
        texts = [Text("For Tools, Import/Export Servers", pgadmin_servers(way), name)]
    return Manner(kind, TITLES[kind], _notes(dialog.ended, note, dialog.then), rows, texts)


def _notes(*notes: str) -> str:
    return " ".join(note for note in notes if note)


def database_tool(dialog: Dialog, way: Way, methods: Sequence[Method]) -> Tool:
    """Fill in a tool's dialog.

    :param methods: by which the tunnel opens for this user.
    """
    manners = [
        _manner(dialog, way, kind) if offers(kind, methods) else absent(kind) for kind in Kind
    ]
    return Tool(dialog.slug, dialog.name, dialog.version, dialog.where, manners)
