"""Two connections with a splice between: a client's, and one towards the target."""

import struct

from twisted.trial.unittest import SynchronousTestCase

from tests.channels.chains import Chain
from tunnelcloud.channels.messages import (
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_CONNECT_FAILED,
    ChannelRequest,
    ChannelSuccess,
    decode,
)
from tunnelcloud.channels.splice import (
    END_REASON_REQUEST,
    NO_MORE_REQUEST,
    NOT_READING,
    TAKEN_REQUEST,
)

KIB = 1024


class SpliceTests(SynchronousTestCase):
    def test_bytes_and_both_ends_pass(self) -> None:
        chain = Chain()
        client, target = chain.join()
        client.eager = target.eager = True
        client.write(300 * KIB)
        target.write(200 * KIB)
        chain.settle()
        client.send_eof()
        chain.settle()
        self.assertTrue(target.eof_seen)
        target.write(5)
        target.send_eof()
        target.channel.close()
        chain.settle()
        self.assertEqual((target.received, client.received), (300 * KIB, 200 * KIB + 5))
        self.assertTrue(client.eof_seen)
        self.assertEqual((client.end, target.end), ((True, ""), (True, "")))
        splice = chain.router.splices[0]
        self.assertEqual((splice.bytes_to_far, splice.bytes_to_near), (300 * KIB, 200 * KIB + 5))
        self.assertEqual(chain.router.ends, [(True, "")])
        self.assertEqual(chain.pod_credit, 0)

    def test_client_may_close_before_the_target_read_all(self) -> None:
        chain = Chain()
        client, target = chain.join()
        client.write(150 * KIB)
        client.send_eof()
        target.send_eof()
        chain.settle()
        target.eager = True
        target.consume(64 * KIB)
        chain.settle()
        client.channel.close()
        chain.settle()
        target.channel.close()
        chain.settle()
        self.assertEqual(target.received, 150 * KIB)
        self.assertEqual((client.end, target.end), ((True, ""), (True, "")))
        self.assertEqual(chain.pod_credit, 0)

    def test_slow_target_holds_the_client(self) -> None:
        chain = Chain()
        client, target = chain.join()
        client.write(1024 * KIB)
        chain.settle()
        self.assertEqual(target.received, 64 * KIB)
        near = chain.near.b.channels[0].window
        assert near is not None
        self.assertEqual(chain.router.splices[0].bytes_to_far, target.received + near.held)
        self.assertEqual((near.granted, near.held), (0, near.size))
        self.assertLessEqual(near.size, 128 * KIB)
        target.eager = True
        target.consume(64 * KIB)
        chain.settle()
        self.assertEqual(target.received, 1024 * KIB)

    def test_unsent_bytes_earn_no_credit(self) -> None:
        chain = Chain()
        client, target = chain.join()
        chain.far.a.pause_sending()
        client.write(100 * KIB)
        while chain.near.wires[0].deliver() or chain.near.wires[1].deliver():
            pass
        self.assertEqual(chain.router.splices[0].bytes_to_far, 64 * KIB)
        self.assertEqual(client.drained_bytes, 64 * KIB)
        chain.far.a.resume_sending()
        target.eager = True
        chain.settle()
        self.assertEqual(target.received, 100 * KIB)

    def test_a_targets_abnormal_end_passes(self) -> None:
        chain = Chain()
        client, target = chain.join()
        client.write(1000 * KIB)
        target.write(1000 * KIB)
        chain.settle()
        target.channel.close("reset")
        chain.settle()
        client.consume(64 * KIB)
        chain.settle()
        self.assertFalse(client.eof_seen or target.eof_seen)
        self.assertEqual(chain.router.ends, [(False, "connector: closed by the peer")])
        self.assertEqual(chain.pod_credit, 0)

    def test_what_a_client_wrote_before_it_closed_arrives(self) -> None:
        """With EOF and without, towards a target that reads later than the client leaves."""
        for with_eof in (True, False):
            chain = Chain()
            client, target = chain.join()
            client.write(100 * KIB)
            target.write(1000 * KIB)
            if with_eof:
                client.send_eof()
            chain.settle()
            sent = client.close()
            chain.settle()
            self.assertEqual((target.received, target.eof_seen), (64 * KIB, False))
            self.assertEqual(chain.router.ends, [])
            target.eager = True
            target.consume(64 * KIB)
            chain.settle()
            self.assertEqual((target.received, target.eof_seen), (sent, True))
            self.assertEqual(target.requests, [(NO_MORE_REQUEST, bytes([0, 0, 0, 60]))])
            self.assertEqual((len(chain.router.left), chain.router.ends), (1, []))
            self.assertEqual(target.drained_bytes, 1000 * KIB, "nothing waits for nobody")
            target.write(3000 * KIB)
            chain.settle()
            self.assertEqual(target.drained_bytes, 4000 * KIB)
            target.channel.send_request(TAKEN_REQUEST, struct.pack(">Q", sent))
            target.send_eof()
            target.channel.close()
            chain.settle()
            self.assertEqual(target.end, (True, ""))
            self.assertEqual(chain.router.ends, [(True, "")])
            self.assertEqual(chain.router.splices[0].bytes_taken, sent)
            self.assertEqual(chain.pod_credit, 0)

    def test_what_a_client_wrote_before_it_took_its_leave_arrives(self) -> None:
        chain = Chain()
        client, target = chain.join()
        client.write(100 * KIB)
        chain.settle()
        sent = 64 * KIB + chain.near.b.channels[0].window.held
        chain.near.b.connection_lost("good-bye", in_order=True)
        chain.near.b.connection_lost("gone")
        target.eager = True
        target.consume(64 * KIB)
        chain.settle()
        self.assertEqual((target.received, target.eof_seen), (sent, True))
        target.send_eof()
        target.channel.close()
        chain.settle()
        self.assertEqual(chain.router.ends, [(True, "")])
        self.assertEqual(chain.pod_credit, 0)

    def test_a_client_that_left_is_cut_off_by_the_owner_only(self) -> None:
        chain = Chain()
        client, target = chain.join()
        client.write(100 * KIB)
        chain.settle()
        client.close()
        chain.settle()
        chain.near.lose("the session ended")
        chain.settle()
        self.assertIsNone(target.end)
        chain.router.splices[0].end("assignment removed")
        chain.settle()
        self.assertEqual(target.end, (False, "closed by the peer"))
        self.assertEqual(chain.router.ends, [(False, "assignment removed")])
        self.assertEqual(chain.pod_credit, 0)

    def test_a_target_given_up_is_told_apart(self) -> None:
        chain = Chain()
        client, target = chain.join()
        client.write(1000)
        client.close()
        chain.settle()
        target.channel.send_request(TAKEN_REQUEST, struct.pack(">Q", 10))
        target.channel.send_request(TAKEN_REQUEST, b"no number")
        target.channel.send_request(END_REASON_REQUEST, NOT_READING)
        target.close()
        chain.settle()
        self.assertEqual(chain.router.ends, [(False, "target: not reading, given up")])
        self.assertEqual(chain.router.splices[0].bytes_taken, 10)

    def test_a_connector_is_not_believed_to_have_delivered_more_than_it_got(self) -> None:
        chain = Chain()
        client, target = chain.join()
        client.write(1000)
        chain.settle()
        target.channel.send_request(TAKEN_REQUEST, struct.pack(">Q", 2**63))
        chain.settle()
        self.assertEqual(chain.router.splices[0].progress, 1000)

    def test_end_reason_of_the_target_is_kept(self) -> None:
        for code, reason in (
            (b"reset", "target: reset"),
            (b"Not a code\n", "connector: closed by the peer"),
        ):
            chain = Chain()
            client, target = chain.join()
            target.channel.send_request(END_REASON_REQUEST, code)
            target.channel.close("reset")
            chain.settle()
            self.assertEqual(chain.router.ends, [(False, reason)])
            self.assertEqual(client.end, (False, "closed by the peer"))

    def test_lost_connections_end_the_other_side(self) -> None:
        chain = Chain()
        client, target = chain.join()
        chain.far.lose("link lost")
        chain.settle()
        self.assertEqual(client.end, (False, "closed by the peer"))
        self.assertEqual(chain.router.ends, [(False, "connector: link lost")])
        chain = Chain()
        client, target = chain.join()
        chain.near.lose("session lost")
        chain.settle()
        self.assertEqual(target.end, (False, "closed by the peer"))
        self.assertEqual(chain.router.ends, [(False, "client: session lost")])

    def test_owner_cuts_off(self) -> None:
        chain = Chain()
        client, target = chain.join()
        chain.router.splices[0].end("assignment removed")
        chain.router.splices[0].end("twice")
        chain.settle()
        self.assertEqual(client.end, (False, "closed by the peer"))
        self.assertEqual(target.end, (False, "closed by the peer"))
        self.assertEqual(chain.router.ends, [(False, "assignment removed")])

    def test_channel_requests_fail(self) -> None:
        chain = Chain()
        chain.join()
        near = chain.router.splices[0].near
        request = ChannelRequest(near.number, b"winadj@putty.projects.tartarus.org", True)
        chain.near.b.message_received(request.encode())
        answer = decode(chain.near.wires[1].messages[-1])
        self.assertNotIsInstance(answer, ChannelSuccess)
        self.assertEqual(type(answer).__name__, "ChannelFailure")


class PendingTests(SynchronousTestCase):
    def test_refusal_can_be_tried_elsewhere(self) -> None:
        chain = Chain(spares=1)
        client = chain.ask()
        chain.far.users[1].asked[-1][0].refuse(OPEN_CONNECT_FAILED, "refused")
        chain.settle()
        self.assertEqual(len(chain.far.users[1].asked), 2)
        self.assertIsNone(client.failure)
        chain.answer()
        self.assertTrue(client.is_open)

    def test_refusal_reaches_the_client_in_the_owners_words(self) -> None:
        chain = Chain()
        client = chain.ask()
        far = chain.far.users[1].asked[-1][0]
        far.refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, "a connector's word")
        chain.settle()
        self.assertEqual(client.failure, (OPEN_CONNECT_FAILED, "connect to 10.0.0.5: refused"))
        self.assertEqual(chain.router.ends, [])
        self.assertEqual(chain.pod_credit, 0)

    def test_link_without_room_refuses_at_once(self) -> None:
        chain = Chain(max_channels=0, spares=2)
        client = chain.ask()
        self.assertEqual(len(chain.router.refusals), 3)
        self.assertIsNotNone(client.failure)

    def test_client_that_leaves_gives_the_open_up(self) -> None:
        chain = Chain()
        chain.ask()
        chain.near.lose("session lost")
        self.assertEqual(chain.router.ends, [(False, "client: session lost")])
        self.assertEqual(chain.far.a.channel_count, 1)
        target = chain.answer()
        self.assertEqual(target.end, (False, "closed by the peer"))
        self.assertEqual(chain.far.a.channel_count, 0)
        self.assertEqual(chain.pod_credit, 0)

    def test_open_that_takes_too_long(self) -> None:
        chain = Chain()
        client = chain.ask()
        chain.router.splices[0].give_up(OPEN_CONNECT_FAILED, "no answer")
        chain.settle()
        self.assertEqual(chain.router.refusals, [(OPEN_CONNECT_FAILED, "no answer")])
        self.assertIsNotNone(client.failure)
        chain.router.splices[0].give_up(OPEN_CONNECT_FAILED, "again")
        self.assertEqual(len(chain.router.refusals), 1)
        target = chain.answer()
        self.assertEqual(target.end, (False, "closed by the peer"))
        self.assertEqual(chain.pod_credit, 0)

    def test_owner_cuts_off_while_pending(self) -> None:
        chain = Chain()
        client = chain.ask()
        chain.router.splices[0].end("session ended")
        chain.settle()
        self.assertEqual(client.failure, (OPEN_CONNECT_FAILED, "session ended"))
        self.assertEqual(chain.router.ends, [(False, "session ended")])
