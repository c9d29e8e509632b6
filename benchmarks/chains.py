"""The two ways from a client to a target that are compared.

Each has ``port``, where a client on this machine connects to reach the target, and ``pids``, the
processes in the middle whose CPU time counts: sshd and ``ssh -R`` there, pod and connector here.
The user's end is ``ssh -L`` in both.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paths import Path as Way
from benchmarks.processes import HOST, PYTHON, Bench, free_port
from tests.integration.processes import Gateway, SiteConnector

DIRECT = Way()
AES = "aes128-gcm@openssh.com"
QUIET = (
    "-F", "none",
    "-o", "StrictHostKeyChecking=no",
    "-o", "UserKnownHostsFile=/dev/null",
    "-o", "IdentitiesOnly=yes",
    "-o", "ExitOnForwardFailure=yes",
    "-o", "LogLevel=ERROR",
)  # fmt: skip


class Chain:
    """A way to the target.

    :ivar ssh_port: where its SSH server listens.
    :ivar login: whom the user's key logs in there.
    :ivar destination: the port of ``127.0.0.1`` that a forward asked of it has to name.
    """

    name: str
    port: int
    pids: Sequence[int]
    ssh_port: int
    login: str
    destination: int


def make_keys(bench: Bench) -> None:
    """Make a user's key, and a host key for sshd."""
    for name in ("user", "host"):
        path = bench.directory / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def start_target(bench: Bench) -> int:
    """Make the keys, and start the target that chains lead to; give its port."""
    make_keys(bench)
    target = free_port()
    bench.start(PYTHON, "-m", "benchmarks.load", str(target), name="target")
    bench.wait_for_port(target)
    return target


def ssh_client(
    bench: Bench, name: str, forward: Sequence[str], port: int, login: str, cipher: str | None
) -> "subprocess.Popen[bytes]":
    """Start ``ssh -N`` with a forward."""
    options = ["-c", cipher] if cipher else []
    return bench.start(
        "ssh", "-N", *QUIET, *options, "-i", str(bench.directory / "user"),
        "-p", str(port), *forward, f"{login}@{HOST}", name=name,
    )  # fmt: skip


class OpenSSHChain(Chain):
    """sshd in the middle, ``ssh -R`` from the site, ``ssh -L`` from the user."""

    name = "OpenSSH chain"

    def __init__(self, bench: Bench, target: int, cipher: str | None, way: Way = DIRECT) -> None:
        sshd, middle, self.port = free_port(), free_port(), free_port()
        self.ssh_port, self.destination = sshd, middle
        config = bench.directory / "sshd_config"
        (bench.directory / "authorized_keys").write_bytes(
            (bench.directory / "user.pub").read_bytes()
        )
        config.write_text(
            f"Port {sshd}\nListenAddress {HOST}\nHostKey {bench.directory / 'host'}\n"
            f"AuthorizedKeysFile {bench.directory / 'authorized_keys'}\nStrictModes no\n"
            f"UsePAM {'no' if os.geteuid() else 'yes'}\n"  # yes, as Debian has it
            "PasswordAuthentication no\nPermitRootLogin yes\nMaxSessions 1000\n"
            "PidFile none\nAllowTcpForwarding yes\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # Debian's sshd asks for it, as root
        daemon = bench.start("/usr/sbin/sshd", "-D", "-e", "-f", str(config), name="sshd")
        bench.wait_for_port(sshd)
        self.login = login = subprocess.run(
            ["id", "-un"], check=True, capture_output=True, text=True
        ).stdout.strip()
        reverse = ssh_client(
            bench, "ssh-R", ["-R", f"{HOST}:{middle}:{HOST}:{target}"],
            way.lead_to(bench, sshd), login, cipher,
        )  # fmt: skip
        bench.wait_for_port(middle)
        ssh_client(
            bench, "ssh-L", ["-L", f"{HOST}:{self.port}:{HOST}:{middle}"],
            way.lead_to(bench, sshd), login, cipher,
        )  # fmt: skip
        bench.wait_for_port(self.port)
        self.pids = (daemon.pid, reverse.pid)


class TunnelCloudChain(Chain):
    """A pod and a connector as an administrator sets them up, with a dedicated key."""

    name = "TunnelCloud"

    def __init__(self, bench: Bench, target: int, cipher: str | None, way: Way = DIRECT) -> None:
        self.port = free_port()
        links = free_port() if way != DIRECT else None
        # One user stands for many.
        shares = "[shares]\nsessions = 5000\nchannels = 5000\nper_target = 1024\npending = 1024"
        gateway = Gateway(bench.directory, shares, exempt=f'["{HOST}"]', link_public_port=links)
        bench.callback(gateway.process.stop)
        if links is not None:
            way.lead_to(bench, gateway.link_port, links)
        gateway.do("site", "create", "bench")
        joining = gateway.do("connector", "create", "bench-1", "--site", "bench")["join"]["token"]
        connector = SiteConnector(bench.directory, "bench-1", joining)
        bench.callback(connector.process.stop)
        gateway.do(
            "tunnel", "create", "load", "--site", "bench", "--address", HOST, "--port", target
        )  # fmt: skip
        gateway.do("user", "create", "bench")
        gateway.do("key", "add", "bench", "--public-key", bench.directory / "user.pub")
        gateway.do("assign", "load", "--user", "bench", "--method", "key")
        ssh_client(
            bench, "ssh-L-ours", ["-L", f"{HOST}:{self.port}:{HOST}:{target}"],
            way.lead_to(bench, gateway.ssh_port), "bench", cipher,
        )  # fmt: skip
        bench.wait_for_port(self.port)
        self.ssh_port, self.login, self.destination = gateway.ssh_port, "bench", target
        self.pod, self.connector = gateway.process.process.pid, connector.process.process.pid
        self.pids = (self.pod, self.connector)
