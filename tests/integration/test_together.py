"""Several tunnels at once with the system's ssh: three with the same port, each at its address.

A database's, a cache's and a web server's own programs use them.
"""

import atexit
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

from tests.integration.processes import ENVIRONMENT, PATIENCE, Process, free_port
from tests.integration.targets import SpeakingTarget, as_postgresql, as_redis, as_web_server
from tests.integration.test_terminal import COMMAND
from tests.integration.worlds import WorldCase
from tests.requirements import require_executable

NAMES = ("cache", "db", "web")
SPEAKING = {"cache": as_redis, "db": as_postgresql, "web": as_web_server}
PROGRAMS = {
    "cache": "redis-cli -h {host} -p {port} GET key",
    "db": "psql -X -A -t -c query postgresql://nobody@{host}:{port}/any?sslmode=disable",
    "web": "curl -sS --noproxy * http://{host}:{port}/",
}
"""What uses each tunnel; it prints the tunnel's name, as its target says it."""


class TogetherTests(WorldCase):
    @classmethod
    def furnish(cls, world):
        for words in PROGRAMS.values():
            require_executable(words.split()[0])
        world.same = free_port()
        for last, name in enumerate(NAMES, 2):
            host = f"127.0.1.{last}"
            # Before there is a tunnel, as the pod looks at a new one's target.
            answer = SPEAKING[name](name.encode())
            atexit.register(SpeakingTarget(answer, host=host, port=world.same).close)
            world.tunnel(name, host, world.same)
        words = ("--title", "alice", "--role", "user", "--user", "alice")
        world.own = world.do("api-token", "create", *words)["token"]

    def setUp(self):
        super().setUp()
        self.directory = Path(self.mktemp()).absolute()
        (self.directory / "tmp").mkdir(parents=True)
        self.environment = {
            "HOME": str(self.directory),
            "XDG_CONFIG_HOME": str(self.directory),
            "XDG_RUNTIME_DIR": str(self.directory),
            "TMPDIR": str(self.directory / "tmp"),
            "SSH_AUTH_SOCK": "",
            "TUNNELCLOUD_URL": f"http://127.0.0.1:{self.world.gateway.web_port}",
            "TUNNELCLOUD_API_TOKEN": self.world.own,
        }

    def start(self, *words):
        process = Process([*COMMAND, *words], self.environment)
        self.addCleanup(process.kill)
        return process

    def await_row(self, process, name, state="ready"):
        """Wait until a tunnel is in a state; give where its first port is."""
        while True:
            process.wait_for('^{"tunnel')
            row = json.loads(process.output[-1])
            if (row["tunnel"], row["state"]) == (name, state):
                forwards = row["forwards"] or [{"local_address": "", "local_port": 0}]
                return forwards[0]["local_address"], forwards[0]["local_port"]

    def await_connector(self):
        """Wait until the pod has a connector again: the client may be back before it."""
        for _ in range(PATIENCE * 10):
            if any(one["status"] == "attached" for one in self.world.ask("connectors")):
                return
            threading.Event().wait(0.1)
        raise AssertionError("no connector came back")

    def assert_all_answer(self, places):
        for name, (host, port) in places.items():
            done = subprocess.run(
                [word.format(host=host, port=port) for word in PROGRAMS[name].split()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                env={**ENVIRONMENT, "HOME": str(self.directory), "PGGSSENCMODE": "disable"},
                timeout=PATIENCE,
                check=False,
            )
            self.assertEqual((done.stdout.strip(), done.stderr), (name, ""))

    def ssh_of_ours(self):
        """Give the processes of ssh that go to this pod."""
        port = str(self.world.gateway.ssh_port).encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = entry.read_bytes().split(b"\0")
                if words[0].endswith(b"/ssh") and port in words:
                    found.append(int(entry.parent.name))
        return found

    def test_what_befalls_them(self):
        process = self.start("connect", "--all", "--json")
        places = {name: self.await_row(process, name) for name in NAMES}
        self.assertEqual({port for _, port in places.values()}, {self.world.same})
        self.assertEqual(len({address for address, _ in places.values()}), len(NAMES))
        self.assert_all_answer(places)

        self.world.gateway.process.stop()
        self.await_row(process, NAMES[0], "reconnecting")
        self.world.gateway.start()
        for name in NAMES:
            self.assertEqual(self.await_row(process, name), places[name])
        self.await_connector()
        self.assert_all_answer(places)

        process.process.send_signal(signal.SIGSTOP)
        self.assert_all_answer(places)
        process.process.send_signal(signal.SIGCONT)
        self.assert_all_answer(places)

        [ssh] = self.ssh_of_ours()
        os.kill(ssh, signal.SIGKILL)
        self.await_row(process, NAMES[-1], "reconnecting")
        self.await_row(process, NAMES[-1])
        self.assert_all_answer(places)

        process.process.send_signal(signal.SIGTERM)
        self.assertEqual(process.process.wait(PATIENCE), 143)
        self.assertEqual(self.ssh_of_ours(), [])
        self.assertEqual(list((self.directory / "tmp").iterdir()), [])

    def test_by_the_systems_ssh_alone(self):
        """What ``ssh-config`` writes, and nothing else of ours."""
        key = ("--method", "key", "--key-file", str(self.world.key.path))
        blocks = self.start("ssh-config", *key).rest()
        known = self.start("ssh-config", "--known-hosts").rest()
        known_hosts, config = self.directory / "known_hosts", self.directory / "config"
        known_hosts.write_text("\n".join([*known, ""]))
        config.write_text("\n".join([f"UserKnownHostsFile {known_hosts}", *blocks, ""]))
        all_of_them = "\n".join(blocks).partition("Host all.tunnel\n")[2]
        found = re.findall(r"LocalForward (\S+):\d+ 127\.0\.1\.(\d)", all_of_them)
        places = {NAMES[int(last) - 2]: (host, self.world.same) for host, last in found}
        self.assertEqual(places.keys(), set(NAMES))

        ssh = Process(["ssh", "-F", config, "-v", "-N", "all.tunnel"], self.environment)
        self.addCleanup(ssh.kill)
        ssh.wait_for("Entering interactive session")
        self.assert_all_answer(places)
        ssh.stop()
        self.assertEqual(self.ssh_of_ours(), [])

    def test_without_the_terminal(self):
        hosts = self.directory / "hosts"
        hosts.write_text("127.0.0.1 localhost\n")
        words = ("connect", "--all", "--hosts-file", str(hosts), "--detach")
        started = self.start(*words)
        started.wait_for(r"it goes on as process \d+; `tunnelcloud stop` ends it")
        self.assertEqual(started.process.wait(PATIENCE), 0)
        try:
            said = self.start("status", "--json").rest()
            [run] = json.loads("\n".join(said))["runs"]
            forwards = {one["tunnel"]: one["forwards"][0] for one in run["tunnels"]}
            places = {
                name: (forwards[name]["local_address"], forwards[name]["local_port"])
                for name in NAMES
            }
            self.assert_all_answer(places)
            for name, (address, _) in places.items():
                self.assertIn(f"{address} {name}.tunnel\n", hosts.read_text())
        finally:
            stopped = self.start("stop")
            stopped.wait_for(r"stopped process \d+")
        self.assertEqual(self.ssh_of_ours(), [])
        self.assertEqual(hosts.read_text(), "127.0.0.1 localhost\n")
        self.assertEqual(list((self.directory / "tmp").iterdir()), [])
