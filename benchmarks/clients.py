"""SSH clients of the front door's benchmarks: libssh2 in threads, and plain ``ssh`` processes."""

import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

from ssh2.session import Session

from benchmarks.chains import QUIET, Chain
from benchmarks.processes import HOST

_ALIVE_SECONDS = 10
_PATIENCE_MILLISECONDS = 30_000


class Login:
    """An authenticated session that does nothing; libssh2's."""

    def __init__(self, chain: Chain, key: Path, source: str = HOST) -> None:
        self.socket = socket.create_connection((HOST, chain.ssh_port), 30, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session = Session()
        self.session.set_timeout(_PATIENCE_MILLISECONDS)
        self.session.handshake(self.socket)
        self.session.userauth_publickey_fromfile(chain.login, str(key))
        self.session.keepalive_config(False, _ALIVE_SECONDS)

    def first_byte(self, destination: int) -> None:
        """Open a forward to the target and wait for a byte that comes from it."""
        channel = self.session.direct_tcpip_ex(HOST, destination, HOST, 1)
        channel.write(b"ex")
        if channel.read(1)[1] != b"x":
            raise SystemExit("the stream was cut")

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def by_libssh2(chain: Chain, key: Path) -> float:
    """Seconds from connecting to a byte of the target."""
    started = time.perf_counter()
    login = Login(chain, key)
    login.first_byte(chain.destination)
    taken = time.perf_counter() - started
    login.close()
    return taken


def by_ssh(chain: Chain, key: Path) -> float:
    """Seconds from starting ``ssh -W`` to a byte of the target."""
    command = ["ssh", *QUIET, "-i", str(key), "-p", str(chain.ssh_port)]
    command += ["-W", f"{HOST}:{chain.destination}", f"{chain.login}@{HOST}"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"ex")
        process.stdin.flush()
        if process.stdout.read(1) != b"x":
            raise SystemExit("the stream was cut")
        return time.perf_counter() - started


def log_in_many(chain: Chain, key: Path, count: int, at_once: int = 4) -> "list[Login]":
    """Log in so often, a few at a time."""
    with ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(Login, repeat(chain, count), repeat(key)))


class Crowd:
    """Idle sessions, kept alive as long as the context lasts."""

    def __init__(self) -> None:
        self.logins: list[Login] = []
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep)

    def __enter__(self) -> "Crowd":
        self._keeper.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._keeper.join()
        for login in self.logins:
            login.close()

    def _keep(self) -> None:
        while not self._over.wait(1):
            for login in tuple(self.logins):
                login.session.keepalive_send()


def percentile(figures: Sequence[float], share: float) -> float:
    """The figure that so large a share of all doesn't exceed."""
    return sorted(figures)[min(len(figures) - 1, int(share * len(figures)))]
