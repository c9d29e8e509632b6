"""What a request costs the pod: processor time by kind, one request after the other.

    python -m benchmarks.requests                       # every kind, 200 requests each
    python -m benchmarks.requests --kinds users /       # some

The kinds are those of ``benchmarks.bystander``, in the parts that it asks for them.  Only the time
for which the pod's threads had a processor counts, so the figures hold on a machine that others use
as well; how long an answer takes is not measured.
"""

import argparse
import random
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.bystander import PAGES, TABLES, Pod, furnish
from benchmarks.processes import HOST
from tests.integration.worlds import World

RATES = {**dict.fromkeys(TABLES, 40 / len(TABLES)), **dict.fromkeys(PAGES, 20 / len(PAGES))}
RATES["write"] = 50
"""How many of a kind the bystander's benchmark asks for in a second."""


def processor_time(pid: int) -> tuple[float, float]:
    """Seconds for which a process's first thread, and its other threads, had a processor."""
    first = others = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        seconds = int((task / "schedstat").read_text().split()[0]) / 1e9
        if int(task.name) == pid:
            first = seconds
        else:
            others += seconds
    return first, others


def ask(pod: Pod, kind: str, count: int, chance: random.Random, user_id: str) -> None:
    """Ask for one kind so many times."""
    for _ in range(count):
        if kind == "write":
            pod.ask("PATCH", f"/users/{user_id}", {"title": f"title {chance.random()}"})
        elif kind in PAGES:
            pod.ask("GET", kind, cookie=True)
        else:
            pod.ask("GET", f"/{kind}?limit=200")


def measure(stack: ExitStack, kinds: "list[str]", count: int, rounds: int) -> None:
    """Print what each kind costs: of the rounds, the one in the middle."""
    world: Any = World()
    stack.callback(world.close)
    world.tunnel("echo", HOST, 1, assign=False)
    furnish(world)
    pid = world.gateway.process.process.pid
    pod = Pod(world.gateway.web_port, world.gateway.admin_token)
    # Checks of the tunnels' targets would go on meanwhile; those that are under way take a while.
    pod.ask("PATCH", "/settings", {"target_check_seconds": None})
    time.sleep(8)
    user_id, chance = world.ask("users")[0]["id"], random.Random(1)
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for kind in kinds:
        ask(pod, kind, 20, chance, user_id)
    for _ in range(rounds):
        for kind in kinds:
            before = processor_time(pid)
            ask(pod, kind, count, chance, user_id)
            after = processor_time(pid)
            taken[kind].append(((after[0] - before[0]) / count, (after[1] - before[1]) / count))
    whole = 0.0
    for kind in kinds:
        reactor, others = (
            statistics.median(part) * 1000 for part in zip(*taken[kind], strict=True)
        )
        whole += RATES[kind] * (reactor + others) / 1000
        print(
            f"{kind:16} {reactor + others:6.2f} ms: the reactor {reactor:5.2f}, "
            f"others {others:5.2f}",
            flush=True,
        )
    print(f"at the bystander's rates: {whole * 100:.0f} % of a processor", flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", default=list(RATES), choices=list(RATES))
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with ExitStack() as stack:
        measure(stack, options.kinds, options.count, options.rounds)


if __name__ == "__main__":
    main()
