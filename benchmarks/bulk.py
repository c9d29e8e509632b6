"""Bulk data: one channel and sixteen, up and down; MiB/s, and CPU seconds a GiB in the middle."""

import argparse
import statistics
from contextlib import ExitStack

from benchmarks import load
from benchmarks.chains import AES, Chain, OpenSSHChain, TunnelCloudChain, make_keys
from benchmarks.processes import PYTHON, Bench, free_port, measured

MIB = 1 << 20
GIB = 1 << 30


def run(chain: Chain, direction: str, size: int, channels: int) -> tuple[float, float]:
    """Move so many bytes; give MiB/s and CPU seconds a GiB."""
    with measured(chain.pids) as measure:
        load.transfer(direction, chain.port, size, channels)
    return size / MIB / measure.seconds, measure.cpu / (size / GIB)


def compare(
    chains: "list[Chain]", direction: str, size: int, channels: int, runs: int
) -> tuple[float, float]:
    """Measure ours and the peer's in turns; print medians and ratios.

    :param chains: ours and the peer's by turns; figures of several are taken together.
    """
    for chain in chains:
        run(chain, direction, size // 4, channels)
    figures: list[list[tuple[float, float]]] = [[], []]
    for _ in range(runs):
        for number, chain in enumerate(chains):
            figures[number % 2].append(run(chain, direction, size, channels))
    speeds = [statistics.median(speed for speed, _ in found) for found in figures]
    costs = [statistics.median(cost for _, cost in found) for found in figures]
    print(
        f"{direction:4} {channels:3} channel(s)  "
        f"{speeds[0]:6.0f} MiB/s, peer {speeds[1]:6.0f}, {speeds[0] / speeds[1]:.2f}x    "
        f"{costs[0]:5.2f} CPU s/GiB, peer {costs[1]:5.2f}, {costs[0] / costs[1]:.2f}x",
        flush=True,
    )
    return speeds[0] / speeds[1], costs[0] / costs[1]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--chains", type=int, default=1, help="of each kind: luck with caches lasts as they do"
    )
    parser.add_argument("--channels", type=int, nargs="*", default=[1, 16])
    parser.add_argument("--directions", nargs="*", default=["up", "down"])
    parser.add_argument("--cipher", default=AES, help="'' for what a plain ssh would use")
    options = parser.parse_args()
    cipher = options.cipher or None
    chains: list[Chain] = []
    with ExitStack() as stack:
        target = free_port()
        for _ in range(options.chains):
            bench = stack.enter_context(Bench())
            make_keys(bench)
            if not chains:
                bench.start(PYTHON, "-m", "benchmarks.load", str(target), name="target")
                bench.wait_for_port(target)
            chains.append(TunnelCloudChain(bench, target, cipher))
            chains.append(OpenSSHChain(bench, target, cipher))
        for channels in options.channels:
            for direction in options.directions:
                compare(chains, direction, options.size * MIB, channels, options.runs)


if __name__ == "__main__":
    main()
