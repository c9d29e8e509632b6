"""The pods, and the host keys that they share."""

from __future__ import annotations

import click

from tunnelcloud.cli.client import Api, Failed
from tunnelcloud.cli.crud import list_objects, report_done
from tunnelcloud.cli.object_options import Column
from tunnelcloud.cli.output import answer, print_json, print_table, shown_time
from tunnelcloud.cli.parameters import with_api

_POD_COLUMNS = (
    Column("name", "name"),
    Column("version", "version"),
    Column("ssh", "ssh_address"),
    Column("connectors", "connectors_address"),
    Column("last seen", "last_seen_at", shown_time),
    Column("state", "state"),
)


@click.group("pod")
def pod() -> None:
    """The gateways."""


@pod.command("list")
@with_api
def list_pods(api: Api, as_json: bool) -> None:
    """List the pods and where they are reached."""
    list_objects(api, "pods", _POD_COLUMNS, as_json)


def _pod_path(api: Api, wanted: str) -> str:
    pods, _ = api.pages("pods")
    for one in pods:
        if wanted in (one["name"], one["id"]):
            return f"pods/{one['id']}"
    raise Failed(f"there is no pod {wanted!r}; `tunnelcloud pod list` shows them")


@pod.command("drain")
@click.argument("name", metavar="NAME")
@with_api
def drain_pod(api: Api, name: str, as_json: bool) -> None:
    """Drain a pod: it takes no new sessions.

    Open sessions go on; new sessions and connections are refused, and told to try again.  Any pod
    can be drained.  It ends with `pod resume`, or when the pod starts again.
    """
    api.send("POST", f"{_pod_path(api, name)}/drain")
    report_done(f"pod {name} is drained", as_json)


@pod.command("resume")
@click.argument("name", metavar="NAME")
@with_api
def resume_pod(api: Api, name: str, as_json: bool) -> None:
    """Let a drained pod take new sessions again."""
    api.send("POST", f"{_pod_path(api, name)}/resume")
    report_done(f"pod {name} takes new sessions again", as_json)


@pod.command("delete")
@click.argument("name", metavar="NAME")
@with_api
def delete_pod(api: Api, name: str, as_json: bool) -> None:
    """Delete a pod that is gone for good; after a day the other pods do so themselves."""
    api.send("DELETE", _pod_path(api, name))
    report_done(f"deleted pod {name}", as_json)


@click.group("host-key")
def host_key() -> None:
    """The SSH host keys of the pods."""


@host_key.command("list")
@with_api
def list_host_keys(api: Api, as_json: bool) -> None:
    """List the host keys' fingerprints.

    They are to be compared with what ssh shows.
    """
    found = api.get("host-keys")
    if as_json:
        print_json(found)
        return
    names = ["algorithm", "use", "fingerprint"]
    print_table(names, ([key[name] for name in names] for key in found["items"]))


@host_key.command("rotate")
@with_api
def rotate_host_keys(api: Api, as_json: bool) -> None:
    """Make new host keys beside the current ones.

    OpenSSH learns them at each user's next connection; `host-key known-hosts` has them for others.
    Pods prove themselves with the current ones until `host-key promote`.
    """
    api.send("POST", "host-keys/rotate")
    report_done(
        "clients learn the new host keys from now on; when all have, use them with "
        "`tunnelcloud host-key promote`",
        as_json,
    )


@host_key.command("promote")
@with_api
def promote_host_keys(api: Api, as_json: bool) -> None:
    """Have all pods prove themselves with the new host keys.

    Clients that haven't learnt them are warned of a changed key. Sessions that are open go on.
    """
    api.send("POST", "host-keys/promote")
    report_done(
        "pods use the new host keys; forget the old ones with `tunnelcloud host-key retire`",
        as_json,
    )


@host_key.command("retire")
@with_api
def retire_host_keys(api: Api, as_json: bool) -> None:
    """Forget the old host keys, or new ones that were never used."""
    api.send("POST", "host-keys/retire")
    report_done("there are only the current host keys", as_json)


@host_key.command("known-hosts")
@with_api
def list_known_hosts(api: Api, as_json: bool) -> None:
    """Print lines for ~/.ssh/known_hosts.

    They are for every address that clients connect to.
    """
    keys = api.get("host-keys")["items"]
    lines = [line for key in keys for line in key["known_hosts"]]
    if as_json:
        print_json(lines)
    else:
        for line in lines:
            answer(line)
