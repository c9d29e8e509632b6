"""How long refused logins take: whether the time tells who exists, and what opens something.

usage: python -m tests.campaigns.login_timing [--samples N]

A real pod is asked in turns, over real connections, with each kind of credential that must look
alike: of an unknown user, a wrong one of a known user, and another user's; of users with one grant
and with 300.  A good one of somebody who has no grant is told so, and takes as long nevertheless.
Tokens come first, then keys that nobody registered, then a key whose owner logs in by other names.
The campaign fails when two medians of one table are more than a millisecond apart.
"""

import argparse
import base64
import contextlib
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from ssh2.exceptions import AuthenticationError
from ssh2.session import Session
from twisted.conch.ssh.keys import Key

from tests.integration.processes import Gateway

MOST_APART = 0.001
_WRONG = "a" * 26
_MANY = 300

Attempt = Callable[[Session], None]


def with_token(user: str, token: str) -> Attempt:
    """Send a token as password."""
    return lambda session: session.userauth_password(user, token)


def with_key(user: str, key: Key) -> Attempt:
    """Offer a key, and sign with it if it is registered."""
    private = key.toString("OPENSSH", subtype="v1")
    return lambda session: session.userauth_publickey_frommemory(user, private, "")


def measure(port: int, attempts: "dict[str, Attempt]", samples: int) -> "dict[str, float]":
    """Give the median seconds of each refusal; every connection tries one kind."""
    taken: dict[str, list[float]] = {name: [] for name in attempts}
    while min(map(len, taken.values())) < samples:
        for name, attempt in attempts.items():
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                session = Session()
                session.handshake(connection)
                # Once a connection: the same wrong token again is refused without a look at it.
                started = time.perf_counter()
                with contextlib.suppress(AuthenticationError):
                    attempt(session)
                    raise SystemExit(f"{name}: was let in")
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times[:samples]) for name, times in taken.items()}


def show(what: str, medians: "dict[str, float]") -> bool:
    """Print the medians; return whether they are as near as they must be."""
    apart = max(medians.values()) - min(medians.values())
    for name, median in medians.items():
        sys.stdout.write(f"{what}, {name:22} {median * 1000:7.3f} ms\n")
    sys.stdout.write(f"{what}, furthest apart      {apart * 1000:7.3f} ms\n")
    sys.stdout.flush()
    return apart <= MOST_APART


def new_key() -> Key:
    return Key(ed25519.Ed25519PrivateKey.generate())


def register(gateway: Gateway, directory: Path, user: str) -> Key:
    """Give a user a key of their own."""
    key = new_key()
    path = directory / f"{user}.pub"
    text = base64.b64encode(key.public().blob()).decode()
    path.write_text(f"ssh-ed25519 {text}\n")
    gateway.do("key", "add", user, "--public-key", path)
    return key


def assign_many(gateway: Gateway, directory: Path, user: str) -> None:
    """Assign 300 tunnels to a user."""
    path = directory / "many.toml"
    path.write_text(
        "".join(
            f"[tunnels.many-{number}]\nsite = 'site'\n"
            f"target_address = '10.1.{number // 250}.{number % 250 + 1}'\ntarget_ports = [5432]\n"
            f"[[tunnels.many-{number}.assignments]]\nuser = '{user}'\nmethods = ['token', 'key']\n"
            for number in range(_MANY)
        )
    )
    gateway.do("apply", path)


def run(directory: Path, samples: int) -> bool:
    """Start a pod, and measure it."""
    gateway = Gateway(directory)
    try:
        gateway.do("site", "create", "site")
        gateway.do(
            "tunnel", "create", "db", "--site", "site", "--address", "10.0.0.5", "--port", 5432
        )
        for user in ("alice", "bob", "carol", "grace"):
            gateway.do("user", "create", user)
        assign_many(gateway, directory, "grace")
        for user in ("alice", "bob"):
            gateway.do("assign", "db", "--user", user, "--method", "token", "--method", "key")
        tokens = {
            user: gateway.do("token", "create", user)["token"] for user in ("bob", "carol", "grace")
        }
        keys = {user: register(gateway, directory, user) for user in ("bob", "grace")}
        near = show(
            "token",
            measure(
                gateway.ssh_port,
                {
                    "unknown user": with_token("nobody", _WRONG),
                    "wrong token": with_token("alice", _WRONG),
                    "wrong token, 300 grants": with_token("grace", _WRONG),
                    "no grant": with_token("carol", tokens["carol"]),
                    "another user's": with_token("alice", tokens["bob"]),
                    "another's, 300 grants": with_token("alice", tokens["grace"]),
                    "unknown user, good one": with_token("nobody", tokens["bob"]),
                },
                samples,
            ),
        )
        near &= show(
            "unregistered key",
            measure(
                gateway.ssh_port,
                {user: with_key(user, new_key()) for user in ("nobody", "alice", "grace")},
                samples,
            ),
        )
        return near & show(
            "another's key",
            measure(
                gateway.ssh_port,
                {
                    f"{owner}'s as {user}": with_key(user, keys[owner])
                    for owner in ("bob", "grace")
                    for user in ("nobody", "alice")
                },
                samples,
            ),
        )
    finally:
        gateway.process.stop()


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description="compare how long refused logins take")
    parser.add_argument("--samples", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timing-") as directory:
        if not run(Path(directory), options.samples):
            raise SystemExit("the time tells them apart")


if __name__ == "__main__":
    main()
