"""One pod orders, all pods show it; it is renewed in time; a refusal is told and tried again."""

from datetime import UTC, datetime, timedelta

from attrs import frozen
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.defer import Deferred, succeed

from tests.pod.certificates import make_certificate
from tests.store.databases import SQLiteCase
from tests.store.material import MovingClock
from tunnelcloud.pki.sealing import passing_sealer
from tunnelcloud.pod.acme import ordering
from tunnelcloud.pod.acme.challenges import Answers
from tunnelcloud.pod.acme.keeper import FIRST_PAUSE, LEASE_SECONDS, LONGEST_CHAIN, CertificateKeeper
from tunnelcloud.pod.acme.ordering import Issued, OrderFailed
from tunnelcloud.pod.web_certificate import ShownCertificate
from tunnelcloud.settings.web import AcmeSettings
from tunnelcloud.store import audit, web_certificates

DAY = timedelta(days=1)
SETTINGS = AcmeSettings(directory="https://ca.example.com/dir")


@frozen
class StoreAtOnce:
    """A store for the reactor's thread whose answers are there at once."""

    store: object

    def read(self, function, *args, **kwargs):
        return succeed(self.store.read(function, *args, **kwargs))

    def write(self, function, *args, **kwargs):
        return succeed(self.store.write(function, *args, **kwargs))


class ReactorAtOnce:
    """A reactor that other threads don't wait for."""

    def callFromThread(self, function, *args):
        function(*args)

    def callLater(self, *_):
        raise AssertionError("nobody is asked")


class KeeperTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.sealer = passing_sealer()
        self.now = datetime.now(UTC)
        self.orders = []
        self.outcome = None
        self.issued_for, self.age, self.chain = "", 30 * DAY, b""
        self.more = b""
        self.threads = []
        self.patch(ordering, "order", self.order)
        self.pod = self.make("pod_1")

    def make(self, pod_id, settings=SETTINGS, names=("pod.example.com",), sealer=None):
        return CertificateKeeper(
            settings=settings,
            names=names,
            pod_id=pod_id,
            store=StoreAtOnce(self.store),
            sealer=sealer or self.sealer,
            shown=ShownCertificate(),
            answers=Answers(),
            reactor=ReactorAtOnce(),
            now=lambda: self.now,
            is_shared=False,
            start=self.threads.append,
        )

    def order(self, settings, names, account, notebook, ask):
        """Stand for an order at an authority."""
        self.orders.append((list(names), account))
        if account is None:
            notebook.keep_account(b"account")
        notebook.publish({names[0]: "answer"})
        if self.outcome is not None:
            raise self.outcome
        name = self.issued_for or names[0]
        certificate, key = make_certificate(name, self.now + 60 * DAY, self.now - self.age)
        return Issued(
            (self.chain or certificate.public_bytes(Encoding.PEM)) + self.more,
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def look(self, pod):
        self.successResultOf(Deferred.fromCoroutine(pod.look()))

    def run_threads(self):
        for _ in range(5):
            if self.threads:
                self.threads.pop()()
        self.assertEqual(self.threads, [])

    def test_an_order_and_what_all_pods_show(self):
        self.assertIsNone(self.pod.shown.ends_at)
        self.look(self.pod)
        self.run_threads()
        other = self.make("pod_2")
        for pod in (self.pod, other):
            self.look(pod)
            self.assertEqual((pod.shown.ends_at - self.now).days, 59)
            self.assertFalse(pod.answers)
        self.assertEqual(self.orders, [(["pod.example.com"], None)])
        self.assertEqual(self.threads, [])

    def test_one_pod_at_a_time_and_every_pod_answers(self):
        other = self.make("pod_2")
        self.look(self.pod)
        self.look(other)
        self.assertEqual(len(self.threads), 1)
        sealed = self.sealer.seal_for_all(b'{"token": "answer"}', "acme answers")
        holder = self.store.read(
            lambda transaction: transaction.connection.exec_driver_sql(
                "SELECT leased_by FROM web_certificates"
            ).scalar()
        )
        self.store.write(web_certificates.publish, holder, sealed)
        self.look(other)
        self.assertEqual(other.answers.of("token"), "answer")

    def test_a_pod_that_died_while_it_ordered(self):
        self.look(self.pod)
        self.threads.clear()
        other = self.make("pod_2")
        self.look(other)
        self.assertEqual(self.threads, [])
        self.look(self.make("pod_1"))  # started again
        self.assertEqual(len(self.threads), 1)
        self.threads.clear()
        self.clock.advance(LEASE_SECONDS + 1)
        self.look(other)
        self.assertEqual(len(self.threads), 1)

    def test_looks_at_the_same_time_begin_one_order(self):
        held = []

        class SlowStore(StoreAtOnce):
            def read(self, function, *args):
                found = self.store.read(function, *args)
                answer = Deferred()
                held.append(lambda: answer.callback(found))
                return answer

        self.pod.store = SlowStore(self.store)
        looks = [Deferred.fromCoroutine(self.pod.look()) for _ in range(2)]
        held.pop(0)()
        held.pop(0)()
        self.assertEqual(len(self.threads), 1)
        looks.append(Deferred.fromCoroutine(self.pod.look()))  # reads before the order is over
        self.run_threads()
        while held:
            held.pop(0)()
        for look in looks:
            self.successResultOf(look)
        self.assertEqual((len(self.orders), self.threads), (1, []))
        self.assertIsNotNone(self.pod.shown.ends_at)

    def test_a_renewal_after_two_thirds(self):
        self.look(self.pod)
        self.run_threads()
        self.now += 29 * DAY
        self.look(self.pod)
        self.assertEqual(self.threads, [])
        self.now += 2 * DAY
        self.look(self.pod)
        self.run_threads()
        self.look(self.pod)
        self.assertEqual(self.orders[1], (["pod.example.com"], b"account"))
        self.assertEqual((self.pod.shown.ends_at - self.now).days, 59)

    def test_other_names_and_another_authority_need_another_certificate(self):
        self.look(self.pod)
        self.run_threads()
        for pod in (
            self.make("pod_1", names=("other.example.com",)),
            self.make("pod_1", AcmeSettings(directory="https://other.example.com/dir")),
        ):
            self.look(pod)
            self.assertEqual(len(self.threads), 1)
            self.threads.clear()

    def test_pods_with_other_settings_do_not_order_in_turn(self):
        other = self.make("pod_2", names=("other.example.com",))
        self.look(other)
        self.run_threads()
        self.look(self.pod)
        self.run_threads()
        for _ in range(3):
            for pod in (other, self.pod):
                self.look(pod)
                self.run_threads()
        self.assertEqual(len(self.orders), 2)
        self.assertEqual((self.pod.state().fault, self.pod.outline()), ("", None))
        self.assertIn("is for pod.example.com by", other.state().fault)
        self.assertIn("give all pods the same", other.state().fault)

    def test_a_certificate_that_is_not_what_was_ordered_is_not_kept(self):
        for self.issued_for, self.age in (("x.example.com", 30 * DAY), ("", 200 * DAY)):
            self.look(self.pod)
            self.run_threads()
            self.look(self.pod)
            self.assertEqual(self.threads, [])
            self.assertIn("check this machine's clock and web.acme.names", self.pod.state().fault)
            self.assertIsNone(self.pod.shown.ends_at)
            self.clock.advance(6 * 3600 + 1)

    def test_what_cannot_be_used_is_not_kept(self):
        other, _ = make_certificate("pod.example.com")
        for self.chain in (
            b"nothing",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            other.public_bytes(Encoding.PEM),  # of another key
        ):
            self.look(self.pod)
            self.run_threads()
            self.look(self.pod)
            self.assertIn("what the authority issued can't be used", self.pod.state().fault)
            self.assertIsNone(self.pod.shown.ends_at)
            self.clock.advance(6 * 3600 + 1)

    def test_a_chain_that_no_browser_reads_is_not_kept(self):
        above, _ = make_certificate("ca.example.com")
        pem = above.public_bytes(Encoding.PEM)
        self.more = pem * (LONGEST_CHAIN // len(pem))
        self.look(self.pod)
        self.run_threads()
        self.look(self.pod)
        self.assertIn("its chain is longer than", self.pod.state().fault)
        self.assertIsNone(self.pod.shown.ends_at)
        self.clock.advance(6 * 3600 + 1)
        self.more = pem * 8
        self.look(self.pod)
        self.run_threads()
        self.look(self.pod)
        self.assertIsNotNone(self.pod.shown.ends_at)

    def test_a_refusal_is_told_and_tried_again_ever_less_often(self):
        self.outcome = OrderFailed("the authority refused: no\nway\x1b")
        pauses = []
        for _ in range(6):
            waited = 0
            self.look(self.pod)
            while not self.threads:
                self.clock.advance(FIRST_PAUSE / 2)
                waited += FIRST_PAUSE / 2
                self.look(self.pod)
            pauses.append(waited)
            self.run_threads()
        self.assertEqual(pauses, [0, 60, 240, 960, 3840, 15360])
        self.look(self.pod)
        line = "the authority refused: no way\\x1b"
        self.assertEqual((self.pod.failures, self.pod.state().fault), (6, line))
        self.assertIn("is in trouble", self.pod.outline())
        for secret in ("refused", "pod.example.com"):
            self.assertNotIn(secret, self.pod.outline(), "anybody reads it")
        events = self.store.read(audit.list_page, event="web_certificate.refused").items
        self.assertEqual(len(events), 1)
        self.outcome = None
        self.clock.advance(6 * 3600 + 1)
        self.look(self.pod)
        self.run_threads()
        self.look(self.pod)
        self.assertEqual((self.pod.state().fault, self.pod.outline()), ("", None))
        self.assertEqual(self.pod.failures, 0)

    def test_an_authority_that_wants_to_be_left_alone(self):
        self.outcome = OrderFailed("too many", 3600)
        self.look(self.pod)
        self.run_threads()
        self.clock.advance(3599)
        self.look(self.pod)
        self.assertEqual(self.threads, [])
        self.clock.advance(2)
        self.look(self.pod)
        self.assertEqual(len(self.threads), 1)

    def test_a_fault_of_the_program_is_a_refusal_too(self):
        self.outcome = ZeroDivisionError("x")
        self.look(self.pod)
        self.run_threads()
        self.look(self.pod)
        self.assertIn("ZeroDivisionError: x", self.pod.state().fault)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_another_sealing_key(self):
        self.look(self.pod)
        self.run_threads()
        other = self.make("pod_2", sealer=passing_sealer())
        self.look(other)
        self.assertIn("sealing.key", other.state().fault)
        self.assertEqual(self.threads, [])

    def test_secrets_are_sealed_in_the_store(self):
        self.look(self.pod)
        self.run_threads()
        kept = self.store.read(web_certificates.load)
        for secret in (kept.account, kept.content):
            self.assertNotIn(b"account", secret)
            self.assertNotIn(b"PRIVATE", secret)
