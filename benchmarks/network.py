"""Over a network: uploads and downloads at 50 ms a hop, and fairness, at 20 Mbit/s too.

The path lies between client and pod and between pod and connector, and on the two hops of the
peer's chain alike.
"""

import argparse
import statistics
import threading
import time

from benchmarks import load
from benchmarks.chains import AES, Chain, OpenSSHChain, TunnelCloudChain, start_target
from benchmarks.paths import Path
from benchmarks.processes import Bench

MIB = 1 << 20
FAR = Path(delay=0.025)
NARROW = Path(rate=20_000_000 // 8)
BULK = 8


def speed(chain: Chain, direction: str, ramp: int, size: int) -> float:
    """MiB/s once so many bytes have passed."""
    call = {"up": load.timed_upload, "down": load.timed_download}[direction]
    return call(chain.port, ramp, size) / MIB


def fairness(chain: Chain, direction: str, seconds: float) -> tuple[float, float]:
    """Median milliseconds of an echo beside bulk, and the smallest part of a fair share."""
    endless = {"up": load.endless_upload, "down": load.endless_download}[direction]
    counts = [0] * BULK
    over = threading.Event()

    def move(number: int) -> None:
        for size in endless(chain.port):
            counts[number] += size
            if over.is_set():
                return

    threads = [threading.Thread(target=move, args=(n,)) for n in range(BULK)]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 3)
    before = list(counts)
    taken = []
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        taken += load.round_trips(chain.port, 10)
    moved = [after - earlier for after, earlier in zip(counts, before, strict=True)]
    over.set()
    for thread in threads:
        thread.join()
    fair = sum(moved) / BULK
    return statistics.median(taken) * 1000, min(moved) / fair if fair else 0.0


def compare_speed(chains: "list[Chain]", runs: int, ramp: int, size: int) -> None:
    for direction in ("up", "down"):
        found: list[list[float]] = [[], []]
        for _ in range(runs):
            for chain, figures in zip(chains, found, strict=True):
                figures.append(speed(chain, direction, ramp * MIB, size * MIB))
        ours, peer = (statistics.median(figures) for figures in found)
        print(
            f"{direction:4} at 50 ms a hop  {ours:6.1f} MiB/s, peer {peer:6.1f}, "
            f"{ours / peer:.2f}x",
            flush=True,
        )


def compare_fairness(chains: "list[Chain]", runs: int, seconds: float, where: str) -> None:
    for direction in ("down", "up"):
        found: list[list[tuple[float, float]]] = [[], []]
        for _ in range(runs):
            for chain, figures in zip(chains, found, strict=True):
                figures.append(fairness(chain, direction, seconds))
        trips = [statistics.median(trip for trip, _ in figures) for figures in found]
        shares = [min(share for _, share in figures) for figures in found]
        print(
            f"echo beside {BULK} {direction}loads {where}  {trips[0]:7.1f} ms, "
            f"peer {trips[1]:7.1f}, {trips[0] / trips[1]:.2f}x; "
            f"smallest of a fair share {shares[0]:.2f}, peer {shares[1]:.2f}",
            flush=True,
        )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--figures", nargs="*", default=["far", "fair", "narrow"])
    parser.add_argument("--ramp", type=int, default=64, help="MiB before the clock runs")
    parser.add_argument("--size", type=int, default=128, help="MiB after that")
    parser.add_argument("--seconds", type=float, default=6, help="of a look at fairness")
    options = parser.parse_args()
    paths = {"far": FAR, "fair": Path(), "narrow": NARROW}
    for name in options.figures:
        with Bench() as bench:
            target = start_target(bench)
            chains: list[Chain] = [
                kind(bench, target, AES, paths[name]) for kind in (TunnelCloudChain, OpenSSHChain)
            ]
            if name == "far":
                compare_speed(chains, options.runs, options.ramp, options.size)
            else:
                where = "at 20 Mbit/s" if name == "narrow" else "on loopback"
                compare_fairness(chains, options.runs, options.seconds, where)


if __name__ == "__main__":
    main()
