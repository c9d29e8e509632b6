"""What is tried with which test, in which version: docs/compatibility.md is made of this list.

``python -m tests.compatibility`` writes the page; ``tests/test_compatibility.py`` holds it to the
list, the list to the tests that there are, and versions to the files that fix them.
"""

from __future__ import annotations

import re
from pathlib import Path

from attrs import field, frozen

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "compatibility.md"

_HEAD = """\
# What was tried with what

This page is made from the list in `tests/compatibility.py`, which names a test for each line;
the test runs the real program or library, or plays the provider.
`Debian` stands for Debian 12's package.

"""
_HEADINGS = "| what | version | what to know or set | test |\n|---|---|---|---|\n"
_FOREIGN = "integration/test_foreign_clients.py"
_CLIENTS = "integration/test_clients.py"
_TERMINALS = "integration/test_terminals.py"
_OWN = "integration/test_own_settings.py"
_SHAPES = "web/portal/test_shapes.py"
_PROXIES = "integration/test_proxies.py"


@frozen
class Tried:
    """One line.

    :ivar version: empty where it isn't a version that matters.
    :ivar tests: below ``tests/``: a file, a blank, and a class or one of its methods.
    :ivar to_set: what its user has to know or set.
    :ivar debian: the Debian package that it came from.
    """

    name: str
    version: str
    tests: tuple[str, ...] = field(converter=lambda given: tuple(given.split(";")))
    to_set: str = ""
    debian: str = ""


def _locked(file: str, pattern: str) -> str:
    """Read a version from the file that fixes it."""
    found = re.search(pattern, (ROOT / file).read_text())
    assert found is not None, (file, pattern)
    return found[1]


def _pinned(name: str) -> str:
    return _locked(".ci/constraints.txt", rf"(?m)^{name}==(\S+)$")


def _maven(name: str) -> str:
    return _locked(
        f"tests/clients/{name}/pom.xml", r"<version>(\d+\.[^<]+)</version>\s+</dependency>"
    )


_JSCH = (
    "Reconnect when a pool's session ends. A thread may write with the old keys after a key "
    "change is over (seen once in some 1,000 changes with twenty busy channels); no server can "
    "read that packet, so the session ends."
)

SECTIONS: dict[str, tuple[Tried, ...]] = {
    "SSH clients": (
        Tried("OpenSSH", "9.2p1",
              f"{_CLIENTS} OpenSSHTests;{_OWN} GeneratedTextTests;{_OWN} ConnectTests;"
              f"{_TERMINALS} PseudoTerminalTests.test_openssh",
              "Nothing; `-F none` where your own file has a RemoteForward.", "openssh-client"),
        Tried("OpenSSH held to FIPS 140's algorithms", "9.2p1",
              f"{_CLIENTS} OpenSSHTests.test_fips",
              "Keys: ECDSA or RSA. Debian has no package of OpenSSL's FIPS module: the test tries "
              "the configuration. It passed with the module too, built from Debian's source of "
              "OpenSSL 3.0.19.", "openssh-client"),
        Tried("PuTTY's plink", "0.78", f"{_CLIENTS} PlinkTests;"
              f"{_TERMINALS} PseudoTerminalTests.test_plink",
              "At a terminal it waits for Return after the token.", "putty-tools"),
        Tried("Dropbear's dbclient", "2022.83", f"{_CLIENTS} DropbearTests;"
              f"{_TERMINALS} PseudoTerminalTests.test_dropbear", "", "dropbear-bin"),
    ),
    "SSH libraries": (
        Tried("JSch (mwiede)", _maven("jsch"), f"{_FOREIGN} JschTests", _JSCH),
        Tried("JSch (original)", _maven("jsch_old"), f"{_FOREIGN} OriginalJschTests",
              f"Keys: ECDSA in PEM form. {_JSCH}"),
        Tried("sshj", _maven("sshj"), f"{_FOREIGN} SshjTests",
              "With twenty busy channels it stalls after a key change, with sshd as well."),
        Tried("Go x/crypto/ssh", _locked("tests/clients/go/go.mod", r"x/crypto v(\S+)"),
              f"{_FOREIGN} GoTests"),
        Tried("Apache MINA SSHD", _maven("mina"), f"{_FOREIGN} MinaTests",
              "Keys: ECDSA or RSA; ed25519 wants a library more."),
        Tried("ConnectBot's sshlib, which goes on from Trilead's", _maven("sshlib"),
              f"{_FOREIGN} ConnectBotTests"),
        Tried("Trilead SSH-2, the last of its own", _maven("trilead"),
              f"{_FOREIGN} TrileadTests",
              "Can't log in: it has nothing but SHA-1. Use ConnectBot's sshlib in its place."),
        Tried("Ruby's net-ssh", "7.0.1", f"{_FOREIGN} NetSSHTests", "", "ruby-net-ssh"),
        Tried("russh", _locked("tests/clients/russh/Cargo.lock", r'"russh"\nversion = "(.+)"'),
              f"{_FOREIGN} RusshTests"),
        Tried("paramiko", _pinned("paramiko"), f"{_CLIENTS} LibraryTests.test_paramiko"),
        Tried("asyncssh", _pinned("asyncssh"), f"{_CLIENTS} LibraryTests.test_asyncssh"),
        Tried("libssh2 (ssh2-python)", _pinned("ssh2-python"),
              f"{_CLIENTS} LibraryTests.test_libssh2",
              "Up to 1.10 it signs with RSA keys by SHA-1 only: use ed25519, ECDSA or a token."),
        Tried("sshtunnel, with pgAdmin's paramiko", "0.4.0",
              f"{_CLIENTS} LibraryTests.test_sshtunnel"),
        Tried("Node's ssh2", "newest", f"{_CLIENTS} LibraryTests.test_node"),
        Tried("Node's ssh2, the last of 0.8", _locked(".ci/run", r"npm:ssh2@(\S+)"),
              f"{_CLIENTS} LibraryTests.test_node_of_old"),
    ),
    "Tools": (
        Tried("sshpass", "1.09", f"{_TERMINALS} PromptTests.test_sshpass",
              "`-P 'One-time token: '`", "sshpass"),
        Tried("expect", "5.45.4", f"{_TERMINALS} PromptTests.test_expect",
              "Wait for `One-time token: `.", "expect"),
        Tried("ssh-agent with 25 keys", "9.2p1",
              f"{_TERMINALS} PromptTests.test_an_agent_with_25_keys",
              "Token: `-o PubkeyAuthentication=no`; key: `-o IdentitiesOnly=yes -i FILE`.",
              "openssh-client"),
        Tried("autossh", "1.4g", f"{_OWN} GeneratedTextTests.test_autossh",
              "", "autossh"),
        Tried("pgAdmin", "9.18", "browser/test_tools.py ToolTests.test_pgadmin_takes_the_file",
              "Import the file that the tunnel's page gives."),
        Tried("HikariCP, with PostgreSQL's driver, through JSch", _maven("pool"),
              "integration/test_approvals.py "
              "ApprovalTests.test_pools_of_database_connections_wait",
              "It opens one connection after the other. A JSch without a time limit for its "
              "tunnels gives a connection that waits for an approval up after 20 s."),
        Tried("psql, through a tunnel", "15",
              "integration/test_database.py DatabaseTests.test_query_and_copy"),
    ),
    "Browsers, each as Debian updates it": (
        Tried("Chromium", "",
              "browser/test_first_day.py FirstDayTests;browser/test_portal.py LookTests"),
        Tried("Firefox ESR", "", "browser/test_engines.py FirefoxTests"),
        Tried("WebKitGTK, with the engine of Safari", "", "browser/test_engines.py WebKitTests"),
    ),
    "Proxies between a user and the pod": (
        Tried("squid, by `tunnelcloud connect`", "5.7",
              f"{_PROXIES} UserTests.test_the_command_line",
              "HTTPS_PROXY or ALL_PROXY.", "squid-openssl"),
        Tried("squid, by OpenSSH with netcat-openbsd", "5.7",
              f"{_PROXIES} UserTests.test_openssh_alone",
              "`-o ProxyCommand=\"nc -X connect -x PROXY:3128 %h %p\"`", "squid-openssl"),
        Tried("squid, by PuTTY's own setting", "5.7",
              f"{_PROXIES} UserTests.test_puttys_own_setting",
              "Connection → Proxy: HTTP, the proxy's name and port.", "squid-openssl"),
    ),
    "Proxies on the way out of a site": (
        Tried("squid", "5.7", f"{_PROXIES} WayOutTests.test_squid;"
              f"{_PROXIES} WayOutTests.test_squid_with_a_password_in_a_file;"
              f"{_PROXIES} WayOutTests.test_squid_spoken_to_by_tls;{_PROXIES} ObstacleTests",
              "`proxy` in connector.toml, or HTTPS_PROXY; allow CONNECT to the pod's port.",
              "squid-openssl"),
        Tried("squid that opens TLS to look inside (ssl-bump)", "5.7",
              f"{_PROXIES} ObstacleTests.test_it_opens_tls_to_look_inside",
              "Ask for an exemption: the connector's line names who issued the certificate.",
              "squid-openssl"),
        Tried("tinyproxy", "1.11.1", f"{_PROXIES} WayOutTests.test_tinyproxy", "", "tinyproxy"),
        Tried("dante (SOCKS 5)", "1.4.2", f"{_PROXIES} WayOutTests.test_socks",
              "`socks5h://`", "dante-server"),
    ),
    "Databases of a pod": (
        Tried("SQLite", "", "store/test_engine.py SQLiteEngineTests"),
        Tried("PostgreSQL", "15", "store/test_engine.py PostgresEngineTests", "", "postgresql"),
        Tried("PostgreSQL, a primary that dies and its standby", "15",
              "integration/test_failover.py FailoverTests",
              "Both hosts in `[database] url`, and synchronous replication: "
              "[many pods](many-pods.md)."),
        Tried("PgBouncer", "1.18.0", "integration/test_poolers.py PoolerTests",
              "`pool_mode = session` and `ignore_startup_parameters = options`; in other modes "
              "it loses notices of changes, and no pod starts.", "pgbouncer"),
    ),
    "Identity providers, by answers in the shape that their documents give": tuple(
        Tried(name, "", f"{_SHAPES} ShapeTests.test_{name.split()[-1].lower()}",
              "See [Sign-in](sign-in.md).")
        for name in ("Microsoft Entra", "Okta", "Google", "Keycloak", "Authentik", "Zitadel",
                     "Amazon Cognito", "Auth0", "GitLab", "Microsoft ADFS")
    ),
}  # fmt: skip
"""What is tried, by kind."""


def page() -> str:
    """Write the page."""
    parts = [_HEAD]
    for title, lines in SECTIONS.items():
        parts.append(f"## {title}\n\n{_HEADINGS}")
        for one in lines:
            version = f"{one.version} (Debian)" if one.debian else one.version
            tests = "<br>".join(f"`{test}`" for test in one.tests)
            parts.append(f"| {one.name} | {version} | {one.to_set} | {tests} |\n")
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
