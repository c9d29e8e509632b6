"""State directories that the system doesn't let be written: as on a disk that has failed."""

import socket

from tests.integration.processes import PATIENCE
from tests.integration.test_starts import StartCase
from tests.integration.worlds import WorldCase
from tests.requirements import require_executable, require_root
from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.domain.ssh_command import PublicAddress

_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def read_only(directory):
    """Give the words of a command that runs another, for which a directory is read-only."""
    require_root()
    require_executable("mount")
    return (require_executable("unshare"), "--mount", "sh", "-c", _READ_ONLY, directory)


class ConnectorTests(WorldCase):
    def test_a_site_keeps_its_connector(self):
        connector, state = self.world.connector, self.world.directory / "paris-1"
        connector.prefix = read_only(state)
        connector.process.stop()
        connector.start()
        said = "\n".join(connector.process.output)
        self.assertIn(f"{state} can't be written (Read-only file system)", said)
        target = f"127.0.0.1:{self.world.echo.port}"
        port = self.through("alice", target, key=self.world.key)
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as stream:
            stream.sendall(b"still served")
            self.assertEqual(stream.recv(100), b"still served")


class StartTests(StartCase):
    def test_a_new_connector_says_what_it_needs(self):
        self.state.mkdir()
        token = JoinToken(PublicAddress("127.0.0.1", 1), bytes(32), bytes(20)).encode()
        words = ("connector", "--state", self.state, "--join", token)
        said = self.refused(*words, prefix=read_only(self.state))
        for word in (f"{self.state}/key.pem can't be written: Read-only file system", "a volume"):
            self.assertIn(word, said)

    def test_a_pod_says_what_it_needs(self):
        self.make_state()
        said = self.refused("pod", "--config", self.pod_config(), prefix=read_only(self.state))
        fault = f"{self.state}: can't be used as state_directory: Read-only file system; name a dir"
        self.assertIn(fault, said)
