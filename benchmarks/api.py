"""The API and the portal's lists at 100,000 users, 10,000 tunnels and 1,000,000 events, on SQLite.

    python -m benchmarks.api                 # fills a database first, which takes a minute or two
    python -m benchmarks.api --keep DIR      # keeps it, or uses the one that is there

One client asks a real pod over one connection and waits for each answer; a write is one that is on
the disk.  Prints, for each operation, the statements that the database ran, and the median and the
95th percentile of the time.
"""

import argparse
import http.client
import json
import mmap
import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.processes import HOST, PYTHON, Bench, free_port
from tunnelcloud.domain.entities import Method, new_id
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import api_tokens, schema, users, web_sessions
from tunnelcloud.store.engine import Store, open_store
from tunnelcloud.store.transaction import Transaction

USERS, TUNNELS, EVENTS, SESSIONS = 100_000, 10_000, 1_000_000, 100_000
SECRET, COOKIE = "tca_" + "b" * 26, "b" * 43
READ_MS, WRITE_MS, PAGE_MS = 50, 100, 300
_COUNTER = "statements"
_STEP = 10_000

Rows = list[dict[str, Any]]


def fill(state: Path) -> None:
    """Make a database as large as promised."""
    state.mkdir(mode=0o700, parents=True)
    store = open_store("sqlite", state)
    for part in (_people, _tunnels, _sessions, _events):
        began = time.monotonic()
        part(store)
        say(f"{part.__name__[1:]}: {time.monotonic() - began:.0f} s")
    store.close()


def _insert(store: Store, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    def work(transaction: Transaction, batch: Rows) -> None:
        transaction.connection.execute(table.insert(), batch)

    batch: Rows = []
    for row in rows:
        batch.append(row)
        if len(batch) == _STEP:
            store.write(work, batch)
            batch = []
    if batch:
        store.write(work, batch)


def _id(kind: str, number: int) -> str:
    chance = random.Random(f"{kind}{number}")
    return new_id(kind, 1_700_000_000_000 + number, chance.randbytes)


def _at(number: int, of: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=90) * ((of - number) / of)


def _people(store: Store) -> None:
    made = [(_id("user", number), number) for number in range(USERS)]
    now = datetime.now(UTC)
    _insert(store, schema.users, ({
        "id": one, "created_at": now, "name": f"user{number:06}", "title": f"Person {number}",
        "email": f"user{number:06}@example.com", "role": Role.USER, "service": False,
        "blocked": False,
    } for one, number in made))  # fmt: skip
    _insert(store, schema.user_names, (
        {"name": name, "user_id": one}
        for one, number in made
        for name in (f"user{number:06}", f"user{number:06}@example.com")
    ))  # fmt: skip
    admin = store.write(users.create, name="the-admin", role=Role.ADMIN)
    store.write(
        api_tokens.create, title="benchmark", role=Role.ADMIN, secret_hash=hash_secret(SECRET)
    )
    store.write(
        web_sessions.create, user_id=admin.id, secret_hash=hash_secret(COOKIE),
        lifetime_seconds=10**6, method="password", source_ip=HOST, user_agent="benchmark",
    )  # fmt: skip


def _tunnels(store: Store) -> None:
    now = datetime.now(UTC)
    _insert(store, schema.sites, ({
        "id": _id("site", number), "created_at": now, "name": f"site{number:02}", "title": "",
    } for number in range(20)))  # fmt: skip
    _insert(store, schema.groups, ({
        "id": _id("group", number), "created_at": now, "name": f"group{number:03}", "title": "",
    } for number in range(100)))  # fmt: skip
    _insert(store, schema.group_members, ({
        "group_id": _id("group", number % 100), "user_id": _id("user", number), "added_at": now,
    } for number in range(USERS)))  # fmt: skip
    _insert(store, schema.tunnels, ({
        "id": _id("tunnel", number), "created_at": now, "name": f"tunnel{number:05}",
        "title": f"Service {number}", "site_id": _id("site", number % 20),
        "target_address": f"10.{number % 200}.{number // 200}.5",
        "target_ports": (PortRange(5432, 5432),), "local_port_offset": 0,
        "external_address": None, "enabled": True, "icon": "", "description": "",
    } for number in range(TUNNELS)))  # fmt: skip
    _insert(store, schema.assignments, ({
        "id": _id("assignment", number), "created_at": now, "tunnel_id": _id("tunnel", number),
        "user_id": None, "group_id": _id("group", number % 100),
        "methods": frozenset(Method), "policy_id": None,
    } for number in range(TUNNELS)))  # fmt: skip


def _sessions(store: Store) -> None:
    made = []
    for number in range(SESSIONS):
        begun = _at(number, SESSIONS)
        made.append((new_id("session", int(begun.timestamp() * 1000), os.urandom), number, begun))
    common = {"pod_id": "pod_x", "source_ip": "192.0.2.1", "bytes_to_target": 1000,
              "bytes_from_target": 5000}  # fmt: skip
    _insert(store, schema.sessions, ({
        **common, "id": one, "user_id": _id("user", number % USERS),
        "user_name": f"user{number % USERS:06}", "method": Method.TOKEN, "login_name": "x",
        "client_version": "OpenSSH_9.2", "tunnel_id": None, "token_id": None, "key_id": None,
        "started_at": begun, "ended_at": begun + timedelta(minutes=30), "end_reason": "over",
    } for one, number, begun in made))  # fmt: skip
    _insert(store, schema.channels, ({
        **common, "id": one.replace("ses_", "chn_"), "session_id": one,
        "user_id": _id("user", number % USERS), "user_name": f"user{number % USERS:06}",
        "tunnel_id": _id("tunnel", number % TUNNELS), "tunnel_name": f"tunnel{number % TUNNELS:05}",
        "destination": "10.0.0.5", "port": 5432, "connector_id": None, "opened_at": begun,
        "closed_at": begun + timedelta(minutes=29), "close_reason": "over",
    } for one, number, begun in made))  # fmt: skip


_KINDS = ("login.succeeded", "channel.opened", "channel.closed", "session.ended", "token.created")


_DATA: dict[str, dict[str, object]] = {
    "login.succeeded": {"login_name": "x", "method": "token", "client_version": "OpenSSH_9.2"},
    "login.refused": {"login_name": "x", "method": "token", "reason": "no such token"},
    "web_login.refused": {"login_name": "x", "reason": "the password is wrong"},
    "channel.opened": {"destination": "10.0.0.5", "port": 5432, "connector_id": "con_x"},
    "channel.closed": {"destination": "10.0.0.5", "port": 5432, "reason": "over"},
    "session.ended": {"reason": "over", "bytes_to_target": 5, "bytes_from_target": 5},
    "token.created": {"token_id": "tok_x", "sessions": 1},
}
_NEEDLE = EVENTS // 15 * 5
"""The number of the event, a login, that has a text which no other has."""


def _events(store: Store) -> None:
    chance = random.Random(1)

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(EVENTS):
            at = _at(number, EVENTS)
            kind = _KINDS[number % len(_KINDS)]
            if number % 1000 == 0:
                kind = "login.refused"
            if number in (EVENTS // 100, EVENTS // 2):
                kind = "web_login.refused"
            person, tunnel = chance.randrange(USERS), chance.randrange(TUNNELS)
            name = f"user{person:06}"
            yield {
                "id": new_id("event", int(at.timestamp() * 1000), os.urandom), "at": at,
                "event": kind, "actor": name, "actor_id": _id("user", person),
                "user_id": _id("user", person), "user_name": name,
                "tunnel_id": _id("tunnel", tunnel), "tunnel_name": f"tunnel{tunnel:05}",
                "session_id": None, "source_ip": f"192.0.{person % 250}.1", "pod_id": "pod_x",
                "data": {**_DATA[kind], **({"method": "needle"} if number == _NEEDLE else {})},
            }  # fmt: skip

    # Several times as fast as keeping nine indexes in order meanwhile.
    indexes = list(schema.audit.indexes)
    store.write(lambda one: [index.drop(one.connection) for index in indexes])
    _insert(store, schema.audit, rows())
    store.write(lambda one: [index.create(one.connection) for index in indexes])


def serve(state: Path, port: int) -> None:
    """Be a pod that counts the statements its database runs."""
    from sqlalchemy import Engine, event
    from twisted.internet import reactor

    from tunnelcloud.pod.starting import make_pod
    from tunnelcloud.settings import ConnectorsSettings, PodSettings, SSHSettings, WebSettings

    with (state / _COUNTER).open("r+b") as file:
        counter = mmap.mmap(file.fileno(), 8)

    @event.listens_for(Engine, "before_cursor_execute")
    def count(*_: object) -> None:
        counter[:8] = (int.from_bytes(counter[:8]) + 1).to_bytes(8)

    anywhere = ["tcp:0:interface=127.0.0.1"]
    settings = PodSettings(
        state_directory=state,
        ssh=SSHSettings(listen=anywhere),
        connectors=ConnectorsSettings(listen=anywhere),
        web=WebSettings(listen=[f"tcp:{port}:interface=127.0.0.1"]),
    )
    pod = make_pod(reactor, settings, HOST)
    pod.privilegedStartService()
    pod.startService()
    reactor.run()


class Client:
    """One connection to the pod."""

    def __init__(self, state: Path, port: int) -> None:
        self.connection = http.client.HTTPConnection(HOST, port, timeout=60)
        with (state / _COUNTER).open("r+b") as file:
            self._counter = mmap.mmap(file.fileno(), 8)

    def ask(self, method: str, path: str, body: object = None, page: bool = False) -> Any:
        headers = {"Authorization": f"Bearer {SECRET}"}
        if page:
            headers = {"Cookie": f"tunnelcloud={COOKIE}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body)
        self.connection.request(method, path if page else f"/api/v1{path}", data, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")
        return None if page or not text else json.loads(text)

    def statements(self) -> int:
        return int.from_bytes(self._counter[:8])


def measure(
    client: Client, name: str, aim: int, once: Callable[[int], object], rounds: int
) -> bool:
    """Do an operation many times and print its line; tell whether it is within its aim."""
    once(-1)
    times, counts = [], []
    for number in range(rounds):
        before, began = client.statements(), time.perf_counter()
        once(number)
        times.append((time.perf_counter() - began) * 1000)
        counts.append(client.statements() - before)
    median, late = statistics.median(times), statistics.quantiles(times, n=20)[18]
    mark = "" if late <= aim else f"  (aim {aim})"
    say(f"| {name} | {round(statistics.median(counts))} | {median:.1f} | {late:.1f}{mark} |")
    return late <= aim


def run(client: Client, rounds: int) -> bool:
    """Measure everything."""
    chance = random.Random(7)

    def person() -> int:
        return chance.randrange(USERS)

    reads: list[tuple[str, Callable[[], str]]] = [
        ("list users", lambda: "/users"),
        ("list users, by name", lambda: "/users?sort=name&limit=200"),
        ("search users, many found", lambda: "/users?q=user0&sort=name"),
        ("search users, one found", lambda: f"/users?q={person():06}&sort=name"),
        ("search users, none found", lambda: "/users?q=nobody-at-all&sort=name"),
        ("find a user by name", lambda: f"/users?name=user{person():06}"),
        ("show a user", lambda: f"/users/{_id('user', person())}"),
        ("list tunnels", lambda: "/tunnels?sort=name"),
        ("search tunnels, one found", lambda: f"/tunnels?q=tunnel0{person() % 10_000:04}"),
        ("tunnels of a user", lambda: f"/tunnels?user_id={_id('user', person())}"),
        (
            "a tunnel's assignments",
            lambda: f"/tunnels/{_id('tunnel', person() % TUNNELS)}/assignments",
        ),
        ("members of a group", lambda: f"/groups/{_id('group', person() % 100)}/members"),
        ("list sessions", lambda: "/sessions"),
        ("sessions of a user", lambda: f"/sessions?user_id={_id('user', person())}"),
        (
            "sessions of a tunnel",
            lambda: f"/sessions?tunnel_id={_id('tunnel', person() % TUNNELS)}",
        ),
        ("search sessions, none found", lambda: "/sessions?q=nobody-at-all"),
        ("audit, latest", lambda: "/audit"),
        ("audit of a user", lambda: f"/audit?user_id={_id('user', person())}"),
        ("audit of a tunnel, by name", lambda: f"/audit?tunnel_name=tunnel{person() % TUNNELS:05}"),
        ("audit of an address", lambda: f"/audit?source_ip=192.0.{person() % 250}.1"),
        ("audit, a common event", lambda: "/audit?event=channel.opened"),
        ("audit, a rare event", lambda: "/audit?event=web_login.refused"),
        ("audit, a common prefix", lambda: "/audit?event=channel."),
        ("audit, a rare prefix", lambda: "/audit?event=web_login."),
        ("audit, an event of a user", lambda: f"/audit?event=login.&user_name=user{person():06}"),
        ("audit, text found often", lambda: "/audit?q=over"),
        ("audit, text found once (a page)", lambda: "/audit?q=needle"),
        ("audit, text of a name", lambda: f"/audit?q=user{person():06}"),
        (
            "audit of a day in the past",
            lambda: "/audit?since=2026-10-01T00:00:00Z&until=2026-10-02T00:00:00Z",
        ),
        ("statistics of a day", lambda: "/statistics"),
        ("explain", lambda: ""),
    ]
    good = True
    say("| operation | statements | median ms | p95 ms |\n|---|---|---|---|")
    for name, path in reads:
        if name == "explain":
            good &= measure(client, name, READ_MS, lambda _: client.ask("POST", "/explain", {
                "user": f"user{person():06}", "tunnel": f"tunnel{person() % TUNNELS:05}",
                "port": 5432}), rounds)  # fmt: skip
        else:
            good &= measure(
                client, name, READ_MS, lambda _, path=path: client.ask("GET", path()), rounds
            )  # type: ignore[misc]
    good &= _writes(client, rounds)
    for path in ("/admin", "/admin/users", "/admin/users?q=012345", "/admin/tunnels",
                 "/admin/groups", "/admin/sites", "/admin/sessions", "/admin/audit",
                 "/admin/audit?q=needle"):  # fmt: skip
        good &= measure(
            client, f"page {path}", PAGE_MS,
            lambda _, path=path: client.ask("GET", path, page=True), max(10, rounds // 4),  # type: ignore[misc]
        )  # fmt: skip
    return good


def _writes(client: Client, rounds: int) -> bool:
    made: list[dict[str, Any]] = []
    mark = os.urandom(4).hex()
    site = client.ask("GET", "/sites?limit=1")["items"][0]["id"]

    def create(number: int) -> None:
        made.append(client.ask("POST", "/users", {"name": f"new-{mark}-{number + 1}"}))

    good = measure(client, "create a user", WRITE_MS, create, rounds)
    good &= measure(client, "change a user", WRITE_MS, lambda number: client.ask(
        "PATCH", f"/users/{made[number + 1]['id']}", {"title": f"t{number}"}), rounds)  # fmt: skip
    there = {"site_id": site, "target_address": "10.0.0.9", "target_ports": [1]}
    good &= measure(client, "create a tunnel", WRITE_MS, lambda number: client.ask(
        "POST", "/tunnels", {"name": f"new-{mark}-{number + 1}", **there}), rounds)  # fmt: skip
    good &= measure(client, "make a one-time token", WRITE_MS, lambda number: client.ask(
        "POST", "/tokens", {"user_id": made[number + 1]["id"]}), rounds)  # fmt: skip
    good &= measure(client, "delete a user", WRITE_MS, lambda number: client.ask(
        "DELETE", f"/users/{made[number + 1]['id']}"), rounds)  # fmt: skip
    document = {"sites": {f"apply-{mark}-{number}": {} for number in range(50)}}
    good &= measure(client, "apply 50 objects, nothing to do", WRITE_MS, lambda _: client.ask(
        "POST", "/apply", document), rounds // 4)  # fmt: skip
    return good


def say(text: str) -> None:
    """Print a line now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", type=Path, help="where the filled database is kept")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.keep, chosen.serve)
        return
    with Bench() as bench:
        filled = chosen.keep or bench.directory / "filled"
        if not filled.exists():
            fill(filled)
        state = bench.directory / "state"
        shutil.copytree(filled, state)
        (state / _COUNTER).write_bytes(bytes(8))
        port = free_port()
        words = [PYTHON, "-m", "benchmarks.api", "--keep", str(state), "--serve", str(port)]
        bench.start(*words, name="pod")
        bench.wait_for_port(port)
        raise SystemExit(0 if run(Client(state, port), chosen.rounds) else 1)


if __name__ == "__main__":
    main()
