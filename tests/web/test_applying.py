"""Documents over the API: planned while others write, and then done at once or not at all."""

import json

from tests.web.support import ApiTestCase
from tests.web.test_answering import Client, SlowDatabase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import document_planning, sites
from tunnelcloud.web.answering import REQUEST_SECONDS
from tunnelcloud.web.limited_request import LimitedRequest
from tunnelcloud.web.resources.documents import SECONDS
from tunnelcloud.web.sizes import MAX_BODY, MAX_FORM

DOCUMENT = {"sites": {"paris": {"title": "Paris"}}, "users": {"alice": {}, "bob": {}}}


class ApplyTests(SlowDatabase, Client, ApiTestCase):
    def slow_plan(self):
        apply = document_planning.apply

        def slow(*args):
            self.wait()
            return apply(*args)

        self.patch(document_planning, "apply", slow)

    def names(self):
        return [site["name"] for site in self.api("GET", "/sites")["items"]]

    def test_others_write_while_it_is_planned(self):
        self.slow_plan()
        self.begin("POST", "/apply", json.dumps(DOCUMENT).encode())
        self.pump_until(self.begun)
        self.store.write(sites.create, name="rome")
        self.go.set()
        # The plan was outdated, and made anew.
        self.assertEqual(self.answer().status, 200)
        self.assertEqual(self.names(), ["rome", "paris"])

    def test_it_may_take_longer_than_others(self):
        self.slow_plan()
        self.begin("POST", "/apply", json.dumps(DOCUMENT).encode())
        self.time_is_up()
        self.clock.advance(SECONDS - REQUEST_SECONDS - 1)
        self.assertEqual(self.transport.value(), b"")
        self.clock.advance(1)
        answer = self.answer()
        self.assertEqual(answer.status, 503)
        self.assertIn("nothing was changed", answer.json["detail"])
        self.go.set()
        self.assertEqual(self.names(), [])

    def test_a_misspelled_field_is_told_with_what_may_be_meant(self):
        no = "there is no such field"
        for document, told in (
            ({"site": {}}, f"site: {no}: did you mean sites?"),
            (
                {"groups": {"dba": {"member": []}}},
                f"groups.dba.member: {no}: did you mean members?",
            ),
            ({"groups": {"dba": {"x": 1}}}, f"groups.dba.x: {no}; allowed here: title, members"),
            ({f"site{number}": {} for number in range(9)}, "; and 6 more"),
        ):
            detail = self.ask("POST", "/api/v1/apply", document).json["detail"]
            self.assertTrue(detail.endswith(told), detail)

    def test_where_others_never_stop_they_wait(self):
        done = []

        def outdated(*_):
            done.append(1)
            raise document_planning.Outdated

        self.patch(document_planning, "carry_out", outdated)
        self.assertEqual(self.ask("POST", "/api/v1/apply", DOCUMENT).status, 200)
        self.assertEqual((self.names(), len(done)), (["paris"], 3))

    def test_a_dry_run_writes_nothing(self):
        commits = []
        self.store.listen(commits.append)
        before = len(commits)
        answer = self.api("POST", "/apply?dry_run=true", DOCUMENT)
        self.assertEqual(len(answer["steps"]), 3)
        self.assertEqual((self.names(), len(commits)), ([], before))

    def test_a_file_that_says_nothing_of_blocks_lifts_none(self):
        user = self.make_user("alice")
        self.api("PATCH", f"/users/{user['id']}", {"blocked": True})
        whole = self.api("GET", "/export")
        self.assertIs(whole["users"]["alice"]["blocked"], True)
        self.assertNotIn("blocked", whole["users"]["the-admin"])
        self.api("POST", "/apply", {"users": {"alice": {"title": "Alice"}}})
        self.assertIs(self.api("GET", f"/users/{user['id']}")["blocked"], True)
        self.assertEqual(self.api("POST", "/apply?dry_run=true", whole)["steps"][0]["path"],
                         "users.alice")  # fmt: skip

    def test_the_last_administrator_stays(self):
        for wanted in ({"role": "user"}, {"role": "admin", "blocked": True}):
            answer = self.ask("POST", "/api/v1/apply", {"users": {"the-admin": wanted}})
            self.assertEqual(answer.status, 409)
            self.assertIn("this is the last administrator", answer.json["detail"])
        self.assertEqual(self.api("GET", "/users?role=admin&blocked=false")["items"][0]["name"],
                         "the-admin")  # fmt: skip


class LongDocumentTests(ApiTestCase):
    """Whoever may not apply a document sends the pod only the beginning of a long one."""

    def received(self, channel, data):
        """Send in pieces, and wait where the pod reads no more."""
        for start in range(0, len(data), 65536):
            while channel.transport.producerState == "paused":
                self.reactor.run_one()
            channel.dataReceived(data[start : start + 65536])
            self.clock.advance(0)

    def test_by_whom_it_is_read(self):
        kept, discard = [], LimitedRequest._discard

        def discards(request):
            kept.append(len(request.content.getvalue()))
            discard(request)

        self.patch(LimitedRequest, "_discard", discards)
        self.secrets["nobody"] = "tca_wrong"
        body = b'{"groups": {"dba": {}}}'.ljust(MAX_BODY)
        for role, status in (("nobody", 401), (Role.USER, 403), (Role.ADMIN, 200)):
            self.assertEqual(self.ask("POST", "/api/v1/apply", body, role).status, status, role)
        self.assertLess(max(kept), MAX_FORM + 2 * 65536)
