"""The SSH clients people have: each logs in with a key and with a token, and moves data.

Every transfer crosses several rekeys, and every client that has AES-GCM is steered to it.
"""

import os
import socket
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from twisted.conch.ssh.keys import FingerprintFormats, Key
from twisted.internet.threads import deferToThread

from tests.integration.front_door import FrontDoorCase, Knocker
from tests.requirements import (
    require_executable,
    require_module,
    require_node_modules,
    require_pgadmin_python,
)
from tests.ssh.fakes import ECDSA_HOST_KEY, HOST_KEY, RSA_HOST_KEY, TOKEN
from tunnelcloud.ssh import exchange
from tunnelcloud.ssh.algorithms import AES_GCM, CIPHERS, MACS
from tunnelcloud.ssh.limits import Limits

PAYLOAD = os.urandom(2_000_000)
REKEYS = Limits(rekey_bytes=400_000)
CHACHA = b"chacha20-poly1305@openssh.com"
_DIGEST = HOST_KEY.public().fingerprint(format=FingerprintFormats.SHA256_BASE64)
FINGERPRINT = "SHA256:" + _DIGEST.rstrip("=")


class ClientCase(FrontDoorCase):
    """What every client's test ends with."""

    limits = REKEYS

    def served(self, method: str, ciphers: Sequence[bytes] = AES_GCM, rekeys: int = 2) -> None:
        """One session was opened, by this method, with these ciphers, and rekeyed."""
        session = list(self.pod.access.sessions)[-1]
        self.assertEqual(bool(self.pod.access.spent), method == "token")
        connection = [each for each in self.connections if each.exchanges][-1]
        self.assertIn(connection.agreement.cipher_in, ciphers)
        self.assertIn(connection.agreement.cipher_out, ciphers)
        self.assertGreaterEqual(connection.exchanges, 1 + rekeys)
        self.assertEqual(self.pod.realm.avatars[session].echoes[0].received, len(PAYLOAD))

    def same(self, process: Knocker) -> None:
        """The process gave back what it was fed."""
        self.assertEqual(len(process.out), len(PAYLOAD), bytes(process.errors))
        self.assertTrue(process.out == PAYLOAD, "the bytes differ")


class OpenSSHTests(ClientCase):
    """OpenSSH's ssh."""

    def command(self, *options: object) -> list[object]:
        known = self.folder / "known_hosts"
        publics = [
            key.public().toString("OPENSSH").decode()
            for key in (HOST_KEY, RSA_HOST_KEY, ECDSA_HOST_KEY)
        ]
        known.write_text("".join(f"[127.0.0.1]:{self.port} {public}\n" for public in publics))
        fixed = ["ssh", "-F", "none", "-o", f"UserKnownHostsFile={known}", "-p", self.port]
        return [*fixed, "-o", "StrictHostKeyChecking=yes", *options, "alice@127.0.0.1"]

    async def test_key(self) -> None:
        """With a key."""
        only = ("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-i", self.key_file)
        process = await self.run_program(
            self.command("-W", "echo:7", *only), PAYLOAD, keep_open=True
        )
        self.same(process)
        self.served("key")
        # On a narrow path all that the kernel keeps is ahead of a keystroke.
        self.assertEqual(self.connections[-1].kept_unsent, 128 * 1024)

    async def test_token(self) -> None:
        """With a token, half-closing: the prompt is the contract's."""
        off = ("-o", "PubkeyAuthentication=no")
        process = await self.run_program(
            self.command("-W", "echo:7", *off), PAYLOAD, **self.askpass()
        )
        self.same(process)
        self.served("token")
        prompts = (self.folder / "prompts").read_text()
        self.assertEqual(prompts, "(alice@127.0.0.1) One-time token: |")

    async def test_token_behind_keys(self) -> None:
        """With a token, though an agent offers eight keys and there is an unrelated file."""
        agent = await self.start_agent(8)
        process = await self.run_program(
            self.command("-W", "echo:7", "-i", self.folder / "other-0"),
            PAYLOAD,
            SSH_AUTH_SOCK=agent,
            **self.askpass(),
        )
        self.same(process)
        self.served("token")
        self.assertGreaterEqual(len(self.pod.access.offers), 8)

    async def test_every_cipher(self) -> None:
        """Each cipher and MAC on offer, with rekeys, against OpenSSH's own."""
        for cipher, mac in (
            (AES_GCM[1], ""),
            (CHACHA, ""),
            (b"aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
            (b"aes192-ctr", "hmac-sha2-512-etm@openssh.com"),
            (b"aes256-ctr", "hmac-sha2-256-etm@openssh.com"),
        ):
            macs = ("-o", f"MACs={mac}") if mac else ()
            only = ("-o", "IdentitiesOnly=yes", "-i", self.key_file, "-c", cipher.decode(), *macs)
            process = await self.run_program(
                self.command("-W", "echo:7", *only), PAYLOAD, keep_open=True
            )
            self.same(process)
            connection = self.connections[-1]
            self.assertEqual(connection.agreement.cipher_in, cipher)
            self.assertEqual(connection.agreement.mac_in, mac.encode())
            self.assertGreaterEqual(connection.exchanges, 3)

    async def test_rekey_by_client(self) -> None:
        """Rekeys that the client asks for."""
        only = ("-o", "IdentitiesOnly=yes", "-i", self.key_file, "-o", "RekeyLimit=200K")
        process = await self.run_program(
            self.command("-W", "echo:7", *only), PAYLOAD, keep_open=True
        )
        self.same(process)
        self.assertGreaterEqual(self.connections[0].exchanges, 5)

    async def test_rsa_host_key(self) -> None:
        """The RSA host key, for clients that know no other."""
        only = ("-o", "IdentitiesOnly=yes", "-i", self.key_file)
        command = self.command("-o", "HostKeyAlgorithms=rsa-sha2-256", *only)
        known = self.folder / "known_hosts"
        public = RSA_HOST_KEY.public().toString("OPENSSH").decode()
        known.write_text(f"[127.0.0.1]:{self.port} {public}\n")
        process = await self.run_program([*command, "ls"])
        self.assertEqual(process.status, 0, bytes(process.errors))
        self.assertEqual(self.connections[0].agreement.host_key, b"rsa-sha2-256")

    async def test_user_key_types(self) -> None:
        """RSA and ECDSA keys made by ssh-keygen."""
        for kind in ("rsa", "ecdsa"):
            path = self.folder / kind
            await self.run_program(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path])
            public = Key.fromString(path.with_suffix(".pub").read_bytes())
            self.pod.access.keys[public.blob()] = "alice"
            only = ("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-i", path)
            process = await self.run_program([*self.command(*only), "ls"])
            self.assertEqual(process.status, 0, bytes(process.errors))

    async def test_spent_token(self) -> None:
        """A token that was used says so where the user sees it."""
        self.pod.access.spent.add(TOKEN)
        process = await self.run_program(
            [*self.command("-o", "PubkeyAuthentication=no"), "ls"], **self.askpass()
        )
        self.assertEqual(process.status, 255)
        self.assertIn(b"this token was used at 12:00", process.errors)
        self.assertIn(b"Permission denied", process.errors)

    async def test_greeting(self) -> None:
        """The tunnels, a terminal, a refused command's one line, and a refused forward's reason."""
        only = ("-o", "IdentitiesOnly=yes", "-i", self.key_file)
        process = await self.run_program([*self.command(*only, "-tt"), "ls"])
        self.assertIn("db   Ready", process.out.decode())
        self.assertIn(b"\r\n", process.out)
        process = await self.run_program([*self.command(*only), "rsync", "--server"])
        self.assertEqual((process.status, bytes(process.out)), (127, b""))
        self.assertIn(b"rsync: this is a gateway and runs no programs", process.errors)
        process = await self.run_program([*self.command(*only), "-s", "sftp"])
        self.assertEqual(bytes(process.out), b"")
        self.assertIn(b"use sftp -J alice@pod.example.com:2222 USER@SERVER", process.errors)
        process = await self.run_program([*self.command(*only), "cat"], PAYLOAD[:100_000])
        self.assertEqual((process.status, bytes(process.out)), (0, PAYLOAD[:100_000]))
        process = await self.run_program(self.command(*only, "-W", "db:1"))
        self.assertIn(b"echo: port 7 is published", process.errors)

    async def test_stopped(self) -> None:
        """A stopped client can't answer, but its system acknowledges: the session goes on."""
        self.pod.factory.limits = Limits(keepalive_seconds=0.2)
        only = ("-o", "IdentitiesOnly=yes", "-i", self.key_file)
        script = '"$@" & ssh=$!; sleep 1; kill -STOP $ssh; sleep 3; kill -CONT $ssh; wait $ssh'
        words = ["sh", "-c", script, "sh", *self.command(*only), "sleep", "5"]
        process = await self.run_program(words)
        self.assertEqual(process.status, 0, bytes(process.errors))

    async def test_held_by_sleep(self) -> None:
        """ssh -f goes into the background and forwards, as ssh(1) shows it."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            local = taken.getsockname()[1]
        only = ("-o", "IdentitiesOnly=yes", "-i", self.key_file, "-f")
        forward = ("-o", "ExitOnForwardFailure=yes", "-L", f"{local}:echo:7")
        # ssh holds its outputs until its session is over, with sshd as well.
        words = ["sh", "-c", '"$@" >out 2>&1', "sh", *self.command(*only, *forward), "sleep", "20"]
        process = await self.run_program(words)
        self.assertEqual(process.status, 0, bytes(process.errors))
        connection = await deferToThread(socket.create_connection, ("127.0.0.1", local), 10)
        self.addCleanup(connection.close)
        connection.sendall(b"hello")
        self.assertEqual(await deferToThread(connection.recv, 5), b"hello")

    async def test_refused_at_the_door(self) -> None:
        """The user of a client reads why it may not even start."""
        text = "too many failed logins from your address; try again in 5 s"
        self.pod.flood.connection_made = lambda source: text
        for _ in range(10):
            process = await self.run_program([*self.command(), "ls"])
            self.assertIn(text.encode(), process.errors)

    async def test_old_algorithms(self) -> None:
        """What is offered to old clients works with OpenSSH's own, and across rekeys."""
        for exchange_name, mac, key in (
            ("ecdh-sha2-nistp256", "hmac-sha2-256", "ecdsa-sha2-nistp256"),
            ("ecdh-sha2-nistp384", "hmac-sha2-256", "rsa-sha2-512"),
            ("ecdh-sha2-nistp521", "hmac-sha2-512", "rsa-sha2-512"),
            ("diffie-hellman-group14-sha256", "hmac-sha2-512", "rsa-sha2-256"),
            ("diffie-hellman-group16-sha512", "hmac-sha2-256", "ssh-ed25519"),
        ):
            self.connections.clear()
            options = (
                f"KexAlgorithms={exchange_name}",
                f"MACs={mac}",
                "Ciphers=aes256-ctr",
                f"HostKeyAlgorithms={key}",
                "IdentitiesOnly=yes",
            )
            words = [word for option in options for word in ("-o", option)]
            process = await self.run_program(
                self.command(*words, "-i", self.key_file, "-W", "echo:7"), PAYLOAD, keep_open=True
            )
            self.same(process)
            [connection] = self.connections
            self.assertGreater(connection.exchanges, 2)
            agreement = connection.agreement
            self.assertEqual(
                (agreement.key_exchange, agreement.mac_in, agreement.host_key),
                (exchange_name.encode(), mac.encode(), key.encode()),
            )

    async def test_fips(self) -> None:
        """A configuration that is held to FIPS 140, as RHEL's FIPS policy writes it."""
        keys = "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-256"
        config = self.folder / "fips"
        config.write_text(
            "Ciphers aes256-gcm@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes128-ctr\n"
            "MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256\n"
            "KexAlgorithms ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
            "diffie-hellman-group14-sha256,diffie-hellman-group16-sha512\n"
            f"HostKeyAlgorithms {keys}\nPubkeyAcceptedAlgorithms {keys}\nRequiredRSASize 2048\n"
        )
        for kind, bits in (("ecdsa", 384), ("rsa", 3072)):
            path = self.folder / f"fips-{kind}"
            words = ["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", path]
            await self.run_program(words)
            public = Key.fromString(path.with_suffix(".pub").read_bytes())
            self.pod.access.keys[public.blob()] = "alice"
            only = ("-F", config, "-o", "IdentitiesOnly=yes", "-i", path, "-W", "echo:7")
            process = await self.run_program(self.command(*only), PAYLOAD, keep_open=True)
            self.same(process)
            self.served("key")
        self.assertEqual(self.connections[-1].agreement.key_exchange, b"ecdh-sha2-nistp256")
        off = ("-F", config, "-o", "PubkeyAuthentication=no", "-W", "echo:7")
        process = await self.run_program(self.command(*off), PAYLOAD, **self.askpass())
        self.same(process)
        self.served("token")

    async def test_ended_by_the_pod(self) -> None:
        """The reason for a session's end is printed."""
        only = ("-o", "IdentitiesOnly=yes", "-i", self.key_file)
        requested = self.pod.realm.requestAvatar

        def request(*arguments: Any) -> Any:
            interface, avatar, logout = requested(*arguments)
            avatar.attached = lambda connection: connection.end("alice was blocked")
            return interface, avatar, logout

        self.pod.realm.requestAvatar = request
        process = await self.run_program(self.command(*only), keep_open=True, feed=b"x")
        self.assertEqual(process.status, 255)
        self.assertIn(b"alice was blocked", process.errors)


class PlinkTests(ClientCase):
    """PuTTY's plink."""

    def command(self, *options: object) -> list[object]:
        fixed = ["plink", "-batch", "-hostkey", FINGERPRINT, "-P", self.port, "-l", "alice"]
        return [*fixed, *options, "-nc", "echo:7", "127.0.0.1"]

    async def test_key(self) -> None:
        """With a key in PuTTY's format."""
        ppk = self.folder / "alice.ppk"
        made = await self.run_program(["puttygen", self.key_file, "-o", ppk])
        self.assertEqual(made.status, 0, bytes(made.errors))
        process = await self.run_program(self.command("-i", ppk), PAYLOAD, keep_open=True)
        self.same(process)
        self.served("key")

    async def test_token(self) -> None:
        """With a token as password, behind an agent's eight keys."""
        agent = await self.start_agent(8)
        process = await self.run_program(
            self.command("-pw", TOKEN), PAYLOAD, keep_open=True, SSH_AUTH_SOCK=agent
        )
        self.same(process)
        self.served("token")


class DropbearTests(ClientCase):
    """Dropbear's dbclient, which has no AES-GCM in Debian 12."""

    def command(self, *options: object) -> list[object]:
        fixed = ["dbclient", "-y", "-y", "-p", self.port, "-l", "alice"]
        return [*fixed, *options, "-B", "echo:7", "127.0.0.1"]

    async def test_key(self) -> None:
        """With a key in dropbear's format."""
        key = self.folder / "alice.db"
        words = ["dropbearconvert", "openssh", "dropbear", self.key_file, key]
        made = await self.run_program(words)
        self.assertEqual(made.status, 0, bytes(made.errors))
        process = await self.run_program(self.command("-i", key), PAYLOAD, keep_open=True)
        self.same(process)
        self.served("key", [CHACHA])

    async def test_token(self) -> None:
        """With a token as password."""
        process = await self.run_program(
            self.command(), PAYLOAD, keep_open=True, DROPBEAR_PASSWORD=TOKEN
        )
        self.same(process)
        self.served("token", [CHACHA])


class LibraryTests(ClientCase):
    """Libraries, each in a process of its own."""

    def library(
        self,
        name: str,
        method: str,
        python: str = sys.executable,
        **environment: object,
    ) -> Coroutine[Any, Any, Knocker]:
        secret = self.key_file if method == "key" else TOKEN
        script = Path(__file__).with_name("library_clients.py")
        return self.run_program(
            [python, script, name, self.port, "alice", method, secret, "echo:7", len(PAYLOAD)],
            **environment,
        )

    def whole(self, process: Knocker) -> None:
        self.assertEqual(process.out, b"whole\n", bytes(process.errors))

    async def both(self, name: str, module: str) -> None:
        require_module(module)
        agent = await self.start_agent(8)
        for method in ("key", "token"):
            process = await self.library(name, method, SSH_AUTH_SOCK=agent)
            self.whole(process)
            self.served(method)

    async def test_paramiko(self) -> None:
        """The current paramiko, behind an agent's eight keys, all of which it signs with."""
        await self.both("paramiko", "paramiko")

    async def test_asyncssh(self) -> None:
        """asyncssh."""
        await self.both("asyncssh", "asyncssh")

    async def test_libssh2(self) -> None:
        """libssh2, by way of ssh2-python."""
        await self.both("libssh2", "ssh2")

    async def test_sshtunnel(self) -> None:
        """paramiko 3.5 and sshtunnel 0.4, called as pgAdmin calls them."""
        python = require_pgadmin_python()
        for method in ("key", "token"):
            process = await self.library("sshtunnel", method, python)
            self.whole(process)
            self.served(method)

    async def test_node(self) -> None:
        """Node's ssh2."""
        await self.node("ssh2")

    async def test_node_of_old(self) -> None:
        """The last of 0.8, which wants a MAC in common even where an AEAD needs none."""
        await self.node("ssh2-old")

    async def node(self, module: str) -> None:
        modules = require_node_modules(module)
        script = Path(__file__).with_name("node_client.js")
        for method, secret in (("key", self.key_file), ("token", TOKEN)):
            process = await self.run_program(
                ["node", script, self.port, "alice", method, secret, "echo:7", len(PAYLOAD)],
                NODE_PATH=modules,
                SSH2=module,
            )
            self.whole(process)
            self.served(method)


class AuditTests(FrontDoorCase):
    """What ssh-audit says."""

    async def test_ssh_audit(self) -> None:
        """No failure, and no warning but that curve25519 isn't post-quantum."""
        await self.audit()

    async def test_what_steering_hides(self) -> None:
        """ssh-audit has AES-GCM and would see nothing else: the rest of the list, too."""
        self.patch(exchange, "steer", lambda ours, client: ours)
        lines = await self.audit()
        for name in (*CIPHERS, *MACS):
            self.assertTrue(any(name.decode() in line for line in lines), name)

    async def audit(self) -> list[str]:
        python = Path(sys.executable)
        newest = python.with_name("ssh-audit")
        words = [
            newest if newest.exists() else require_executable("ssh-audit"),
            "-n",
            "--skip-rate-test",
        ]
        process = await self.run_program([*words, "-p", self.port, "127.0.0.1"])
        lines = process.out.decode().splitlines()
        self.assertTrue(any("ssh-ed25519" in line for line in lines), lines)
        self.assertEqual([line for line in lines if "[fail]" in line], [])
        warnings = [line for line in lines if "[warn]" in line]
        for line in warnings:
            self.assertIn("post-quantum", line)
            self.assertIn("curve25519-sha256", line)
        return lines
