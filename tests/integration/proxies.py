"""Real proxies for tests: squid, tinyproxy and a SOCKS server, each as Debian has it."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.integration.processes import PATIENCE, free_port, wait_for_port
from tests.pod.certificates import write_certificate
from tests.requirements import require_executable

USER, PASSWORD = "ann", "s3cret:p@ss"
INSPECTOR = "Corp Inspection CA"
KNOWN_TO_SQUID = "pod.test"
"""A name of this machine's loopback that squid knows, and nobody else."""


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


class Squid:
    """One squid with a door for each thing that a company makes of it.

    :ivar ports: of the doors ``open``, ``password`` (it wants :data:`USER` and :data:`PASSWORD`),
        ``narrow`` (CONNECT to port 443 alone), ``tls`` (it is spoken to by TLS) and ``inspects``
        (it opens TLS to look inside, and signs what clients see by an authority of its own).
    :ivar certificate: the file of the certificate at the door ``tls``.
    """

    def __init__(self):
        program = require_executable("squid")
        self._scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-test-")
        self._directory = Path(self._scratch.name)
        self._directory.chmod(0o777)  # squid runs as another user
        self.ports = {
            door: free_port() for door in ("open", "password", "narrow", "tls", "inspects")
        }
        config = self._directory / "squid.conf"
        config.write_text("\n".join([*self._doors(), *self._rules()]) + "\n")
        # Shared memory is named after the service, and another squid may run on this machine.
        service = f"t{os.getpid()}x{self.ports['open']}"
        self._process = Daemon([program, "-N", "-n", service, "-f", config])
        for port in self.ports.values():
            wait_for_port(port)

    def close(self):
        self._process.stop()
        self._scratch.cleanup()

    def _doors(self):
        self.certificate, key = self._pair("proxy")
        authority, authority_key = self._pair("authority", INSPECTOR)
        kept, maker = self._directory / "kept", require_executable("security_file_certgen")
        subprocess.run(
            [maker, "-c", "-s", kept, "-M", "4MB"],
            check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        for path in (kept, *kept.rglob("*")):
            path.chmod(0o777)
        shown = f"tls-cert={self.certificate} tls-key={key}"
        signing = f"generate-host-certificates=on tls-cert={authority} tls-key={authority_key}"
        lines = [
            f"http_port 127.0.0.1:{self.ports[door]} name={door}"
            for door in ("open", "password", "narrow")
        ]
        return [
            *lines,
            f"https_port 127.0.0.1:{self.ports['tls']} name=tls {shown}",
            f"http_port 127.0.0.1:{self.ports['inspects']} name=inspects ssl-bump {signing}",
            f"sslcrtd_program {maker} -s {kept} -M 4MB",
            "sslcrtd_children 1",
            "ssl_bump bump all",
        ]

    def _pair(self, name, subject="localhost"):
        files = self._directory / f"{name}.pem", self._directory / f"{name}-key.pem"
        write_certificate(*files, subject)
        files[1].chmod(0o644)
        return files

    def _rules(self):
        hosts = self._directory / "hosts"
        hosts.write_text(f"127.0.0.1 {KNOWN_TO_SQUID} localhost\n")
        helper = self._directory / "helper"
        helper.write_text(
            "#!/bin/sh\nwhile read -r user password; do\n"
            f'[ "$user $password" = "{USER} {PASSWORD}" ] && echo OK || echo ERR\ndone\n'
        )
        helper.chmod(0o755)
        return [
            f"hosts_file {hosts}",
            "cache deny all",
            "cache_log /dev/stderr",
            "access_log none",
            f"pid_filename {self._directory / 'squid.pid'}",
            f"coredump_dir {self._directory}",
            "shutdown_lifetime 0 seconds",
            "pinger_enable off",
            f"auth_param basic program {helper}",
            "auth_param basic children 1",
            "auth_param basic realm test",
            "acl CONNECT method CONNECT",
            "acl known proxy_auth REQUIRED",
            "acl password myportname password",
            "acl narrow myportname narrow",
            "acl https port 443",
            "http_access deny password !known",
            "http_access deny narrow CONNECT !https",
            "http_access allow all",
        ]


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
