"""Processes of a benchmark: started, awaited, measured and ended by their own id."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

HOST = "127.0.0.1"
PYTHON = sys.executable
ROOT = Path(__file__).resolve().parent.parent
_TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Bench(ExitStack):
    """Holds processes and a directory, and lets go of them in reverse order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))

    def start(
        self, *command: str, name: str, cwd: Path = ROOT, quiet: bool = True
    ) -> subprocess.Popen[bytes]:
        """Start a process; what it says goes to a file named after it."""
        log = self.enter_context((self.directory / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd
        )
        self.callback(_end, process)
        return process

    def log(self, name: str) -> str:
        """What a process said."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def wait_for_port(self, port: int, seconds: float = 20) -> None:
        """Wait until something listens; show all logs if it doesn't."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if _listens(port):
                return
            time.sleep(0.05)
        for path in sorted(self.directory.glob("*.log")):
            print(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}")
        raise SystemExit(f"nothing listens on port {port}")


def _listens(port: int) -> bool:
    """Look into the kernel's table: a probe by connecting would be a connection of its own."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[1].endswith(wanted):
                return True
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def descendants(pid: int) -> list[int]:
    """The process and all that came of it (sshd forks for each connection)."""
    found = [pid]
    with suppress(FileNotFoundError, ProcessLookupError):  # it may end meanwhile
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in task.read_text().split():
                found += descendants(int(child))
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """CPU time, user and system, that these and their descendants, ended ones too, have taken."""
    ticks = 0
    for pid in pids:
        for each in descendants(pid):
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
    return ticks / _TICK


def resident_kib(pid: int) -> int:
    """Memory a process and its descendants hold, in KiB; what they share is counted once."""
    held = 0
    for each in descendants(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    held += int(line.split()[1])
    return held


def peak_kib(pid: int) -> int:
    """The most a process and each of its descendants ever held, in KiB."""
    held = 0
    for each in descendants(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{each}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    held += int(line.split()[1])
    return held


@contextmanager
def measured(pids: Sequence[int]) -> "Iterator[Measure]":
    """Measure wall-clock and CPU time of what happens inside."""
    measure = Measure()
    cpu, started = cpu_seconds(pids), time.perf_counter()
    yield measure
    measure.seconds = time.perf_counter() - started
    measure.cpu = cpu_seconds(pids) - cpu


class Measure:
    """Seconds by the clock, and CPU seconds of the processes in question."""

    seconds = 0.0
    cpu = 0.0
