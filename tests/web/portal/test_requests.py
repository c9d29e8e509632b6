"""Requests in the portal: what waits, one question, and two buttons."""

import os
import re
from datetime import timedelta

from attrs import evolve
from sqlalchemy import update

from tests.web.portal.browser import Browser, Forms, PortalTestCase
from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.domain.totp import new_recovery_codes, read_recovery_code
from tunnelcloud.store import (
    approvals,
    assignments,
    groups,
    identities,
    policies,
    second_factors,
    sites,
    timed_grants,
    tunnels,
    users,
    web_sessions,
)
from tunnelcloud.store.schema import approval_requests
from tunnelcloud.web.portal.second_factor import purpose

CANARY = "<b>&\u202e"
SHOWN = "&lt;b&gt;&amp;\\u202e"


class RequestCase(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.user, self.approver = self.people[Role.USER], self.people[Role.AUDITOR]
        self.bosses = self.store.write(groups.create, name="bosses")
        self.store.write(groups.add_member, self.bosses.id, self.approver.id)
        site = self.store.write(sites.create, name="paris")
        self.tunnel = self.store.write(
            tunnels.create,
            name="db",
            site_id=site.id,
            target_address="10.0.0.5",
            target_ports=(PortRange(5432, 5432),),
        )

    def assigned(self, approval=Approval.OTHERS, **more):
        policy = self.store.write(
            policies.create, name="ask", approval=approval, approvers_id=self.bosses.id, **more
        )
        self.store.write(
            assignments.create,
            tunnel_id=self.tunnel.id,
            user_id=self.user.id,
            methods={Method.KEY},
            policy_id=policy.id,
        )
        return policy

    def asked(self, approval=Approval.OTHERS, reason=CANARY, **more):
        return self.store.write(
            approvals.ask,
            self.user,
            self.tunnel,
            self.assigned(approval, **more),
            source_ip="192.0.2.1",
            client=CANARY,
            reason=reason,
        )

    def page(self, browser, path):
        return browser.get(path).body.decode()


class RequestPagesTests(RequestCase):
    def test_seen_by_whoever_may_approve_and_approved(self):
        request = self.asked()
        browser = self.signed_in(Role.AUDITOR)
        page = self.page(browser, "/requests")
        self.assertIn("(1) Requests", page)
        path = f"/requests/{request.id}"
        self.assertIn(f'href="{path}"', page)
        question = self.page(browser, path)
        self.assertIn(f"May {self.user.name} open db?", question)
        self.assertEqual(question.count(SHOWN), 2, "client and reason")
        self.assertNotIn(CANARY, question)
        answer = browser.send(path, {"decision": "approve", "answer": "go on"})
        self.assertEqual(answer.headers["location"], "/requests")
        [grant] = self.store.read(timed_grants.list_page).items
        self.assertEqual(grant.allowed_by, self.approver.name)
        self.assertNotIn("Approve</button>", self.page(browser, path))

    def test_it_is_looked_at_again_when_something_ends(self):
        """It was looked at each second for each of its users, though notices tell of changes."""
        browser = self.signed_in(Role.AUDITOR)

        def fresh():
            page = self.page(browser, "/requests")
            return int(re.findall(r'id="requests" data-fresh="(\d+)"', page)[0])

        def end_soon(transaction):
            soon = transaction.now() + timedelta(seconds=4)
            transaction.connection.execute(update(approval_requests).values(expires_at=soon))

        self.assertEqual(fresh(), 15)
        self.asked()
        self.assertEqual(fresh(), 15)
        self.store.write(end_soon)
        self.assertLessEqual(fresh(), 4)

    def test_every_page_says_that_something_waits(self):
        words = '1<span class="live"> waiting for you</span>'
        browser, asker = self.signed_in(Role.AUDITOR), self.signed_in(Role.USER)
        self.assertNotIn(words, self.page(browser, "/keys"))
        request = self.asked()
        for path in ("/keys", "/account", "/admin/tunnels", "/requests/waiting"):
            self.assertIn(words, self.page(browser, path), path)
            # It keeps itself fresh, by an address that shows this alone.
            self.assertIn('data-from="/requests/waiting"', self.page(browser, path), path)
        self.assertIn(words, browser.get("/no-such-page", 404).body.decode())
        # Who asks, and approves nothing, has neither.
        self.assertNotIn("waiting for you", self.page(asker, "/keys"))
        self.assertNotIn("data-fresh", self.page(asker, "/keys"))
        self.store.write(approvals.refuse, request.id, self.approver)
        self.assertNotIn(words, self.page(browser, "/keys"))

    def test_confirmed_by_the_user_in_the_portal(self):
        request = self.asked(Approval.SELF)
        browser = self.signed_in(Role.USER)
        question = self.page(browser, f"/requests/{request.id}")
        self.assertIn("Is this you?", question)
        self.assertIn("It comes from another place than you", question)
        browser.send(f"/requests/{request.id}", {"decision": "approve"})
        page = self.page(browser, "/requests")
        [grant] = self.store.read(timed_grants.list_page).items
        self.assertIn(f"/grants/{grant.id}/end", page)
        browser.send("/requests", {}, action=f"/grants/{grant.id}/end")
        self.assertNotIn(f"/grants/{grant.id}/end", self.page(browser, "/requests"))

    def test_ones_own_is_for_others(self):
        request = self.asked()
        question = self.page(self.signed_in(Role.USER), f"/requests/{request.id}")
        self.assertIn("It waits for one of the approvers", question)
        self.assertNotIn("Approve</button>", question)

    def test_who_is_too_late_is_told(self):
        request = self.asked()
        browser = self.signed_in(Role.AUDITOR)
        path = f"/requests/{request.id}"
        [(_, fields)] = [one for one in Forms(self.page(browser, path)).forms if one[0] == path]
        self.store.write(approvals.refuse, request.id, self.approver)
        answer = browser.ask("POST", path, [*fields, ("decision", "approve")])
        self.assertEqual(answer.status, 409)
        self.assertIn("has refused this request already", answer.body.decode())

    def test_a_strangers_request_is_not_there(self):
        request = self.asked()
        self.store.write(users.update, self.approver.id, {"role": Role.USER})
        self.store.write(groups.remove_member, self.bosses.id, self.approver.id)
        stranger = self.signed_in(Role.AUDITOR)
        for one in (request.id, f"req_{'0' * 26}"):
            self.assertEqual(stranger.ask("GET", f"/requests/{one}").status, 404)

    # Asking beforehand, more time, and emergencies.

    def test_asked_beforehand_approved_and_prolonged(self):
        self.assertNotIn("/requests/new", self.page(self.signed_in(Role.USER), "/requests"))
        self.assigned(approval_seconds=7200)
        browser = self.signed_in(Role.USER)
        self.assertIn("/requests/new", self.page(browser, "/requests"))
        path = f"/requests/new?tunnel={self.tunnel.id}"
        self.assertIn("At most 2 hours", self.page(browser, path))
        form = {"reason": CANARY, "lasts": "1h", "do": "ask"}
        wrong = browser.send(path, {**form, "lasts": "1"}, action="/requests/new", status=422)
        self.assertIn("use a number and a unit", wrong.body.decode())
        answer = browser.send(path, form, action="/requests/new")
        self.assertEqual(answer.headers["location"], "/requests")
        [request] = self.store.read(approvals.list_requests).items
        self.assertEqual((request.reason, request.seconds), (CANARY, 3600))
        grant = self.store.write(approvals.approve, request.id, self.approver)
        self.assertIn(path, self.page(browser, "/requests"))
        self.assertIn("You may open it until", self.page(browser, path))
        browser.send(path, form, action="/requests/new")
        [again] = self.store.read(approvals.list_requests, status="pending").items
        self.assertEqual(again.renews_id, grant.id)
        question = self.page(self.signed_in(Role.AUDITOR), f"/requests/{again.id}")
        self.assertIn("More time for", question)

    def test_an_emergency_is_reviewed_by_somebody_else(self):
        request = self.asked(emergency_seconds=600)
        browser = self.signed_in(Role.USER)
        path = f"/requests/new?tunnel={self.tunnel.id}"
        self.assertIn(f"{path}#emergency", self.page(browser, f"/requests/{request.id}"))
        self.assertIn("10 minutes at most", self.page(browser, path))
        form = {"reason": " ", "do": "emergency"}
        wrong = browser.send(path, form, action="/requests/new", status=422)
        self.assertIn("say why: it is reviewed later", wrong.body.decode())
        self.assertIn('<details id="emergency" open>', wrong.body.decode())
        browser.send(path, {**form, "reason": CANARY}, action="/requests/new")
        [grant] = self.store.read(timed_grants.list_page).items
        one = f"/grants/{grant.id}"
        self.assertIn("in an emergency", self.page(browser, "/requests"))
        self.assertNotIn(f"{one}/review", self.page(browser, one))
        reviewer = self.signed_in(Role.AUDITOR)
        self.assertIn("(2) Requests", self.page(reviewer, "/requests"))
        for page in ("/requests", "/admin"):
            self.assertIn(f'href="{one}"', self.page(reviewer, page))
        page = self.page(reviewer, one)
        self.assertIn(SHOWN, page)
        self.assertNotIn("same person", page)
        self.patch(identities, "shared_provider", lambda *_: "corp")
        self.assertIn("and you are the same person", self.page(reviewer, one))
        reviewer.send(one, {"answer": "well done"}, action=f"{one}/review")
        self.assertNotIn(f'href="{one}"', self.page(reviewer, "/admin"))
        self.assertIn("well done", self.page(reviewer, one))
        self.assertIn(f"{one}/end", self.page(browser, one))

    def test_nothing_to_ask_for(self):
        page = self.page(self.signed_in(Role.USER), "/requests/new")
        self.assertIn("None of your tunnels needs an approval", page)


class ConfirmedByCodeTests(RequestCase):
    """Who took over a user's browser has not taken their second factor."""

    def setUp(self):
        super().setUp()
        [self.code] = new_recovery_codes(os.urandom)[:1]
        sealed = self.context.sealer.seal_for_all(os.urandom(20), purpose(self.user.id))
        self.store.write(second_factors.begin, self.user.id, sealed)
        hashes = [hash_secret(read_recovery_code(self.code))]
        self.store.write(second_factors.confirm, self.user.id, 0, hashes)
        self.browser = self.signed_in_anyhow(self.user)

    def signed_in_anyhow(self, user):
        """Give a browser with a sign-in of before the second factor."""
        browser, secret = Browser(self), "x" * 43
        self.store.write(
            web_sessions.create,
            user_id=user.id,
            secret_hash=hash_secret(secret),
            lifetime_seconds=3600,
            method="password",
            source_ip="192.0.2.1",
            user_agent="",
        )
        browser.cookies["__Host-tunnelcloud"] = secret
        return browser

    def grants(self):
        return self.store.read(timed_grants.list_page).items

    def test_a_wrong_code_confirms_nothing_and_counts(self):
        path = f"/requests/{self.asked(Approval.SELF).id}"
        self.assertIn('name="code"', self.page(self.browser, path))
        for typed in ("", "12345x"):
            form = {"decision": "approve", "code": typed}
            answer = self.browser.send(path, form, status=422)
            self.assertIn(b"The code is wrong", answer.body)
        self.assertEqual(self.grants(), ())
        self.assertEqual(self.store.read(second_factors.find, self.user.id).failures, 2)
        for _ in range(second_factors.FREE_FAILURES):
            self.store.write(second_factors.failed, self.user.id)
        answer = self.browser.send(path, form, status=422)
        self.assertIn(b"Too many wrong codes", answer.body)

    def test_one_that_waits_again_after_it_had_expired_takes_a_code(self):
        """Between the look at it and its approval a client may have asked again."""
        path = f"/requests/{self.asked(Approval.SELF).id}"
        [csrf] = set(re.findall('name="csrf" value="([^"]+)"', self.page(self.browser, path)))
        expired = RequestStatus.EXPIRED
        self.patch(approvals, "_as_of", lambda request, now: evolve(request, status=expired))
        form = [("csrf", csrf), ("decision", "approve"), ("code", "")]
        self.assertEqual(self.browser.ask("POST", path, form).status, 422)
        self.assertEqual(self.grants(), ())

    def test_a_good_code_confirms_once(self):
        request = self.asked(Approval.SELF)
        form = {"decision": "approve", "code": self.code}
        self.browser.send(f"/requests/{request.id}", form)
        self.assertEqual(len(self.grants()), 1)
        self.assertEqual(self.store.read(second_factors.recovery_codes_left, self.user.id), 0)

    def test_a_refusal_takes_no_code(self):
        request = self.asked(Approval.SELF)
        self.browser.send(f"/requests/{request.id}", {"decision": "refuse", "code": ""})
        self.assertEqual(self.store.read(approvals.get, request.id).status, "refused")

    def test_who_approves_others_is_not_asked(self):
        path = f"/requests/{self.asked().id}"
        boss = self.signed_in(Role.AUDITOR)
        self.assertNotIn('name="code"', self.page(boss, path))
        self.assertNotIn('name="code"', self.page(self.browser, path))
