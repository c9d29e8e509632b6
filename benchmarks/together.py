"""How long `tunnelcloud connect --all` takes until every tunnel is ready: a real pod, a real ssh.

python -m benchmarks.together --tunnels 200

The limit is 2 s for 200.  The CPU time of the command, its ssh and the pod says what a busy machine
hides: how long it takes where nobody else wants the processors.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import cpu_seconds
from tests.integration.targets import EchoTarget
from tests.integration.worlds import World

COMMAND = [sys.executable, "-c", "from tunnelcloud.cli import main; main()"]


def measure(environment: dict[str, str], tunnels: int, pod: int) -> tuple[float, float, float]:
    """Start it, wait until as many tunnels are ready, end it.

    :param pod: the pod's process.
    :return: the seconds until then, and the CPU time of the command with its ssh, and of the pod.
    """
    before = cpu_seconds([pod])
    began = time.perf_counter()
    process = subprocess.Popen(
        [*COMMAND, "connect", "--all", "--json"], env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    ready = 0
    while ready < tunnels:
        ready += json.loads(process.stdout.readline())["state"] == "ready"
    seconds = time.perf_counter() - began
    used = cpu_seconds([process.pid]), cpu_seconds([pod]) - before
    process.send_signal(signal.SIGINT)
    process.wait(30)
    return seconds, *used


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tunnels", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    world, target = World(), EchoTarget()
    try:
        config = Path(world.directory) / "tunnels.toml"
        config.write_text(
            "".join(
                f'[tunnels.t{number}]\nsite = "paris"\ntarget_address = "127.0.0.1"\n'
                f"target_ports = [{target.port}]\n"
                f"[[tunnels.t{number}.assignments]]\n"
                'user = "alice"\nmethods = ["token"]\n'
                for number in range(options.tunnels)
            )
        )
        status, output, errors = world.gateway.run("apply", config)
        assert status == 0, output + errors
        words = ("--title", "alice", "--role", "user", "--user", "alice")
        token = world.do("api-token", "create", *words)["token"]
        with tempfile.TemporaryDirectory() as home:
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": home,
                "XDG_RUNTIME_DIR": home,
                "TUNNELCLOUD_URL": f"http://127.0.0.1:{world.gateway.web_port}",
                "TUNNELCLOUD_API_TOKEN": token,
            }
            pod = world.gateway.process.process.pid
            runs = [measure(environment, options.tunnels, pod) for _ in range(options.runs)]
        times, command, pods = zip(*runs, strict=True)
        print(f"{options.tunnels} tunnels ready after", *(f"{one:.2f}" for one in times), "s")
        print(
            f"median {statistics.median(times):.2f} s; CPU of the command and its ssh "
            f"{statistics.median(command):.2f} s, of the pod {statistics.median(pods):.2f} s"
        )
        print(f"load: {', '.join(f'{one:.1f}' for one in os.getloadavg())}")
    finally:
        target.close()
        world.close()


if __name__ == "__main__":
    main()
