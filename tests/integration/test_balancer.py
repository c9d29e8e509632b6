"""HAProxy before two pods, as docs/many-pods.md configures it."""

import re
from pathlib import Path

import asyncssh

from tests.integration.processes import Process, free_port, run_async, wait_for_port
from tests.integration.test_pods import BALANCER, PodsCase
from tests.requirements import require_executable

PAGE = Path(__file__).parents[2] / "docs" / "many-pods.md"
ELSEWHERE = "127.0.0.77"


def documented():
    """Give the page's configuration."""
    [block] = re.findall(r"```text\n(frontend ssh\n.*?)```", PAGE.read_text(), re.DOTALL)
    return block


class BalancerTests(PodsCase):
    def configuration(self, port):
        """Give the page's configuration with the addresses of the pods here.

        They have one address and differ by their ports, also in that of the check.
        """
        text = documented().replace("bind :2222", f"bind 127.0.0.1:{port}")
        text = text.replace("check port 8080", "check")
        for number, gateway in enumerate(self.pods.gateways, 1):
            here = f"127.0.0.1:{gateway.ssh_port} port {gateway.web_port} source {BALANCER}"
            text, count = re.subn(rf"(server pod-{number}) \S+", rf"\1 {here}", text)
            self.assertEqual(count, 1)
        return text

    def test_users_reach_the_pod_that_is_ready_and_are_who_they_are(self):
        port = free_port()
        file = self.pods.directory / "haproxy.cfg"
        file.write_text(self.configuration(port))
        balancer = Process([require_executable("haproxy"), "-db", "-f", file])
        self.addCleanup(balancer.kill)
        wait_for_port(port)
        name, key = self.pods.user()

        async def log_in():
            connection = await asyncssh.connect(
                "127.0.0.1", port, username=name, local_addr=(ELSEWHERE, 0), known_hosts=None,
                config=None, agent_path=None, client_keys=[str(key.path)],
            )  # fmt: skip
            connection.abort()

        def pod_of_a_login():
            """Log in by the balancer from another address; give the pod that took it."""
            run_async(log_in())
            rows = self.pods.execute(
                "SELECT source_ip, name FROM sessions JOIN pods ON pods.id = pod_id "
                f"WHERE user_name = '{name}' ORDER BY sessions.id DESC LIMIT 1"
            )
            return rows[0]

        self.assertEqual(pod_of_a_login()[0], ELSEWHERE)
        self.do("pod", "drain", "pod-1")
        self.addCleanup(self.do, "pod", "resume", "pod-1")
        balancer.wait_for("pods/pod-1 is DOWN")
        self.assertEqual([pod_of_a_login() for _ in range(2)], [(ELSEWHERE, "pod-2")] * 2)
