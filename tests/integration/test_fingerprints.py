"""What people compare a pod's host key with, and how keys take each other's place."""

import base64
import subprocess
import sys
import time
from pathlib import Path

from tests.integration.processes import PATIENCE, Process
from tests.integration.strangers import FrontDoorCase
from tests.requirements import require_executable
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.ssh.shown_host_key import shown_host_key


class HostKeyTests(FrontDoorCase):
    """What people compare a host key with."""

    def test_the_same_everywhere(self) -> None:
        """ssh-keyscan, /known_hosts, the API and the command line say the same."""
        scan = subprocess.run(
            [require_executable("ssh-keyscan"), "-p", str(self.port), "127.0.0.1"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        scanned = {line for line in scan.stdout.splitlines() if not line.startswith("#")}
        lines = self.world.gateway.get("/known_hosts").splitlines()
        own = [line for line in lines if line.startswith(f"[127.0.0.1]:{self.port} ")]
        self.assertEqual(set(own), scanned)
        external = [line for line in lines if line.startswith(f"[db.example.com]:{self.port} ")]
        self.assertEqual(
            {line.partition(" ")[2] for line in own}, {line.partition(" ")[2] for line in external}
        )
        status, said, _ = self.world.gateway.run("host-key", "known-hosts")
        self.assertEqual((status, set(said.splitlines())), (0, set(lines)))
        keys = self.world.do("host-key", "list")["items"]
        self.assertEqual({line for key in keys for line in key["known_hosts"]}, set(lines))
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", "-"],
            input="\n".join(own),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        fingerprints = {line.split()[1] for line in shown.stdout.splitlines()}
        self.assertEqual({key["fingerprint"] for key in keys}, fingerprints)

    def test_what_doctor_and_setup_ask_for(self) -> None:
        """A real pod proves one of its keys to them."""
        shown = base64.b64encode(shown_host_key(PublicAddress("127.0.0.1", self.port))).decode()
        own = [
            line for line in self.world.gateway.get("/known_hosts").splitlines() if shown in line
        ]
        self.assertIn(" ssh-ed25519 ", own[0])

    def test_a_new_name_is_there_at_once(self) -> None:
        """A tunnel's external address needs no heartbeat to be listed."""
        self.world.tunnel("fresh", "10.0.0.7", 5432, external="fresh.example.com")
        for _ in range(20):
            if "[fresh.example.com]" in self.world.gateway.get("/known_hosts"):
                return
            time.sleep(0.1)
        self.fail("the new name isn't listed")

    def test_openssh_learns_the_keys_that_take_their_place(self) -> None:
        """Each step but the last, with a file that ssh itself keeps; no connection fails."""
        known = self.world.directory / "learnt"
        own = f"[127.0.0.1]:{self.port} "
        lines = self.world.gateway.get("/known_hosts").splitlines()
        known.write_text("".join(f"{line}\n" for line in lines if line.startswith(own)))
        before = self.fingerprints()
        self.world.do("host-key", "rotate")
        self.learn(known)
        new = self.fingerprints() - before
        self.assertEqual(len(new), 3)
        self.world.do("host-key", "promote")
        self.learn(known)
        self.world.do("host-key", "retire")
        self.learn(known)
        self.assertEqual(self.fingerprints(), new)
        # For the tests that come after this one.
        self.world.client.known_hosts.write_text(self.world.gateway.get("/known_hosts"))

    def fingerprints(self) -> set[str]:
        return {key["fingerprint"] for key in self.world.do("host-key", "list")["items"]}

    def learn(self, known: Path) -> None:
        """Connect with a file that ssh may change, until it has the keys that the pod tells."""
        told = {
            key["known_hosts"][0].split()[-1] for key in self.world.do("host-key", "list")["items"]
        }
        words = ["-o", "UpdateHostKeys=yes", "-v", "-N"]
        arguments = self.world.client.arguments("alice", *words, key=self.world.key)
        place = arguments.index(f"UserKnownHostsFile={self.world.client.known_hosts}")
        arguments[place] = f"UserKnownHostsFile={known}"
        process = Process(arguments, self.world.client.environment())
        self.addCleanup(process.kill)
        process.wait_for("Entering interactive session")
        deadline = time.monotonic() + PATIENCE
        while {line.split()[2] for line in known.read_text().splitlines()} != told:
            self.assertLess(time.monotonic(), deadline, process.said())
            time.sleep(0.1)
        process.stop()

    def test_ssh_audit(self) -> None:
        """With default settings: no failure, no warning but curve25519's."""
        newest = Path(sys.executable).with_name("ssh-audit")
        audit = str(newest) if newest.exists() else require_executable("ssh-audit")
        done = subprocess.run(
            [audit, "-n", "--skip-rate-test", "-p", str(self.port), "127.0.0.1"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertIn("ssh-ed25519", done.stdout)
        self.assertNotIn("[fail]", done.stdout)
        for line in done.stdout.splitlines():
            if "[warn]" in line:
                self.assertRegex(line, "curve25519-sha256.*post-quantum")
