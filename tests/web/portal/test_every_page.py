"""Every page of the page table: for every role, with hostile names, and without its proof."""

import re
from collections.abc import Mapping

from tests.store.material import count_events
from tests.web.portal.browser import Browser, PortalTestCase
from tests.web.portal.structure import faults_of
from tests.web.portal.world import make_world
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web.portal import resource
from tunnelcloud.web.portal.page_requests import Visit
from tunnelcloud.web.portal.refreshed_parts import cut_parts
from tunnelcloud.web.portal.tree import page_table

CANARY = "<script>alert(1)</script>\"'&\u202e"


SHOWN_ONCE = ("/invite", "/join", "/made", "/recovery-codes")
"""How the addresses end of pages that only show what a form has just made."""

READ_BESIDE = {"assigned_after"}
"""Fields that pages read for something else than the parts that keep themselves fresh."""


class ReadFields(Mapping):
    """An empty query that notes which of its fields are asked for."""

    def __init__(self, read):
        self._read = read

    def __getitem__(self, name):
        self._read.add(name)
        raise KeyError(name)

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


class EveryPageTests(PortalTestCase):
    """Made from the page table: no page is left out."""

    def setUp(self):
        super().setUp()
        self.pages = page_table(self.context, self.table)
        self.ids = self.store.write(make_world, self.people[Role.USER], CANARY)

    def test_every_page_for_every_role(self):
        self.assertGreater(len(self.pages), 50)
        for role in [None, *Role]:
            browser = Browser(self) if role is None else self.signed_in(role)
            for page in self.pages:
                path = page.path.format(**self.ids)
                told = f"{role} {page.method} {path}"
                if page.method == "POST":
                    answer = browser.ask("POST", path, {"csrf": "0" * 64})
                    self.assertEqual(answer.status, 403, told)
                    continue
                answer = browser.ask("GET", path)
                if answer.headers.get("content-type", "").startswith("text/html"):
                    self.assertNotIn(b"<script>", answer.body, told)
                    self.assertEqual(faults_of(answer.body.decode()), [], told)
                if page.anonymous:
                    self.assertIn(answer.status, (200, 303, 410), told)
                elif role is None:
                    self.assertEqual(answer.status, 303, told)
                elif role not in page.roles:
                    self.assertEqual(answer.status, 403, told)
                elif path.endswith(("/second-factor", "/unfinished", *SHOWN_ONCE)):
                    self.assertEqual(answer.status, 303, told)
                elif path.startswith(("/applications/", "/keys/key_", "/sessions/")):
                    self.assertEqual(answer.status, 200 if role is Role.USER else 404, told)
                else:
                    self.assertEqual(answer.status, 200, told)

    def test_pages_that_keep_themselves_fresh_say_what_they_read(self):
        """A stream hands a page no other field of a query, and would show another page."""
        read = set()
        self.patch(
            resource, "Visit", lambda *of, **more: Visit(*of, **{**more, "query": ReadFields(read)})
        )
        found = set()
        for role in (Role.ADMIN, Role.USER):
            browser = self.signed_in(role)
            for page in self.pages:
                is_admins = page.path.startswith("/admin")
                if page.method != "GET" or page.anonymous or is_admins is not (role is Role.ADMIN):
                    continue
                read.clear()
                body = browser.ask("GET", page.path.format(**self.ids)).body
                # The others have an address of their own for them.
                if re.search(rb'data-fresh="\d+"(?! data-from)', cut_parts(body).html):
                    found.add(page.path)
                    self.assertEqual(page.query, read - READ_BESIDE, page.path)
        self.assertGreater(found, {"/", "/sessions", "/admin", "/admin/sessions", "/requests"})

    def test_what_is_wrong_with_a_page_is_found(self):
        page = '<p id="a"><b id="a"></b><label for="b">B</label><input name="c"><select></select>'
        self.assertEqual(len(faults_of(page)), 4)
        page = '<label>A <input name="a"></label><label for="b">B</label><input id="b" name="b">'
        self.assertEqual(faults_of(page), [])

    def test_a_stolen_cookie_without_its_proof_changes_nothing(self):
        browser = self.signed_in(Role.ADMIN)
        before = self.store.read(count_events)
        for page in self.pages:
            if page.method == "POST":
                for form in ({}, {"csrf": "0" * 64}):
                    answer = browser.ask("POST", page.path.format(**self.ids), form)
                    self.assertEqual(answer.status, 403, page.path)
        self.assertEqual(self.store.read(count_events), before)
        browser.get("/admin")

    def test_who_may_go_where(self):
        for page in self.pages:
            if page.path.startswith("/admin"):
                readers = page.method == "GET" and not page.path.endswith(
                    (
                        *("/new", "/delete", "/end", "/revoke", "/remove", "/block", "/test"),
                        *("/unlink", "/rotate", "/promote", "/retire", "/preview", *SHOWN_ONCE),
                    )
                )
                expected = {Role.ADMIN, Role.AUDITOR} if readers else {Role.ADMIN}
                self.assertEqual(page.roles, expected, page.path)

    def test_a_form_with_its_proof_does_no_more_than_its_sender_may(self):
        for role in (Role.USER, Role.AUDITOR):
            browser = self.signed_in(role)
            page = browser.get("/").body.decode()
            proof = page.split('name="csrf" value="')[1].split('"')[0]
            for one in self.pages:
                if one.method == "POST" and one.path.startswith("/admin"):
                    answer = browser.ask("POST", one.path.format(**self.ids), {"csrf": proof})
                    self.assertEqual(answer.status, 403, one.path)
        self.assertEqual(self.live.ended, [])
