"""A pod's listener and real connectors, over loopback in one reactor."""

from datetime import timedelta
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.protocol import Factory

from tests.integration.links import HOST, SITE, LinksCase, now, until
from tunnelcloud.connector.link_keeper import DISMISSED_DELAY
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.pki.authority import CertificateAuthority, public_key_fingerprint
from tunnelcloud.pki.signing_requests import make_request


class LinksTests(LinksCase):
    async def test_joins_holds_links_and_carries_a_stream(self):
        service = self.connector(self.token())
        await self.attached()
        self.assertEqual(self.fatal, [])
        self.assertEqual(service.membership.connector_id, "con_1")
        stream = await self.open()
        await self.assert_echoes(stream, bytes(range(256)) * 4096)
        stream.channel.send_eof()
        await until(lambda: stream.eof)
        await until(lambda: stream.end is not None)
        self.assertEqual(stream.end, (True, ""))

    async def test_a_failed_dial_says_why_in_a_code(self):
        self.connector(self.token())
        await self.attached()
        spare = reactor.listenTCP(0, Factory(), interface=HOST)
        port = spare.getHost().port
        await spare.stopListening()
        self.assertEqual((await self.open(port=port)).failure, (2, "refused"))

    async def test_what_the_site_owner_denies_is_denied(self):
        self.connector(self.token(), allow=())
        await self.attached()
        self.assertEqual((await self.open()).failure, (1, "denied"))

    async def test_a_second_start_needs_no_token(self):
        directory = self.mktemp()
        token = self.token()
        first = self.connector(token, directory)
        await self.attached()
        await self.stop(first)
        for again in (None, token):
            second = self.connector(again, directory)
            await self.attached()
            self.assertEqual(second.membership.connector_id, "con_1")
            await self.stop(second)
            await self.attached(0)

    async def test_a_lost_link_comes_back_and_its_streams_end_meanwhile(self):
        self.connector(self.token())
        await self.attached()
        stream = await self.open()
        for link in self.pod.links.attached:
            link.protocol.transport.abortConnection()
        await until(lambda: stream.end is not None)
        self.assertFalse(stream.end[0])
        await self.attached()
        await self.assert_echoes(await self.open())

    async def test_a_pod_that_was_killed_is_found_again(self):
        self.connector(self.token())
        await self.attached()
        port = self.pod.address.port
        await self.pod.stop()
        again = self.start_pod(port)
        await self.attached(pod=again)

    async def test_a_connector_that_joined_before_waits_for_its_pod(self):
        token = self.token()
        port = self.pod.address.port
        await self.pod.stop()
        self.connector(token)
        again = self.start_pod(port)
        await self.attached(pod=again)
        self.assertEqual(self.fatal, [])

    async def test_channels_spread_and_survive_the_loss_of_the_other_connector(self):
        first = self.connector(self.token(1))
        self.connector(self.token(2))
        await self.attached(4)
        streams = [await self.open() for _ in range(4)]
        self.assertEqual({link.load for link in self.pod.links.attached}, {1})
        first.links.cut("killed")
        await until(lambda: sum(stream.end is not None for stream in streams) == 2)
        for stream in streams:
            if stream.end is None:
                await self.assert_echoes(stream)
        await self.assert_echoes(await self.open())

    async def test_pods_are_learnt_and_remembered(self):
        directory = self.mktemp()
        other = self.start_other_pod()
        first = self.connector(self.token(), directory)
        await self.attached(pod=other)
        third = self.start_other_pod()
        for pod in (self.pod, other):
            pod.attendant.announce_pods()
        await self.attached(pod=third)
        await until(lambda: len(ConnectorState(Path(directory)).load().pods) == 3)
        await self.stop(first)
        await self.pod.stop()
        self.connector(None, directory)
        await self.attached(pod=third)

    async def test_a_pod_that_is_gone_is_dialled_no_more(self):
        other = self.start_other_pod()
        service = self.connector(self.token())
        await self.attached(pod=other)
        self.pod.addresses.remove(other.address)
        for pod in (self.pod, other):
            pod.attendant.announce_pods()
        await until(lambda: service.links.announced == {self.pod.address})
        await other.stop()
        await until(lambda: set(service.links._keepers) == {self.pod.address})

    async def test_the_certificate_is_renewed_before_it_ends(self):
        pod = self.start_pod(lifetime=timedelta(seconds=4))
        service = self.connector(self.token(pod=pod))
        await self.attached(pod=pod)
        first = service.membership.certificate
        await until(lambda: service.membership.certificate != first)
        renewed = service.membership.certificate
        self.assertGreater(renewed.not_valid_after_utc, first.not_valid_after_utc)
        self.assertEqual(renewed.public_key(), first.public_key())
        await until(lambda: now() > first.not_valid_after_utc)
        await pod.attendant.review()
        self.assertEqual(len(pod.links.attached), 2)
        for link in pod.links.attached:
            link.protocol.transport.abortConnection()
        await self.attached(0, pod)
        await self.attached(2, pod)

    async def test_a_connector_whose_certificate_ended_while_it_was_off_comes_back(self):
        token, directory = self.token(), self.mktemp()
        state = ConnectorState(Path(directory))
        csr = make_request(state.private_key())
        ended = self.authority.sign_request(
            csr, "con_1", now() - timedelta(days=40), timedelta(days=30)
        )
        state.join(token, "con_1", ended.pem, self.authority.certificate_pem, [self.pod.address])
        key = public_key_fingerprint(csr)
        await self.registry.record_certificate("con_1", ended.serial, key, ended.not_after)
        self.connector(None, directory)
        await self.attached()
        await self.assert_echoes(await self.open())

    async def test_a_deleted_connector_is_told_and_stays_out(self):
        directory = self.mktemp()
        service = self.connector(self.token(), directory)
        await self.attached()
        stream = await self.open()
        self.registry.delete("con_1")
        await self.pod.attendant.review()
        ended, reason = stream.end
        self.assertFalse(ended)
        self.assertIn("the connector was deleted", reason)
        await self.attached(0)
        door = len(self.pod.hearer.heard)
        await self.assert_waits_for_long(service)
        await self.stop(service)
        again = self.connector(None, directory)
        await self.assert_waits_for_long(again)
        self.assertEqual(len(self.pod.hearer.heard), door)

    async def assert_waits_for_long(self, service):
        def waiting():
            return [
                keeper._waiting
                for keepers in service.links._keepers.values()
                for keeper in keepers
                if keeper._waiting is not None
            ]

        await until(lambda: len(waiting()) == 2)
        for call in waiting():
            self.assertGreater(call.getTime() - reactor.seconds(), DISMISSED_DELAY / 3)

    async def test_stopping_lets_streams_end(self):
        service = self.connector(self.token())
        await self.attached()
        stream = await self.open()
        stopping = service.stopService()
        await until(lambda: self.pod.links.pick(SITE) is None)
        await self.assert_echoes(stream)
        self.assertNoResult(stopping)
        stream.channel.send_eof()
        await stopping
        await until(lambda: stream.end is not None)
        self.assertEqual(stream.end, (True, ""))

    async def test_stopping_cuts_streams_that_do_not_end(self):
        service = self.connector(self.token(), drain_timeout=0.2)
        await self.attached()
        stream = await self.open()
        await service.stopService()
        await until(lambda: stream.end is not None)
        self.assertFalse(stream.end[0])

    async def test_a_pod_that_drains_gets_no_streams_and_keeps_the_old(self):
        self.connector(self.token())
        await self.attached()
        stream = await self.open()
        self.pod.links.drain()
        self.assertIsNone(self.pod.links.pick(SITE))
        await self.assert_echoes(stream)

    async def test_what_can_not_join_says_so_and_changes_nothing(self):
        other = CertificateAuthority.create(now())
        used, expired = self.token(1), self.token(2)
        self.registry.redeem_join_token(used.secret_hash, "somebody else's key")
        self.registry.create_join_token("con_2", expired.secret, timedelta(0))
        for token, line in (
            (used, "has been used"),
            (expired, "has expired"),
            (JoinToken(self.pod.address, self.pod.authority.pin, bytes(20)), "doesn't know"),
            (JoinToken(self.pod.address, other.pin, used.secret), "is for another pod"),
        ):
            directory = self.mktemp()
            service = self.connector(token, directory)
            await until(lambda: self.fatal)
            self.assertIn(line, self.fatal.pop())
            self.assertIsNone(ConnectorState(Path(directory)).load())
            await self.stop(service)

    async def test_a_pod_of_another_ca_gets_no_link(self):
        service = self.connector(self.token())
        await self.attached()
        port = self.pod.address.port
        await self.pod.stop()
        impostor = self.start_pod(port, authority=CertificateAuthority.create(now()))
        visits = []
        factory = impostor.port.factory
        build_protocol = factory.buildProtocol
        factory.buildProtocol = lambda address: visits.append(address) or build_protocol(address)
        await until(lambda: len(visits) >= 4)
        self.assertEqual(impostor.hearer.heard, [])
        self.assertEqual(service.links.links, ())
