"""The `tunnelcloud` command, run in a child of a process that has its modules already.

Tests set up what they need by some thousand commands.  One that is started from nothing takes half
a second of processor time for its imports; here a process that has done these forks for each.  A
command has its arguments, its environment, its output and its exit status as ever.  Tests of its
start and of terminals (``test_terminal``) start it from nothing.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import tunnelcloud

_SERVE = "from tests.integration.prepared_command import serve; serve({})"
_LARGEST = 1 << 17

_lock = threading.Lock()
_started = []


def run(words, environment, patience):
    """Run the command to its end; give its exit status, output and errors as text.

    :param environment: all of it, as ``os.environ`` has it.
    :param patience: seconds after which it is given up.
    :raise TimeoutError: it took longer.
    """
    request = json.dumps({"words": list(map(str, words)), "environment": dict(environment)})
    pipes = [os.pipe() for _ in range(3)]  # for its output, its errors and its status
    try:
        socket.send_fds(_server(), [request.encode()], [end for _, end in pipes])
    finally:
        for _, end in pipes:
            os.close(end)
    said = _read_to_the_end([end for end, _ in pipes], time.monotonic() + patience)
    if not said[2]:
        raise AssertionError(f"tunnelcloud {request} ended without a status: {said}")
    return int(said[2]), said[0].decode(), said[1].decode()


def _server():
    """Give the socket of the process that forks, which is started at the first command."""
    with _lock:
        if not _started:
            ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
            with its:
                root = str(Path(tunnelcloud.__file__).parent.parent)
                process = subprocess.Popen(
                    [sys.executable, "-c", _SERVE.format(its.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[its.fileno()],
                    env={**os.environ, "PYTHONPATH": root},
                )
            _started.append((ours, process))
        return _started[0][0]


def _read_to_the_end(ends, deadline):
    said = dict.fromkeys(ends, b"")
    try:
        with selectors.DefaultSelector() as selector:
            for end in ends:
                selector.register(end, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(0, deadline - time.monotonic()))
                if not ready:
                    raise TimeoutError(f"a command goes on: {said}")
                for key, _ in ready:
                    data = os.read(key.fd, 1 << 16)
                    said[key.fd] += data
                    if not data:
                        selector.unregister(key.fd)
    finally:
        for end in ends:
            os.close(end)
    return list(said.values())


def serve(number):
    """Fork for each command that comes, until whoever sends them is gone."""
    import httpx

    import tunnelcloud.cli

    for module in pkgutil.iter_modules(tunnelcloud.cli.__path__, "tunnelcloud.cli."):
        importlib.import_module(module.name)
    httpx.Client().close()  # the first one has more loaded
    gc.freeze()  # else a child's look for garbage would have each page of memory copied
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children
    with socket.socket(fileno=number) as commands:
        while True:
            request, fds, _, _ = socket.recv_fds(commands, _LARGEST, 3)
            if not request:
                return
            if os.fork() == 0:
                commands.close()
                _be_the_command(json.loads(request), *fds)
            for fd in fds:
                os.close(fd)


def _be_the_command(request, output, errors, reply):
    """Be the command in this process, and end it."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        for fd in (output, errors):
            os.close(fd)
        # Those of before believe that they write to something else, a file perhaps.
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = ["-c", *request["words"]]
        status = _status_of(tunnelcloud.cli.main)
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os.write(reply, b"%d" % status)
        os._exit(status)


def _status_of(main):
    """Run it; give the exit status that Python would give."""
    try:
        main()
    except SystemExit as ending:
        if ending.code is None or isinstance(ending.code, int):
            return ending.code or 0
        sys.stderr.write(f"{ending.code}\n")
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
