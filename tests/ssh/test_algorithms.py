"""Which algorithms are offered, and what two offers come to."""

import contextlib

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.fakes import Pod
from tunnelcloud.channels.messages import ProtocolError
from tunnelcloud.pki.public_keys import USER_KEY_TYPES
from tunnelcloud.ssh import algorithms
from tunnelcloud.ssh.algorithms import (
    AES_GCM,
    CIPHERS,
    MACS,
    OLD_HOST_KEY_ALGORITHMS,
    OLD_KEY_EXCHANGES,
    OLD_MACS,
    NoCommonAlgorithm,
    Proposal,
    add_old,
    guessed_wrong,
    negotiate,
    our_proposal,
    read_proposal,
    steer,
)

OURS = our_proposal(algorithms.KEY_EXCHANGES, (b"ssh-ed25519", b"ssh-rsa"))
CHACHA = b"chacha20-poly1305@openssh.com"
# What the clients send, as captured: OpenSSH 9.2 of Debian 12, and OpenSSH 7.4.
OPENSSH_92 = Proposal(
    (b"sntrup761x25519-sha512@openssh.com", b"curve25519-sha256", b"ext-info-c"),
    (b"ssh-ed25519-cert-v01@openssh.com", b"ssh-ed25519", b"rsa-sha2-512"),
    (CHACHA, b"aes128-ctr", b"aes192-ctr", b"aes256-ctr", *AES_GCM),
    (CHACHA, b"aes128-ctr", b"aes192-ctr", b"aes256-ctr", *AES_GCM),
    (b"umac-64-etm@openssh.com", *MACS, b"hmac-sha1"),
    (b"umac-64-etm@openssh.com", *MACS, b"hmac-sha1"),
    (b"none", b"zlib@openssh.com", b"zlib"),
    (b"none", b"zlib@openssh.com", b"zlib"),
)

# libssh2 1.10 of Debian 12, and JSch 0.1.55, of which the lists are cut to what tells them apart.
LIBSSH2_110 = Proposal(
    (b"curve25519-sha256", b"ecdh-sha2-nistp256", b"diffie-hellman-group14-sha1"),
    (b"ecdsa-sha2-nistp256", b"ssh-ed25519", b"ssh-rsa", b"ssh-dss"),
    (b"aes128-ctr", b"aes192-ctr", b"aes256-ctr", b"aes256-cbc", b"3des-cbc"),
    (b"aes128-ctr", b"aes192-ctr", b"aes256-ctr", b"aes256-cbc", b"3des-cbc"),
    (b"hmac-sha2-256", b"hmac-sha2-512", b"hmac-sha1", b"hmac-md5"),
    (b"hmac-sha2-256", b"hmac-sha2-512", b"hmac-sha1", b"hmac-md5"),
)
JSCH_0155 = Proposal(
    (b"ecdh-sha2-nistp256", b"ecdh-sha2-nistp384", b"diffie-hellman-group14-sha1"),
    (b"ssh-rsa", b"ssh-dss", b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384"),
    (b"aes128-ctr", b"aes128-cbc", b"3des-ctr", b"3des-cbc", b"blowfish-cbc"),
    (b"aes128-ctr", b"aes128-cbc", b"3des-ctr", b"3des-cbc", b"blowfish-cbc"),
    (b"hmac-md5", b"hmac-sha1", b"hmac-sha2-256", b"hmac-sha1-96"),
    (b"hmac-md5", b"hmac-sha1", b"hmac-sha2-256", b"hmac-sha1-96"),
)

names = st.lists(
    st.binary(min_size=1, max_size=30).filter(lambda name: b"," not in name), min_size=1, max_size=8
).map(tuple)


class OfferTests(SynchronousTestCase):
    """The lists, pinned: a change here changes what ssh-audit says."""

    def test_lists(self) -> None:
        """Nothing is offered but these, in this order."""
        proposal = Pod(None).factory.proposal
        self.assertEqual(
            proposal.key_exchanges,
            (
                b"mlkem768x25519-sha256",
                b"curve25519-sha256",
                b"curve25519-sha256@libssh.org",
                b"ext-info-s",
                b"kex-strict-s-v00@openssh.com",
            ),
        )
        self.assertEqual(proposal.host_keys, (b"ssh-ed25519", b"rsa-sha2-512", b"rsa-sha2-256"))
        ciphers = (
            b"aes128-gcm@openssh.com",
            b"aes256-gcm@openssh.com",
            b"chacha20-poly1305@openssh.com",
            b"aes128-ctr",
            b"aes192-ctr",
            b"aes256-ctr",
        )
        self.assertEqual((proposal.ciphers_in, proposal.ciphers_out), (ciphers, ciphers))
        macs = (b"hmac-sha2-256-etm@openssh.com", b"hmac-sha2-512-etm@openssh.com")
        self.assertEqual((proposal.macs_in, proposal.macs_out), (macs, macs))
        self.assertEqual(proposal.compressions_in, (b"none",))
        self.assertEqual(proposal.compressions_out, (b"none",))

    def test_user_keys(self) -> None:
        """SHA-1, DSA and certificates are not among what users may sign with."""
        self.assertEqual(
            set(USER_KEY_TYPES),
            {
                b"ssh-ed25519",
                b"sk-ssh-ed25519@openssh.com",
                b"ecdsa-sha2-nistp256",
                b"ecdsa-sha2-nistp384",
                b"ecdsa-sha2-nistp521",
                b"sk-ecdsa-sha2-nistp256@openssh.com",
                b"rsa-sha2-512",
                b"rsa-sha2-256",
            },
        )


class OldClientTests(SynchronousTestCase):
    """What is old is offered for each purpose on its own, where nothing better is shown."""

    types = (b"ssh-ed25519", b"ssh-rsa", b"ecdsa-sha2-nistp256")

    def offered(self, client: Proposal) -> Proposal:
        return add_old(steer(OURS, client), client, self.types)

    def test_new_clients_see_nothing_old(self) -> None:
        """OpenSSH 9.2, which lists all of it further back, and whoever waits for our list."""
        client = evolve(
            OPENSSH_92,
            key_exchanges=(*OLD_KEY_EXCHANGES, *OPENSSH_92.key_exchanges),
            macs_in=(*OLD_MACS, *MACS),
            host_keys=(*OLD_HOST_KEY_ALGORITHMS, *OPENSSH_92.host_keys),
        )
        self.assertEqual(self.offered(client), steer(OURS, client))

    def test_libssh2(self) -> None:
        """Debian 12's libssh2 (curl, PHP, Perl) gets a MAC of its own, and all else as anybody."""
        offered = self.offered(LIBSSH2_110)
        self.assertEqual(offered, evolve(OURS, macs_in=offered.macs_in, macs_out=offered.macs_out))
        agreement = negotiate(offered, LIBSSH2_110)
        self.assertEqual(agreement.key_exchange, b"curve25519-sha256")
        self.assertEqual(agreement.host_key, b"ssh-ed25519")
        self.assertEqual((agreement.mac_in, agreement.mac_out), (b"hmac-sha2-256",) * 2)

    def test_jsch(self) -> None:
        """The last original JSch gets all that it needs, and none of its SHA-1."""
        agreement = negotiate(self.offered(JSCH_0155), JSCH_0155)
        self.assertEqual(agreement.key_exchange, b"ecdh-sha2-nistp256")
        self.assertEqual(agreement.host_key, b"ecdsa-sha2-nistp256")
        self.assertEqual((agreement.cipher_in, agreement.mac_in), (b"aes128-ctr", b"hmac-sha2-256"))

    def test_an_aead_needs_no_old_mac(self) -> None:
        """A client that puts CTR first gets chacha20 instead, if it has that."""
        client = evolve(
            LIBSSH2_110, ciphers_in=(b"aes128-ctr", CHACHA), ciphers_out=(b"aes128-ctr",)
        )
        agreement = negotiate(self.offered(client), client)
        self.assertEqual((agreement.cipher_in, agreement.mac_in), (CHACHA, b""))
        # Node's ssh2 0.8 looks for a MAC in common that it won't use.
        self.assertTrue(set(OLD_MACS) < set(self.offered(client).macs_in))
        self.assertEqual(
            (agreement.cipher_out, agreement.mac_out), (b"aes128-ctr", b"hmac-sha2-256")
        )

    def test_signals_are_kept(self) -> None:
        """Strict key exchange is on offer to old clients, too."""
        client = evolve(OPENSSH_92, key_exchanges=(OLD_KEY_EXCHANGES[2], b"ext-info-c"))
        self.assertEqual(
            self.offered(client).key_exchanges,
            (*OLD_KEY_EXCHANGES, b"ext-info-s", b"kex-strict-s-v00@openssh.com"),
        )

    def test_nothing_of_sha_1(self) -> None:
        """What is too old stays outside."""
        for change in (
            {"key_exchanges": (b"diffie-hellman-group14-sha1", b"diffie-hellman-group1-sha1")},
            {"host_keys": (b"ssh-rsa", b"ssh-dss")},
            {"macs_in": (b"hmac-sha1", b"hmac-md5"), "ciphers_in": (b"aes128-ctr",)},
        ):
            client = evolve(OPENSSH_92, **change)
            self.assertRaises(NoCommonAlgorithm, negotiate, self.offered(client), client)

    @given(st.permutations(OLD_KEY_EXCHANGES), st.permutations(algorithms.KEY_EXCHANGES))
    def test_no_better_one_is_passed_over(self, old: list, new: list) -> None:
        """However a client mixes both, it never comes to an old one if it has a new one."""
        client = evolve(OPENSSH_92, key_exchanges=(*old, new[0]), macs_in=(*OLD_MACS, MACS[1]))
        agreement = negotiate(self.offered(client), client)
        self.assertEqual(agreement.key_exchange, new[0])


class NegotiationTests(SynchronousTestCase):
    """Two offers, one agreement."""

    def test_steering(self) -> None:
        """A client that prefers chacha20 and has AES-GCM gets AES-GCM, and needs no MAC."""
        agreement = negotiate(steer(OURS, OPENSSH_92), OPENSSH_92)
        self.assertEqual(agreement.cipher_in, b"aes128-gcm@openssh.com")
        self.assertEqual(agreement.cipher_out, b"aes128-gcm@openssh.com")
        self.assertEqual((agreement.mac_in, agreement.mac_out), (b"", b""))
        self.assertEqual(agreement.key_exchange, b"curve25519-sha256")

    def test_no_steering(self) -> None:
        """A client without AES-GCM, or with it one way only, gets the whole list."""
        without = evolve(OPENSSH_92, ciphers_in=(CHACHA, b"aes256-ctr"))
        self.assertIs(steer(OURS, without), OURS)
        agreement = negotiate(OURS, without)
        self.assertEqual(agreement.cipher_in, CHACHA)

    def test_mac_without_need(self) -> None:
        """A client whose MACs aren't ours is served all the same, with an AEAD."""
        client = evolve(OPENSSH_92, macs_in=(b"hmac-md5",), macs_out=(b"umac-64@openssh.com",))
        self.assertEqual(negotiate(OURS, client).mac_in, b"")

    def test_mac_with_need(self) -> None:
        """With CTR a MAC has to be shared."""
        client = evolve(OPENSSH_92, ciphers_in=(b"aes128-ctr",), macs_in=(b"hmac-sha1",))
        self.assertRaises(NoCommonAlgorithm, negotiate, OURS, client)

    def test_signals_are_not_algorithms(self) -> None:
        """What only signals an extension is never agreed upon, whoever lists it."""
        for signal in (b"ext-info-s", b"ext-info-c", b"kex-strict-s-v00@openssh.com"):
            client = evolve(OPENSSH_92, key_exchanges=(signal,))
            self.assertRaises(NoCommonAlgorithm, negotiate, OURS, client)

    def test_guess(self) -> None:
        """A guess is right only if both first choices agree (RFC 4253, 7)."""
        right = evolve(OURS, first_packet_follows=True)
        self.assertFalse(guessed_wrong(OURS, right))
        self.assertFalse(guessed_wrong(OURS, OPENSSH_92))
        self.assertTrue(guessed_wrong(OURS, evolve(OPENSSH_92, first_packet_follows=True)))
        self.assertTrue(guessed_wrong(OURS, evolve(right, host_keys=(b"rsa-sha2-256",))))

    @given(names, names, names, st.booleans())
    def test_codec(self, first: tuple, second: tuple, third: tuple, follows: bool) -> None:
        """A KEXINIT says what was encoded."""
        proposal = Proposal(
            first, second, third, first, second, third, first, second, first_packet_follows=follows
        )
        self.assertEqual(read_proposal(proposal.encode(bytes(16))), proposal)

    @given(st.binary(max_size=300))
    def test_garbage(self, payload: bytes) -> None:
        """What isn't a KEXINIT is a protocol error and nothing else."""
        with contextlib.suppress(ProtocolError):
            read_proposal(payload)

    @given(names, names, names)
    def test_client_decides(self, kex: tuple, keys: tuple, ciphers: tuple) -> None:
        """Whatever is agreed on is the client's first that the server has."""
        client = Proposal(
            (*kex, *OURS.key_exchanges), (*keys, *OURS.host_keys), (*ciphers, *CIPHERS),
            (*ciphers, *CIPHERS), MACS, MACS,
        )  # fmt: skip
        agreement = negotiate(OURS, client)
        for agreed, offered, server in (
            (agreement.key_exchange, client.key_exchanges, algorithms.KEY_EXCHANGES),
            (agreement.host_key, client.host_keys, OURS.host_keys),
            (agreement.cipher_in, client.ciphers_in, CIPHERS),
        ):
            self.assertIn(agreed, server)
            before = offered[: offered.index(agreed)]
            self.assertEqual([name for name in before if name in server], [])
