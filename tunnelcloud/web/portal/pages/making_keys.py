"""Makes a key, registers it and hands it over, in one step.

Where scripts run, the browser makes it and sends the public part alone.  Elsewhere, and for a file
with a passphrase, the pod makes it: the page after the form holds the file, one time, and the pod
keeps nothing of it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import field, frozen

from tunnelcloud.domain.connecting.new_keys import first_use
from tunnelcloud.domain.connecting.way import Way, logins_of
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.slugs import slug
from tunnelcloud.domain.ssh_command import own_host, suggested_ports
from tunnelcloud.pki.key_files import LONGEST_PASSPHRASE, KeyFormat, NewKeyFile, make_key_file
from tunnelcloud.store import pinned_tunnels
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.forms import expiry, with_faults_of_days
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.tokens import tunnels_of
from tunnelcloud.web.resources.tunnel_standing import methods_of
from tunnelcloud.web.routes import ADMINS, EVERYBODY
from tunnelcloud.web.worker import Worker

FORMATS = {
    KeyFormat.OPENSSH: "OpenSSH: ssh in a terminal, and most tools",
    KeyFormat.PUTTY: "PuTTY: PuTTY, WinSCP and MobaXterm (.ppk)",
}
RSA = "rsa"
"""Old tools' kind, which only the browser makes: its file is too long to be handed over here."""

_MOST_OTHERS = 12
_FILE = re.compile(r"[^a-z0-9-]+")


def key_making_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for making a key: one's own, and another user's."""
    handlers = _KeyMaking(context, operations)
    return [
        row
        for pages, roles in [("/keys", EVERYBODY), ("/admin/users/{user_id}/keys", ADMINS)]
        for row in (
            PageRoute("GET", f"{pages}/new", roles, handlers.blank),
            PageRoute("POST", f"{pages}/new", roles, handlers.make),
            PageRoute("GET", f"{pages}/made", roles, handlers.made),
        )
    ]


@frozen
class _Place:
    """Whose key it is.

    :ivar keys: the path of their keys in the API.
    :ivar pages: the path of the pages here.
    :ivar back: the page that lists them.
    """

    user_id: str
    own: bool
    keys: str
    pages: str
    back: str


def _place(visit: Visit) -> _Place:
    if "user_id" not in visit.params:
        return _Place(visit.who().user.id, True, "/me/keys", "/keys", "/keys")
    user_id = visit.params["user_id"]
    user = f"/users/{user_id}"
    return _Place(user_id, False, f"{user}/keys", f"/admin{user}/keys", f"/admin{user}/access#keys")


@frozen
class _KeyMaking:
    """Makes keys for the user of a page."""

    context: ApiContext
    operations: Operations
    _worker: Worker = field(init=False)

    @_worker.default
    def _make_worker(self) -> Worker:
        text = "too many keys are being made at this moment: try again in a few seconds"
        return Worker(self.context.store.reactor, "keys", text, takes_turns=False)

    async def blank(self, visit: Visit) -> Reply:
        """Show the form."""
        return await self._form(visit, {})

    async def _form(self, visit: Visit, errors: Mapping[str, str]) -> Shown:
        place = _place(visit)
        typed = {name: visit.typed(name) for name in ("title", "kind", "passphrase", "expires_at")}
        values = {
            "typed": typed,
            "errors": errors,
            "formats": [(kind.value, text) for kind, text in FORMATS.items()],
            "own": place.own,
            "owner": await self._owner(visit, place),
            "back": place.back,
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("new_key.html", values, status)

    async def _owner(self, visit: Visit, place: _Place) -> str:
        if place.own:
            return visit.who().user.name
        return str((await self.operations(visit, "GET", f"/users/{place.user_id}"))["name"])

    async def make(self, visit: Visit) -> Reply:
        """Make and register a key, and go to the page that hands it over."""
        place, wrong = _place(visit), _faults_of_file(visit)
        try:
            made = await self._made(visit, place, makes=not wrong)
        except Problem as problem:
            if not problem.errors:
                raise  # nothing in the form is wrong
            found = with_faults_of_days(faults(problem), visit)
            fault = found.pop("public_key", "")
            if fault and not wrong:
                found[""] = fault
            return await self._form(visit, {**found, **wrong})
        return Moved(f"{place.pages}/made", once={"key": made})

    async def _made(self, visit: Visit, place: _Place, *, makes: bool) -> dict[str, Any]:
        """Make a key and register it.

        :param makes: whether one may be made here; without a key, the operation refuses the rest
            of the form and says what else is wrong with it.
        """
        kind = visit.typed("kind")
        made = NewKeyFile(visit.typed("public_key"), "")
        if makes and not made.public_key:
            made = await self._made_here(visit, KeyFormat(kind))
        title = visit.typed("title").strip() or f"Made {self.context.now():%Y-%m-%d}"
        body = {
            "public_key": made.public_key,
            "title": title,
            "expires_at": expiry(visit.typed("expires_at")),
        }
        key = await self.operations(visit, "POST", place.keys, body)
        return {
            "title": title,
            "file": _file_name(title, kind),
            "putty": kind == KeyFormat.PUTTY,
            "fingerprint": key["fingerprint"],
            "content": made.content,
        }

    async def _made_here(self, visit: Visit, kind: KeyFormat) -> NewKeyFile:
        """Make a key on the pod, which costs up to a second of a core."""
        passphrase, who = visit.typed("passphrase"), visit.who()
        self.context.paces.take(who.caller)
        random = self.context.random
        return await self._worker.run(lambda: make_key_file(kind, passphrase, random), who.user.id)

    async def made(self, visit: Visit) -> Reply:
        """Hand a key over, once, and say what to do with it."""
        place = _place(visit)
        if not visit.once:
            return Moved(place.back)
        key: dict[str, Any] = visit.once["key"]
        view, pinned, recent = await self.context.store.read(pinned_tunnels.in_order, place.user_id)
        order = {tunnel_id: place for place, tunnel_id in enumerate(recent)}
        opened = tunnels_of(view.grants)
        found = [one for one in opened if Method.KEY in methods_of(view, one)]
        found.sort(key=lambda one: (one.id not in pinned, order.get(one.id, len(order))))
        live, way = self.context.live, None
        if found:
            # This takes a look at each port of all of their tunnels.
            ports = await self.context.showing.run(
                lambda: suggested_ports(found[0], opened), source=visit.who().user.id
            )
            way = Way(
                tunnel=found[0],
                login=logins_of(view.user, found[0])[0],
                method=Method.KEY,
                pod=live.ssh_public_address,
                target=own_host(view, found[0]),
                local_ports=ports,
                fingerprints=[one.fingerprint for one in live.host_keys()],
            )
        systems = first_use(key["file"], way, putty=key["putty"])
        if "Windows" in visit.user_agent:
            systems.reverse()
        content = base64.b64encode(key["content"].encode("ascii")).decode("ascii")
        values = {
            "key": key,
            "content": content,
            "systems": systems,
            "tunnel": found[0] if found else None,
            "others": found[1 : 1 + _MOST_OTHERS],
            "more": max(0, len(found) - 1 - _MOST_OTHERS),
            "own": place.own,
            "owner": view.user.name,
            "back": place.back,
        }
        return Shown("made_key.html", values)


def _faults_of_file(visit: Visit) -> dict[str, str]:
    """Say what is wrong with the file that the pod is to make; nothing if the browser made it."""
    if visit.typed("public_key"):
        return {}
    kind, wrong = visit.typed("kind"), dict[str, str]()
    if kind == RSA:
        text = "an RSA key is made in your browser, and without a passphrase: leave it empty"
        wrong["kind"] = text
    elif kind not in set(KeyFormat):
        wrong["kind"] = "choose for which program the file is"
    if len(visit.typed("passphrase")) > LONGEST_PASSPHRASE:
        wrong["passphrase"] = f"use at most {LONGEST_PASSPHRASE} characters"
    return wrong


def _file_name(title: str, kind: str) -> str:
    """Name the file after what the key is called, so that several can be told apart."""
    words = _FILE.sub("-", slug(title)).strip("-")[:40].strip("-")
    endings = {KeyFormat.PUTTY.value: ".ppk", RSA: ".pem"}
    return f"tunnelcloud-{words or 'key'}{endings.get(kind, '')}"
