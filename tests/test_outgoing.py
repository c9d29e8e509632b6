"""Every place that connects to a server elsewhere is written down here, with its bounds.

A server that drips, goes on and on or leads elsewhere may hold nobody longer or with more than is
said here.  So what connects is found in the source: a new place needs a row, and a row a reason.
"""

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud

ROOT = Path(tunnelcloud.__file__).parent

CONNECTS = {
    "Agent",
    "AsyncClient",
    "BrowserLikePolicyForHTTPS",
    "ClientNetwork",
    "ESMTPSenderFactory",
    "HTTPAdapter",
    "HTTPClient",
    "HTTPConnection",
    "HTTPSConnection",
    "HostnameEndpoint",
    "SMTP",
    "SMTP_SSL",
    "SMTPSenderFactory",
    "TCP4ClientEndpoint",
    "TCP6ClientEndpoint",
    "UNIXClientEndpoint",
    "CertificateOptions",
    "clientFromString",
    "connectSSL",
    "connectTCP",
    "connectUDP",
    "connectUNIX",
    "create_connection",
    "optionsForClientTLS",
    "sendmail",
    "urlopen",
    "urlretrieve",
    "usingEndpointFactory",
    "wrapClientTLS",
}
"""What makes connections, or speaks on those that something else makes."""

MODULES = {"ftplib", "http.client", "httpx", "requests", "smtplib", "treq", "urllib.request"}
"""What asks servers by itself: who imports it needs a row, too."""

PLACES = {
    "cli/client.py": {"httpx"},
    "cli/answer_limits.py": {"httpx"},
    "connector/outgoing.py": {"HostnameEndpoint", "wrapClientTLS"},
    "connector/happy_eyeballs.py": {"connectTCP"},
    "net/doctor_findings.py": {"create_connection"},
    "net/proxy_connection.py": {"create_connection"},
    "net/bounded_connections.py": {"HostnameEndpoint", "usingEndpointFactory", "wrapClientTLS"},
    "net/outgoing_tls.py": {"optionsForClientTLS"},
    "net/own_address_check.py": {"create_connection"},
    "pod/acme/ordering.py": {"ClientNetwork", "requests"},
    "sinks/mail.py": {"ESMTPSenderFactory"},
}
"""What each place uses.

``net/outgoing_tls.py`` makes TLS: it counts steps of handshakes, and lets no server choose a prime.
``net/bounded_connections.py`` counts all bytes of a connection and follows no redirect.  By it go

- providers of sign-in and their keys, and the authority of ACME: ``net/http_fetch.py``, 10 s for a
  whole answer; an order has 180 s and 1,000 requests (``pod/acme/ordering.py``, whose library gets
  a session that asks this way)
- the audit's webhook and syslog, notices by webhook and by mail: ``sinks/``, 30 s a batch
  (``sinks/delivery.py``); then the connection is ended

The others:

- ``connector/outgoing.py``: to pods.  A proxy's answer is bounded in time and size
  (``domain/proxy_dialogue.py``), joining has 30 s and 16 KiB, a link is ``link/``'s
- ``connector/happy_eyeballs.py``: to targets, whose bytes are a channel's
- ``net/proxy_connection.py``: a proxy has 20 s and 16 KiB for its answer, then carries ssh's bytes
- ``net/doctor_findings.py``: what ``tunnelcloud doctor`` tries has 5 s for each of its answers, of
  which one line or the certificate is read
- ``net/own_address_check.py``: each address that ``tunnelcloud setup`` tries, eight at most, has
  3 s to connect, and as long to say a word
- ``cli/client.py``: to the pod whose administrator or user runs the command; an answer has 70 s
  (``apply`` more) and 64 MiB (``cli/answer_limits.py``), but for exports and the audit's lines, of
  which each read has 60 s; no redirect is followed, and Ctrl-C ends it
"""


def used(tree):
    """Give what a module uses to connect."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, "attr", None) or getattr(function, "id", None)
            found |= {name} & CONNECTS
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} & MODULES
            names = {f"{node.module}.{one.name}" for one in node.names}
            found |= {name.rpartition(".")[2] for name in names & MODULES}
    return found


class OutgoingTests(SynchronousTestCase):
    def test_every_place_is_known(self):
        found = {}
        for path in sorted(ROOT.rglob("*.py")):
            names = used(ast.parse(path.read_text("utf-8")))
            if names:
                found[path.relative_to(ROOT).as_posix()] = names
        self.assertEqual(found, PLACES)

    def test_what_would_be_found(self):
        for text in (
            "import httpx",
            "from urllib import request\nfrom urllib.request import urlopen\nurlopen(x)",
            "reactor.connectTCP('a', 1, f)",
            "Agent(reactor)",
        ):
            self.assertTrue(used(ast.parse(text)), text)
