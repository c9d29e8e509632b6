"""One hop for orientation: the SSH front door alone, joined to the target, beside asyncssh.

Without a link there is no pod: what runs here is the front door over the tests' in-memory pod, with
the connector's stream at the other end of each channel.  The peer is asyncssh's server, which
forwards in the same way, also in one Python process.
"""

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

from benchmarks import load
from benchmarks.chains import AES, make_keys, ssh_client
from benchmarks.processes import HOST, PYTHON, Bench, free_port, measured

MIB = 1 << 20
GIB = 1 << 30


def serve_front_door(port: int, key: Path) -> None:
    """Be the front door, with channels that lead to targets."""
    from twisted.conch.ssh.keys import Key
    from twisted.internet import reactor
    from twisted.internet.endpoints import HostnameEndpoint, connectProtocol

    from tests.ssh import fakes
    from tunnelcloud.link.read_ahead import DEFAULT_TOTAL, ReadAhead
    from tunnelcloud.link.tcp import TargetStream

    ahead = ReadAhead(DEFAULT_TOTAL)

    class Avatar(fakes.Avatar):
        def direct_tcpip_requested(self, channel, host, port, originator):
            endpoint = HostnameEndpoint(reactor, host, port)
            connected = connectProtocol(endpoint, TargetStream(channel, reactor, ahead))
            connected.addErrback(lambda failure: channel.refuse(2, failure.getErrorMessage()))

    fakes.Avatar = Avatar
    pod = fakes.Pod(reactor, exempt=[f"{HOST}/32"])
    pod.access.keys[Key.fromFile(str(key)).blob()] = "bench"
    reactor.listenTCP(port, pod.factory, interface=HOST)
    reactor.run()


def serve_asyncssh(port: int, key: Path) -> None:
    """Be asyncssh's server."""
    import asyncssh

    class Server(asyncssh.SSHServer):
        def connection_requested(self, *where):
            return True

    async def run() -> None:
        await asyncssh.create_server(
            Server,
            HOST,
            port,
            server_host_keys=[str(key.parent / "host")],
            authorized_client_keys=str(key),
        )
        await asyncio.Event().wait()

    asyncio.run(run())


SERVERS = {"front door": serve_front_door, "asyncssh": serve_asyncssh}


def main() -> None:
    """Run it."""
    if sys.argv[1:2] == ["--serve"]:
        SERVERS[sys.argv[2]](int(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="MiB a run")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    size = options.size * MIB
    with Bench() as bench:
        make_keys(bench)
        target = free_port()
        bench.start(PYTHON, "-m", "benchmarks.load", str(target), name="target")
        bench.wait_for_port(target)
        hops = []
        for name in SERVERS:
            port, local = free_port(), free_port()
            key = str(bench.directory / "user.pub")
            words = ("--serve", name, str(port), key)
            process = bench.start(PYTHON, "-m", "benchmarks.single_hop", *words, name=name)
            bench.wait_for_port(port)
            forward = ["-L", f"{HOST}:{local}:{HOST}:{target}"]
            ssh_client(bench, f"ssh to {name}", forward, port, "bench", AES)
            bench.wait_for_port(local)
            hops.append((local, process.pid))
        for direction in ("up", "down"):
            found: list[list[tuple[float, float]]] = [[], []]
            for run in range(options.runs + 1):
                for (local, pid), figures in zip(hops, found, strict=True):
                    with measured([pid]) as measure:
                        load.transfer(direction, local, size)
                    if run:  # the first is to warm up
                        cpu = measure.cpu / (size / GIB)
                        figures.append((size / MIB / measure.seconds, cpu))
            ours, peer = (
                tuple(statistics.median(column) for column in zip(*figures, strict=True))
                for figures in found
            )
            print(
                f"{direction:4} {ours[0]:6.0f} MiB/s, peer {peer[0]:6.0f}, {ours[0] / peer[0]:.2f}x"
                f"    {ours[1]:5.2f} CPU s/GiB, peer {peer[1]:5.2f}, {ours[1] / peer[1]:.2f}x",
                flush=True,
            )


if __name__ == "__main__":
    main()
