"""What strangers can make the pod write, and whom they can make it ask."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.web.portal.browser import Browser
from tests.web.portal.provider_case import CALLBACK, ProviderCase
from tunnelcloud.net.fetching import FetchFailed
from tunnelcloud.store.refusals import EACH_OF_A_SOURCE, SECONDS
from tunnelcloud.web.oidc.directory import Directory
from tunnelcloud.web.oidc.faults import ProviderFault
from tunnelcloud.web.oidc.provider_requests import Once


class RefusalTests(ProviderCase):
    def come(self, count):
        for _ in range(count):
            self.assertEqual(Browser(self).get_status(f"{CALLBACK}?state=x"), 403)

    def test_anonymous_refusals_are_summed_up(self):
        self.make_provider()
        self.come(EACH_OF_A_SOURCE + 30)
        self.assertEqual(len(self.events("web_login.refused")), EACH_OF_A_SOURCE)
        self.clock.advance(SECONDS)
        self.reactor.run_one()
        events = self.events("web_login.refused")
        self.assertEqual(len(events), EACH_OF_A_SOURCE + 1)
        (summed,) = [event for event in events if "count" in event.data]
        self.assertEqual(summed.data["count"], 30)
        self.assertEqual(summed.source_ip, "192.168.1.1")
        self.come(1)
        self.assertEqual(len(self.events("web_login.refused")), EACH_OF_A_SOURCE + 2)

    def test_a_silent_provider_is_asked_once(self):
        silence, asked = Deferred(), []

        async def fetch(method, address, *_):
            asked.append(address)
            return await silence

        directory = Directory(fetch, self.clock.seconds)
        waiting = [
            Deferred.fromCoroutine(directory.metadata("https://idp.example.com"))
            for _ in range(300)
        ]
        self.assertEqual(len(asked), 1)
        silence.errback(FetchFailed("no answer within 10 s"))
        for one in waiting:
            self.failureResultOf(one, ProviderFault)
        again = Deferred.fromCoroutine(directory.metadata("https://idp.example.com"))
        self.failureResultOf(again, ProviderFault)
        self.assertEqual(len(asked), 1)


class OnceTests(SynchronousTestCase):
    def setUp(self):
        self.once = Once()
        self.answer = Deferred()
        self.asked = 0

    async def ask(self):
        self.asked += 1
        return await self.answer

    def get(self):
        return Deferred.fromCoroutine(self.once.get("issuer", self.ask))

    def test_all_who_wait_get_one_answer(self):
        waiting = [self.get() for _ in range(300)]
        self.assertEqual(self.asked, 1)
        self.answer.callback("metadata")
        self.assertEqual([self.successResultOf(one) for one in waiting], ["metadata"] * 300)

    def test_all_who_wait_get_one_fault(self):
        waiting = [self.get() for _ in range(3)]
        self.answer.errback(FetchFailed("silent"))
        for one in waiting:
            self.failureResultOf(one, FetchFailed)
        self.assertEqual(self.asked, 1)

    def test_who_leaves_ends_nothing_for_the_others(self):
        first, second = self.get(), self.get()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.answer.callback("metadata")
        self.assertEqual(self.successResultOf(second), "metadata")

    def test_the_next_time_is_another_question(self):
        self.answer.callback(1)
        self.assertEqual([self.successResultOf(self.get()) for _ in range(2)], [1, 1])
        self.assertEqual(self.asked, 2)
