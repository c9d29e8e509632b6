"""Real proxies for tests: squid, tinyproxy and a SOCKS server, each as Debian has it."""

import os
import signal
import subprocess

from tests.integration.processes import PATIENCE, free_port, wait_for_port
from tests.requirements import require_executable

USER, PASSWORD = "ann", "s3cret:p@ss"


class Daemon:
    """A program with children of its own, which end with it."""

    def __init__(self, arguments):
        self._process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)


def squid(directory, *, password=False, ports="", certificate=None):
    """Start squid; give the process and its port.

    :param password: whether it wants :data:`USER` and :data:`PASSWORD`.
    :param certificate: with it, clients speak TLS to squid; the files of certificate and key.
    :param ports: to which alone CONNECT is allowed; to all if empty.
    """
    program = require_executable("squid")
    port = free_port()
    directory.mkdir()
    directory.chmod(0o777)
    listener = f"http_port 127.0.0.1:{port}"
    if certificate is not None:
        listener = f"https_port 127.0.0.1:{port} tls-cert={certificate[0]} tls-key={certificate[1]}"
    lines = [
        listener,
        "cache deny all",
        "cache_log /dev/stderr",
        "access_log none",
        f"pid_filename {directory / 'squid.pid'}",
        f"coredump_dir {directory}",
        "shutdown_lifetime 0 seconds",
        "pinger_enable off",
        "acl CONNECT method CONNECT",
    ]
    if password:
        helper = directory / "helper"
        # Squid runs it as another user, who may not read the test's own directories.
        helper.write_text(
            "#!/bin/sh\nwhile read -r user password; do\n"
            f'[ "$user $password" = "{USER} {PASSWORD}" ] && echo OK || echo ERR\ndone\n'
        )
        helper.chmod(0o755)
        lines += [
            f"auth_param basic program {helper}",
            "auth_param basic children 1",
            "auth_param basic realm test",
            "acl known proxy_auth REQUIRED",
            "http_access deny !known",
        ]
    if ports:
        lines += [f"acl allowed port {ports}", "http_access deny CONNECT !allowed"]
    lines += ["http_access allow all"]
    config = directory / "squid.conf"
    config.write_text("\n".join(lines) + "\n")
    # Shared memory is named after the service, and another squid may run on this machine.
    return _listening([program, "-N", "-n", f"t{os.getpid()}x{port}", "-f", config], port)


def _listening(arguments, port):
    process = Daemon(arguments)
    wait_for_port(port)
    return process, port


def tinyproxy(directory):
    """Start tinyproxy, which cuts a tunnel that is idle for 15 s; give the process and its port."""
    program = require_executable("tinyproxy")
    port = free_port()
    directory.mkdir()
    config = directory / "tinyproxy.conf"
    config.write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 15\nAllow 127.0.0.1\nMaxClients 20\n"
        f'LogFile "{directory / "log"}"\n'
    )
    return _listening([program, "-d", "-c", config], port)


def socks(directory):
    """Start dante's SOCKS server; give the process and its port."""
    program = require_executable("danted")
    port = free_port()
    directory.mkdir()
    config = directory / "danted.conf"
    config.write_text(
        f"logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n"
        "socksmethod: none\nclientmethod: none\nuser.unprivileged: nobody\n"
        "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
        "socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
    )
    return _listening([program, "-f", config, "-p", directory / "pid"], port)
