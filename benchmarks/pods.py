"""Several pods on one PostgreSQL: what a revocation, a token and a pod's death cost among many.

    python -m benchmarks.pods --figures revocation --users 1000      # beside 10 edits a second
    python -m benchmarks.pods --figures reconnect --sessions 5000    # their pod was killed
    python -m benchmarks.pods --figures tokens --tokens 10000        # 20 racers each, at the store
    python -m benchmarks.pods --figures races --races 300            # by SSH, pods killed meanwhile
    python -m benchmarks.pods --figures core bulk                    # two pods beside one, by CPU
    python -m benchmarks.pods --figures penalties                    # known to the other pod after

Pods, connector, database and clients share the machine: clients take as much of it as the pods do.
"""

import argparse
import asyncio
import contextlib
import functools
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncssh
from attrs import frozen

from benchmarks.clients import Crowd as IdleCrowd
from benchmarks.clients import Login, percentile
from benchmarks.coming_back import ComingBack, log_in_all
from benchmarks.load import upload
from benchmarks.processes import HOST, measured
from tests.integration.processes import PYTHON, Process, free_port
from tests.integration.test_pods import PenaltyTests, Pods
from tests.store.databases import postgres_execute, postgres_server
from tests.store.material import login, make_world
from tunnelcloud.store import tokens
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.tokens import Outcome

AT_ONCE = 50
RACERS = 20
TOKENS_AT_ONCE = 500  # of one user, who may have twice as many that are good
REFUSED = (OSError, asyncssh.Error, TimeoutError)


@frozen
class Door:
    """A pod's port, and whose login it is to be."""

    ssh_port: int
    login: str


def api(pods, pod, method, path, body=None):
    """Ask a pod's API, as its first administrator."""
    token = pods.gateways[0].admin_token
    return pods.gateways[pod].api(method, path, body, token=token, patience=60)


class Crowd:
    """Users with keys, in a group that may use one tunnel; one of them has it by themselves."""

    def __init__(self, pods, count):
        self.pods = pods
        site = api(pods, 0, "GET", "/sites")["items"][0]["id"]
        wanted = {"name": "echo", "site_id": site, "target_address": "127.0.0.1",
                  "target_ports": [str(pods.echo.port)]}  # fmt: skip
        self.tunnel = api(pods, 0, "POST", "/tunnels", wanted)["id"]
        with ThreadPoolExecutor(4) as threads:
            self.users = list(threads.map(self._make, range(count)))

    def _make(self, number):
        key = asyncssh.generate_private_key("ssh-ed25519")
        made = api(self.pods, 0, "POST", "/users", {"name": f"crowd{number}"})
        public = {"title": "key", "public_key": key.export_public_key().decode().strip()}
        api(self.pods, 0, "POST", f"/users/{made['id']}/keys", public)
        wanted = {"user_id": made["id"], "methods": ["key", "token"]}
        path = f"/tunnels/{self.tunnel}/assignments"
        assignment = api(self.pods, 0, "POST", path, wanted)["id"]
        return made["name"], made["id"], key, f"{path}/{assignment}"

    async def log_in(self, user, pod, **how):
        how = how or {"client_keys": [user[2]]}
        return await asyncssh.connect(
            "127.0.0.1", self.pods.gateways[pod].ssh_port, username=user[0], known_hosts=None,
            config=None, agent_path=None, login_timeout=60, **how,
        )  # fmt: skip

    async def log_in_all(self, pod):
        """Have everybody log in, some at a time."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(user):
            async with room:
                return await self.log_in(user, pod)

        return await asyncio.gather(*(one(user) for user in self.users))


def say(name, **figures):
    print(json.dumps({"figure": name, **figures}), flush=True)


async def revocation(pods, options):
    """Take the tunnel from users one by one, on the pod that they aren't on."""
    crowd = await asyncio.to_thread(Crowd, pods, options.users)
    connections = await crowd.log_in_all(0)
    over = asyncio.Event()

    async def edit():
        number = 0
        while not over.is_set():
            number += 1
            body = {"description": f"text {number}"}
            editing = asyncio.to_thread(api, pods, 1, "PATCH", f"/tunnels/{crowd.tunnel}", body)
            await asyncio.gather(editing, asyncio.sleep(0.1))
        return number

    editing = asyncio.create_task(edit())
    await asyncio.sleep(5)
    ends, logins = [], []
    for connection, user in list(zip(connections, crowd.users, strict=True))[: options.runs]:
        reader, writer = await connection.open_connection("echo", pods.echo.port, encoding=None)
        writer.write(b"x")
        await reader.readexactly(1)
        began = time.perf_counter()
        await asyncio.to_thread(api, pods, 1, "DELETE", user[3])
        await asyncio.wait_for(reader.read(1), 60)
        ends.append(time.perf_counter() - began)
        for other in crowd.users[-5:]:
            began = time.perf_counter()
            another = await crowd.log_in(other, 0)
            logins.append(time.perf_counter() - began)
            another.abort()
    over.set()
    edits = await editing
    say("revocation", users=options.users, edits=edits,
        median=round(percentile(ends, 0.5), 3), worst=round(max(ends), 3),
        login_p99=round(percentile(logins, 0.99), 3))  # fmt: skip
    for connection in connections:
        connection.abort()


def reconnect(pods, options):
    """Kill the pod of many sessions; all of them come to the other one."""
    crowd = Crowd(pods, min(options.sessions, options.users))
    names = []
    for name, _, key, _ in crowd.users:
        key.write_private_key(pods.directory / f"{name}.pem")
        names.append(name)

    def log_ins(pod):
        port = pods.gateways[pod].ssh_port
        return [
            functools.partial(Login, Door(port, name), pods.directory / f"{name}.pem")
            for name in itertools.islice(itertools.cycle(names), options.sessions)
        ]

    with IdleCrowd() as idle:
        log_in_all(log_ins(0), idle)
        before, idle.logins = idle.logins, []
        pods.gateways[0].process.kill()
        back = ComingBack(log_ins(1), options.patience)
        back.run(idle)
        say("reconnect", sessions=options.sessions, back=len(back.waits),
            median=round(percentile(back.waits, 0.5), 1), worst=round(max(back.waits), 1),
            longest_attempt=round(max(back.attempts), 1), refusals=back.refusals)  # fmt: skip
        for login in before:
            login.close()
    pods.gateways[0].start()


async def races(pods, options):
    """Race for tokens by SSH at all pods; now and then one of them is killed."""
    crowd = await asyncio.to_thread(Crowd, pods, 20)
    won = {}
    for number in range(options.races):
        user = crowd.users[number % 20]
        wanted = {"user_id": user[1], "tunnel_id": crowd.tunnel}
        token = (await asyncio.to_thread(api, pods, 0, "POST", "/tokens", wanted))["token"]

        async def spend(pod, user=user, token=token):
            how = {"password": token, "client_keys": None, "preferred_auth": "password"}
            try:
                (await crowd.log_in(user, pod, **how)).abort()
            except REFUSED:
                return 0
            return 1

        racing = [asyncio.create_task(spend(pod)) for pod in range(len(pods.gateways))]
        dies = number % 10 == 9
        if dies:
            await asyncio.to_thread(pods.gateways[-1].process.kill)
        key = "one dies" if dies else "all live"
        counts = won.setdefault(key, {})
        winners = sum(await asyncio.gather(*racing))
        counts[winners] = counts.get(winners, 0) + 1
        if dies:
            await asyncio.to_thread(pods.gateways[-1].start)
    [[doubled]] = pods.execute(
        "SELECT count(*) FROM (SELECT token_id FROM sessions WHERE token_id IS NOT NULL "
        "GROUP BY token_id HAVING count(*) > 1) AS doubled"
    )
    say("races", races=options.races, winners=won, doubled=doubled)


async def core(pods, options):
    """Compare what logins cost one pod with what they cost two, by the processor's time."""
    crowd = await asyncio.to_thread(Crowd, pods, 10)
    used = {}
    for used_pods in (1, 2, 1, 2):
        pids = [one.process.process.pid for one in pods.gateways[:used_pods]]
        with measured(pids) as measure:
            for number in range(options.logins):
                user = crowd.users[number % 10]
                (await crowd.log_in(user, number % used_pods)).abort()
        used.setdefault(used_pods, []).append(options.logins / measure.cpu)
    one, two = (max(used[count]) for count in (1, 2))
    say("core", logins_a_cpu_second_of_one=round(one, 1), of_two=round(two, 1),
        ratio=round(two / one, 2))  # fmt: skip


def bulk(pods, options):
    """Compare what two uploads cost one pod with what they cost two, by the processor's time."""
    name, key = pods.user()
    port = free_port()
    target = Process([PYTHON, "-m", "benchmarks.load", port])
    pods.do("tunnel", "create", "bulk", "--site", "paris", "--address", HOST, "--port", port)
    pods.do("assign", "bulk", "--user", name, "--method", "key")
    forwards = [client.forward(name, f"bulk:{port}", key=key) for client in pods.clients]
    used = {}
    for used_pods in (1, 2) * 3:
        pids = [one.process.process.pid for one in pods.gateways[:used_pods]]
        ports = [forwards[number % used_pods][1] for number in range(2)]
        with measured(pids) as measure, ThreadPoolExecutor(2) as threads:
            list(threads.map(upload, ports, [options.size << 20] * 2))
        used.setdefault(used_pods, []).append(2 * options.size / measure.cpu)
    one, two = (max(used[count]) for count in (1, 2))
    say("bulk", mib_a_cpu_second_of_one=round(one), of_two=round(two), ratio=round(two / one, 2))
    for process, _ in forwards:
        process.stop()
    target.stop()


def race_at_the_store(options):
    """Have 20 racers spend each token, by the stores of three pods."""
    postgres_execute("CREATE DATABASE racing")
    url = postgres_server().get_uri("racing")
    stores = [open_store(url, Path("/nonexistent")) for _ in range(3)]
    alice = stores[0].write(make_world).alice
    secrets = [f"secret-{number}".encode() for number in range(options.tokens)]

    def create(transaction, some):
        for one in some:
            tokens.create(transaction, user_id=alice.id, secret_hash=one, lifetime_seconds=3600)

    began, winners = time.perf_counter(), {}
    for start in range(0, len(secrets), TOKENS_AT_ONCE):
        some = secrets[start : start + TOKENS_AT_ONCE]
        stores[0].write(create, some)
        for secret in some:
            racing = [
                stores[n % 3].write_soon(tokens.spend, secret, login()) for n in range(RACERS)
            ]
            won = sum(one.result().outcome is Outcome.SPENT for one in racing)
            winners[won] = winners.get(won, 0) + 1
    seconds = round(time.perf_counter() - began, 1)
    say("tokens", tokens=options.tokens, racers=RACERS, winners=winners, seconds=seconds)
    for store in stores:
        store.close()


def penalties(pods, options):
    """Fail to log in at one pod; see after how long the other one refuses the same source."""
    case = PenaltyTests("test_after_failed_logins_at_the_one")
    case.pods = pods
    took = []
    for number in range(options.runs):
        case.stranger = f"198.51.{number % 256}.77"
        assert not case.is_refused(1), "the other pod knows nothing of this source yet"
        case.fail_to_log_in(0)
        began = time.perf_counter()
        while not case.is_refused(1):
            if time.perf_counter() - began > options.patience:
                raise SystemExit("the other pod never refused this source")
            time.sleep(0.05)
        took.append(time.perf_counter() - began)
    say("penalties", sources=len(took), median=round(percentile(took, 0.5), 2),
        worst=round(max(took), 2))  # fmt: skip


FIGURES = {
    "revocation": revocation,
    "reconnect": reconnect,
    "races": races,
    "core": core,
    "bulk": bulk,
    "penalties": penalties,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--figures", nargs="*", default=[*FIGURES, "tokens"])
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=20, help="revocations")
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--patience", type=float, default=120, help="seconds to come back in")
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--races", type=int, default=300)
    parser.add_argument("--size", type=int, default=512, help="MiB of an upload")
    parser.add_argument("--logins", type=int, default=200)
    options = parser.parse_args()
    for name in options.figures:
        if name == "tokens":
            race_at_the_store(options)
            continue
        with contextlib.closing(Pods(3 if name == "races" else 2)) as pods:
            figure = FIGURES[name](pods, options)
            if asyncio.iscoroutine(figure):
                asyncio.run(figure)


if __name__ == "__main__":
    main()
