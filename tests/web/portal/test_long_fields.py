"""Forms and queries that take long to read are read away from the reactor's thread."""

import threading
from http import HTTPStatus

from tests.web.portal.browser import Browser, PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web import api
from tunnelcloud.web.portal import resource
from tunnelcloud.web.sizes import FIELDS_AT_ONCE, MAX_ANONYMOUS_BODY


class LongFieldTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.read = []
        for module, name in ((resource, "read_fields"), (api, "_read_query")):
            self.patch(module, name, self.noting(getattr(module, name)))

    def noting(self, read):
        def reads(encoded, *more):
            is_apart = threading.current_thread() is not threading.main_thread()
            self.read.append((len(encoded) > FIELDS_AT_ONCE, is_apart))
            return read(encoded, *more)

        return reads

    def check(self):
        """Hold that what is long, and nothing else, was read in another thread."""
        self.assertIn((True, True), self.read)
        self.assertEqual([one for one in self.read if one[0] != one[1]], [])

    def test_a_strangers_form(self):
        Browser(self).ask("POST", "/sign-in", {"name": "%" * FIELDS_AT_ONCE})
        self.check()

    def test_a_strangers_query(self):
        Browser(self).ask("GET", "/sign-in?next=/" + "%zz" * FIELDS_AT_ONCE)
        self.check()

    def test_a_users_form(self):
        self.signed_in(Role.USER).ask("POST", "/sign-out", {"title": "x" * 20_000})
        self.check()

    def test_a_query_of_the_api(self):
        self.ask("GET", "/api/v1/users?q=" + "%41" * FIELDS_AT_ONCE)
        self.check()

    def test_a_stranger_sends_no_long_form(self):
        answer = Browser(self).ask("POST", "/sign-in", {"name": "x" * MAX_ANONYMOUS_BODY})
        self.assertEqual(answer.status, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self.assertNotIn((True, True), self.read)

    def test_a_long_form_of_somebody_who_was_signed_out(self):
        answer = Browser(self).ask("POST", "/admin/sites/new", {"name": "x" * MAX_ANONYMOUS_BODY})
        self.assertEqual(answer.status, HTTPStatus.FORBIDDEN)
        self.assertIn("You are signed out", answer.body.decode())
