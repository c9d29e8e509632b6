"""The front door: connect to a target's first byte, idle sessions, and logins beside a flood."""

import argparse
import contextlib
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chains import AES, Chain, OpenSSHChain, TunnelCloudChain, start_target
from benchmarks.clients import Crowd, Login, by_libssh2, by_ssh, log_in_many, percentile
from benchmarks.processes import HOST, Bench, measured, resident_kib

FLOODER, BYSTANDER = "127.0.0.2", "127.0.0.3"
_BLOCK = 20
_IDENTIFICATION = b"SSH-2.0-flood\r\n"


def first_byte(bench: Bench, chains: "list[Chain]", runs: int) -> None:
    """Connect, log in with a key, open a forward, and read a byte of the target."""
    key = bench.directory / "user"
    ways: list[tuple[str, Callable[[Chain, Path], float]]] = [
        ("libssh2", by_libssh2),
        ("ssh -W", by_ssh),
    ]
    for name, connect in ways:
        times: list[list[float]] = [[], []]
        cpu = [0.0, 0.0]
        for chain in chains:
            connect(chain, key)
        for _ in range(runs):
            for each, chain in enumerate(chains):
                with measured(chain.pids) as measure:
                    times[each] += [connect(chain, key) for _ in range(_BLOCK)]
                    time.sleep(0.3)  # what is put away afterwards counts, too
                cpu[each] += measure.cpu
        ours, peer = (statistics.median(figures) * 1000 for figures in times)
        each_cpu = [seconds / runs / _BLOCK * 1000 for seconds in cpu]
        print(
            f"to first byte, {name:8} {ours:6.1f} ms, peer {peer:6.1f}, {ours / peer:.2f}x  "
            f"CPU {each_cpu[0]:5.1f} ms, peer {each_cpu[1]:5.1f}, {cpu[0] / cpu[1]:.2f}x",
            flush=True,
        )


def idle(bench: Bench, chains: "list[Chain]", sessions: int, peers: int, logins: int) -> None:
    """Memory of a session that does nothing, and the rate of logins beside all of them."""
    key = bench.directory / "user"
    held = []
    for chain, count in zip(chains, (sessions, peers), strict=True):
        pid = chain.pids[0]
        with Crowd() as crowd:
            log_in_many(chain, key, 8)  # whatever the first logins bring with them
            time.sleep(1)
            empty = [_login_rate(chain, key, logins) for _ in range(3)]
            before = resident_kib(pid)
            started = time.perf_counter()
            while len(crowd.logins) < count:
                crowd.logins += log_in_many(chain, key, min(250, count - len(crowd.logins)))
            taken = time.perf_counter() - started
            each = (resident_kib(pid) - before) / count
            full = [_login_rate(chain, key, logins) for _ in range(3)]
            for login in crowd.logins:
                login.session.keepalive_send()  # none was lost
        held.append(each)
        empty_rate, full_rate = statistics.median(empty), statistics.median(full)
        print(
            f"{chain.name}: {count} idle sessions, {each:.1f} KiB each, made in {taken:.0f} s; "
            f"{empty_rate:.0f} logins/s alone, {full_rate:.0f} beside them, "
            f"{full_rate / empty_rate:.2f}x",
            flush=True,
        )
    print(f"memory of an idle session: {held[0]:.1f} KiB, peer {held[1]:.1f}", flush=True)


def _login_rate(chain: Chain, key: Path, count: int) -> float:
    started = time.perf_counter()
    logins = log_in_many(chain, key, count)
    rate = count / (time.perf_counter() - started)
    for login in logins:
        login.close()
    return rate


@contextmanager
def flood(port: int, rate: int, source: str = FLOODER) -> "Iterator[list[int]]":
    """Open connections from one address, so many a second, and leave them half open.

    Each says who it is and nothing more; gives the number of those that were made.
    """
    over, made = threading.Event(), [0]

    def run() -> None:
        selector = selectors.DefaultSelector()
        started = time.perf_counter()
        while not over.wait(0.005):
            while made[0] < (time.perf_counter() - started) * rate:
                connection = socket.create_connection((HOST, port), 5, (source, 0))
                with contextlib.suppress(OSError):
                    connection.sendall(_IDENTIFICATION)
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ)
                made[0] += 1
            for ready, _ in selector.select(0):
                _read_or_close(selector, ready.fileobj)
        for ready in tuple(selector.get_map().values()):
            assert isinstance(ready.fileobj, socket.socket)
            ready.fileobj.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield made
    over.set()
    thread.join()


def _read_or_close(selector: selectors.BaseSelector, connection: object) -> None:
    assert isinstance(connection, socket.socket)
    with contextlib.suppress(OSError):
        if connection.recv(4096):
            return
    selector.unregister(connection)
    connection.close()


def beside_flood(bench: Bench, chains: "list[Chain]", rate: int, logins: int) -> None:
    """Log in from one address while another keeps opening connections."""
    key = bench.directory / "user"
    for chain in chains:
        times, failed = [], 0
        with flood(chain.ssh_port, rate) as made:
            time.sleep(3)
            for _ in range(logins):
                started = time.perf_counter()
                try:
                    Login(chain, key, BYSTANDER).close()
                    times.append(time.perf_counter() - started)
                except Exception:
                    failed += 1
                time.sleep(0.02)
        figures = ""
        if times:
            median, late = statistics.median(times) * 1000, percentile(times, 0.99) * 1000
            figures = f", median {median:.0f} ms, 99th percentile {late:.0f} ms"
        print(
            f"{chain.name}: {made[0]} half-open connections at {rate}/s from another address; "
            f"{len(times)} logins{figures}, {failed} turned away",
            flush=True,
        )


FIGURES = ("first-byte", "idle", "flood")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", nargs="*", default=FIGURES, choices=FIGURES)
    parser.add_argument("--runs", type=int, default=5, help=f"of {_BLOCK} connections")
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--peer-sessions", type=int, default=50)
    parser.add_argument("--logins", type=int, default=200)
    parser.add_argument("--rate", type=int, default=200)
    options = parser.parse_args()
    with Bench() as bench:
        target = start_target(bench)
        chains: list[Chain] = [
            TunnelCloudChain(bench, target, AES),
            OpenSSHChain(bench, target, AES),
        ]
        if "first-byte" in options.figures:
            first_byte(bench, chains, options.runs)
        if "flood" in options.figures:
            beside_flood(bench, chains, options.rate, options.logins)
        if "idle" in options.figures:
            idle(bench, chains, options.sessions, options.peer_sessions, options.logins)


if __name__ == "__main__":
    main()
