"""What peers do that a package registry serves as programs: one table, all from one run.

``cargo install rathole bore-cli`` makes them; ``--programs`` names their directory.  Those that
aren't there are left out.  Their users connect to the middle without encryption.
"""

import argparse
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks import bulk, interactive
from benchmarks.chains import AES, Chain, OpenSSHChain, TunnelCloudChain, start_target
from benchmarks.processes import HOST, Bench, free_port, resident_kib

MIB = 1 << 20


class PeerChain(Chain):
    """A peer's program in the middle and one in the site.

    :cvar program: what the program is called.
    :cvar encrypted: which legs are: "the site's" or "none".
    """

    program: str
    encrypted: str

    def __init__(self, bench: Bench, target: int, program: str) -> None:
        self._bench = bench
        self._program = program
        self._middle = free_port()
        self.port = free_port()
        self._build(target)
        bench.wait_for_port(self.port)

    def _build(self, target: int) -> None:
        raise NotImplementedError

    def _start(self, part: str, *arguments: str) -> int:
        return self._bench.start(self._program, *arguments, name=f"{self.program}-{part}").pid


class RatholeChain(PeerChain):
    """rathole: a public port in the middle, Noise from there to the site."""

    program, name, encrypted = "rathole", "rathole", "the site's"

    def _build(self, target: int) -> None:
        printed = subprocess.run(
            [self._program, "--genkey"], check=True, capture_output=True, text=True
        ).stdout
        private, public = re.findall(r"^[A-Za-z0-9+/]{43}=$", printed, re.MULTILINE)
        ends = []
        for part, top, key, service in (
            ("server", f'bind_addr = "{HOST}:{self._middle}"', f'local_private_key = "{private}"',
             f'bind_addr = "{HOST}:{self.port}"'),
            ("client", f'remote_addr = "{HOST}:{self._middle}"', f'remote_public_key = "{public}"',
             f'local_addr = "{HOST}:{target}"'),
        ):  # fmt: skip
            config = self._bench.directory / f"rathole-{part}.toml"
            config.write_text(
                f'[{part}]\n{top}\ndefault_token = "bench"\n'
                f'[{part}.transport]\ntype = "noise"\n[{part}.transport.noise]\n{key}\n'
                f"[{part}.services.load]\n{service}\n"
            )
            ends.append(self._start(part, f"--{part}", str(config)))
        self.pids = ends


class BoreChain(PeerChain):
    """bore: a public port in the middle, and nothing is encrypted."""

    program, name, encrypted = "bore", "bore", "none"

    def _build(self, target: int) -> None:
        middle = self._start("server", "server", "--secret", "bench", "--bind-addr", HOST)
        self._bench.wait_for_port(7835)  # it has no option for that
        site = self._start(
            "local", "local", str(target), "--to", HOST, "--port", str(self.port),
            "--secret", "bench",
        )  # fmt: skip
        self.pids = (middle, site)


PEERS: tuple[type[PeerChain], ...] = (RatholeChain, BoreChain)


def at_rest(chain: Chain) -> str:
    """MiB of the program in the middle and of the one in the site."""
    return " + ".join(f"{resident_kib(pid) / 1024:.0f}" for pid in chain.pids)


def figures(size: int) -> dict[str, Callable[[Chain], list[float]]]:
    """Give what is measured, by its name, each with what it prints."""

    def moved(direction: str) -> Callable[[Chain], list[float]]:
        return lambda chain: list(bulk.run(chain, direction, size, 1))

    return {
        "up, MiB/s and CPU s/GiB": moved("up"),
        "down, MiB/s and CPU s/GiB": moved("down"),
        "echo, ms": lambda chain: [interactive.idle_round_trip(chain)],
        "channels a second": lambda chain: [interactive.opens_a_second(chain)],
        "CPU of a channel, ms": lambda chain: [interactive.cpu_of_a_channel(chain)],
    }


def cell(found: list[list[float]]) -> str:
    """Give the median and the spread of each number."""
    parts = []
    for numbers in zip(*found, strict=True):
        middle = statistics.median(numbers)
        digits = 0 if middle >= 100 else 2
        parts.append(
            f"{middle:.{digits}f} ({min(numbers):.{digits}f} to {max(numbers):.{digits}f})"
        )
    return ", ".join(parts)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, default=Path.home() / ".cargo" / "bin")
    parser.add_argument("--size", type=int, default=512, help="MiB a run")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with Bench() as bench:
        target = start_target(bench)
        chains: list[Chain] = [
            TunnelCloudChain(bench, target, AES),
            OpenSSHChain(bench, target, AES),
        ]
        for peer in PEERS:
            found = shutil.which(peer.program, path=str(options.programs))
            if found is None:
                print(f"{peer.program} is not in {options.programs}: left out")
            else:
                chains.append(peer(bench, target, found))
        row("", [chain.name for chain in chains])
        row("---", ["---"] * len(chains))
        row("encrypted legs", [getattr(chain, "encrypted", "both") for chain in chains])
        row("at rest, MiB", [at_rest(chain) for chain in chains])
        for name, measure in figures(options.size * MIB).items():
            taken: list[list[list[float]]] = [[] for _ in chains]
            for _ in range(options.runs):
                for chain, column in zip(chains, taken, strict=True):
                    column.append(measure(chain))
            row(name, [cell(column) for column in taken])


def row(name: str, cells: list[str]) -> None:
    """Print a line of the table."""
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
