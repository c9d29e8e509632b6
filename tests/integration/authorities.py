"""An ACME authority of one's own: Debian's pebble."""

import json

from tests.integration.processes import PATIENCE, Process, free_port
from tests.pod.certificates import write_certificate
from tests.requirements import require_executable


class Pebble:
    """A running authority.

    :param port: where it looks for the answers to challenges, of either kind.
    :param life: for how many seconds its certificates are good.
    """

    def __init__(self, directory, port, life):
        self.port = free_port()
        self.ca = directory / "pebble.pem"
        key = directory / "pebble-key.pem"
        write_certificate(self.ca, key)
        config = directory / "pebble.json"
        config.write_text(
            json.dumps(
                {
                    "pebble": {
                        "listenAddress": f"127.0.0.1:{self.port}",
                        "managementListenAddress": "",
                        "certificate": str(self.ca),
                        "privateKey": str(key),
                        "httpPort": port,
                        "tlsPort": port,
                        "ocspResponderURL": "",
                        "externalAccountBindingRequired": False,
                        "certificateValidityPeriod": life,
                    }
                }
            )
        )
        self.process = Process(
            [require_executable("pebble"), "-config", config], {"PEBBLE_VA_NOSLEEP": "1"}
        )
        self.process.wait_for("ACME directory available", PATIENCE)

    @property
    def settings(self):
        """Give the lines for [web.acme]."""
        return (
            f'directory = "https://localhost:{self.port}/dir"\n'
            f'ca = "{self.ca}"\nnames = ["localhost"]\ncontact = "admin@example.com"\n'
        )

    def close(self):
        self.process.stop()
