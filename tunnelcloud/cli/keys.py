"""Commands for users' SSH keys: register, generate, list, revoke."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click

from tunnelcloud.cli.client import Api, Failed, Object, is_id
from tunnelcloud.cli.crud import print_list, report_done
from tunnelcloud.cli.object_options import Column
from tunnelcloud.cli.output import answer, print_json, shown_time
from tunnelcloud.cli.parameters import (
    ON_THIS_CLOCK,
    Connection,
    json_option,
    pass_connection,
    time,
    with_api,
)

_COLUMNS = (
    Column("user", "user_id", refers="user"),
    Column("title", "title"),
    Column("fingerprint", "fingerprint"),
    Column("expires", "expires_at", shown_time),
    Column("last used", "last_used_at", shown_time),
    Column("id", "id"),
)


@click.group("key")
def key() -> None:
    """SSH public keys of users, for heavy or unattended use."""


_title = click.option("--title", help="What the key is for.")
_expires = click.option("--expires", type=time, help=f"When it expires; {ON_THIS_CLOCK}.")


def _register(
    api: Api, user: str, public_key: str, title: str | None, expires: str | None
) -> Object:
    body: Object = {"public_key": public_key}
    if title is not None:
        body["title"] = title
    if expires is not None:
        body["expires_at"] = expires
    return api.send("POST", f"users/{api.resolve_id('user', user)}/keys", body)


@key.command("add")
@click.argument("user")
@click.option(
    "--public-key",
    type=click.File("r", encoding="utf-8", errors="replace"),
    required=True,
    help="The file that ends in .pub; - is standard input.",
)
@_title
@_expires
@json_option
@pass_connection
def add_key(
    connection: Connection,
    user: str,
    public_key: IO[str],
    title: str | None,
    expires: str | None,
    as_json: bool,
) -> None:
    """Register a user's public key."""
    text = public_key.read(65536).strip()
    if "PRIVATE KEY" in text:
        raise Failed("this is a private key, which stays with its user: give the file of its .pub")
    made = _register(connection.open(), user, text, title, expires)
    if as_json:
        print_json(made)
    else:
        answer(f"added {made['fingerprint']} for {user} ({made['id']})")


@key.command("generate")
@click.argument("user")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The new private key; FILE.pub gets the public one.",
    metavar="FILE",
)
@_title
@_expires
@json_option
@pass_connection
def generate_key(
    connection: Connection,
    user: str,
    out: Path,
    title: str | None,
    expires: str | None,
    as_json: bool,
) -> None:
    """Create an ed25519 key on this machine and register it.

    Its private part is never sent.
    """
    private, public = _new_key_pair()
    with _written(out, private, 0o600), _written(Path(f"{out}.pub"), public + b"\n", 0o644):
        made = _register(connection.open(), user, public.decode("ascii"), title, expires)
    if as_json:
        print_json(made)
    else:
        answer(f"wrote {out} and registered {made['fingerprint']} for {user}")


def _new_key_pair() -> tuple[bytes, bytes]:
    # cryptography costs more to import than any other command needs.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    made = Ed25519PrivateKey.generate()
    return (
        made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        made.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    )


@contextmanager
def _written(path: Path, content: bytes, mode: int) -> Iterator[None]:
    """Write a new file, and remove it again if the block fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise Failed(f"{path} is there already and is left alone; choose another --out") from None
    except OSError as error:
        raise Failed(f"can't write {path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


@key.command("list")
@click.argument("user", required=False)
@with_api
def list_keys(api: Api, user: str | None, as_json: bool) -> None:
    """List a user's keys, or everybody's."""
    print_list(api, _keys(api, user), None, _COLUMNS, as_json)


@key.command("revoke")
@click.argument("words", nargs=-1, metavar="[USER] KEY")
@json_option
@pass_connection
def revoke_key(connection: Connection, words: tuple[str, ...], as_json: bool) -> None:
    """Remove a key; its sessions end.

    Name it by its id, its fingerprint or its title.
    """
    if not 1 <= len(words) <= 2:
        raise click.UsageError("give a key, or a user and a key")
    api = connection.open()
    wanted = words[-1]
    given = words[0] if len(words) == 2 else None
    fields = ("id",) if is_id("key", wanted) else ("fingerprint", "title")
    found = [item for item in _keys(api, given) if wanted in (item.get(field) for field in fields)]
    if not found:
        raise Failed(f"there is no key {wanted!r}; `tunnelcloud key list` shows what there is")
    if len(found) > 1:
        raise Failed(f"{len(found)} keys are called {wanted!r}; give the id of one")
    api.send("DELETE", f"users/{found[0]['user_id']}/keys/{found[0]['id']}")
    report_done(f"revoked {found[0]['fingerprint']}", as_json)


def _keys(api: Api, user: str | None) -> list[Object]:
    users = (
        [api.resolve_id("user", user)]
        if user is not None
        else [item["id"] for item in api.each("users")]
    )
    return [item for user_id in users for item in api.each(f"users/{user_id}/keys")]
