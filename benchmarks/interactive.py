"""Small things: round trips of 64 bytes, idle and beside bulk channels; and what channels cost."""

import argparse
import statistics
import threading
import time
from collections.abc import Callable

from benchmarks import load
from benchmarks.chains import AES, Chain, OpenSSHChain, TunnelCloudChain, start_target
from benchmarks.processes import Bench, measured

MIB = 1 << 20


def idle_round_trip(chain: Chain) -> float:
    """Median milliseconds of an echo, with nothing else going on."""
    load.round_trips(chain.port, 100)
    return statistics.median(load.round_trips(chain.port, 1000)) * 1000


def busy_round_trip(chain: Chain, bulk: int = 8) -> float:
    """Median milliseconds of an echo while so many channels download."""
    over = threading.Event()

    def keep_busy() -> None:
        while not over.is_set():
            load.download(chain.port, 32 * MIB)

    threads = [threading.Thread(target=keep_busy) for _ in range(bulk)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    taken = load.round_trips(chain.port, 100)
    over.set()
    for thread in threads:
        thread.join()
    return statistics.median(taken) * 1000


def opens_a_second(chain: Chain, count: int = 200) -> float:
    """Connect, two bytes each way, close: so often a second, one after the other."""
    load.open_and_close(chain.port, 20)
    started = time.perf_counter()
    load.open_and_close(chain.port, count)
    return count / (time.perf_counter() - started)


def opens_at_once(chain: Chain, count: int = 320, threads: int = 16) -> float:
    """The same while so many are open at once."""
    each = count // threads
    started = time.perf_counter()
    load.together(
        [
            threading.Thread(target=load.open_and_close, args=(chain.port, each))
            for _ in range(threads)
        ]
    )
    return each * threads / (time.perf_counter() - started)


def cpu_of_a_channel(chain: Chain, count: int = 200) -> float:
    """Milliseconds of CPU that the processes in the middle take for each, one after the other."""
    load.open_and_close(chain.port, 20)
    with measured(chain.pids) as measure:
        load.open_and_close(chain.port, count)
    return measure.cpu / count * 1000


FIGURES: "dict[str, tuple[str, Callable[[Chain], float]]]" = {
    "idle": ("ms round trip of 64 bytes, idle", idle_round_trip),
    "busy": ("ms round trip of 64 bytes beside 8 bulk channels", busy_round_trip),
    "opens": ("channels opened and closed a second", opens_a_second),
    "at-once": ("channels opened and closed a second, 16 at once", opens_at_once),
    "price": ("ms CPU of a channel opened and closed", cpu_of_a_channel),
}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--figures", nargs="*", default=list(FIGURES), choices=list(FIGURES))
    options = parser.parse_args()
    with Bench() as bench:
        target = start_target(bench)
        chains = [TunnelCloudChain(bench, target, AES), OpenSSHChain(bench, target, AES)]
        for name in options.figures:
            text, measure = FIGURES[name]
            found: list[list[float]] = [[], []]
            for _ in range(options.runs):
                for chain, figures in zip(chains, found, strict=True):
                    figures.append(measure(chain))
            ours, peer = (statistics.median(figures) for figures in found)
            print(f"{ours:8.2f}, peer {peer:8.2f}, {ours / peer:5.2f}x  {text}", flush=True)


if __name__ == "__main__":
    main()
