"""Every page of the page table in a real browser: empty and full.

Each is held to what holds for all pages, and to the weight of its first view.  A new page is in
the table, hence here; what isn't a page of its own is named below.
"""

import re

from twisted.internet.task import Clock

from tests.browser.case import NAME, PASSWORD, BrowserCase
from tests.browser.crowd import HOSTILE, LONG, make_crowd
from tests.web.portal.browser import HASHED
from tests.web.portal.world import make_world
from tests.web.support import QueuedReactor, ToldPod
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import users
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.engine import open_store
from tunnelcloud.web.portal.tree import page_table
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.tree import route_table

FIRST_VIEW = 100 * 1024
"""Bytes of a page with all its files, as they are sent."""

PARTS = {
    "/applications/{tunnel_id}/connection",
    "/requests/waiting",
    "/admin/names",
    "/admin/connectors/{connector_id}/state",
}
"""Parts of pages, which replace what a page has of them."""

ELSEWHERE = {
    # It leads on; a file; and pages for a provider on another host.
    "/api",
    "/admin/audit/export",
    "/sign-in/with/{provider}",
    "/sign-in/with/{provider}/callback",
    "/signed-out/{provider}",
    # Shown once, after a form: see the tests of signing in, keys and the first day.
    "/sign-in/code",
    "/account/second-factor",
    "/account/recovery-codes",
    "/unfinished",
    "/keys/made",
    "/admin/users/{user_id}/keys/made",
    "/admin/users/{user_id}/invite",
    "/admin/connectors/{connector_id}/join",
    "/admin/settings/api-tokens/made",
}
"""Pages that aren't there unless something happened before; other tests look at them."""


def pages_of(store):
    """Give the rows of the page table."""
    context = ApiContext(
        store=AsyncStore(store, QueuedReactor()),
        live=ToldPod(),
        clock=Clock(),
        web_url="http://127.0.0.1",
        fetch=None,
    )
    return page_table(context, route_table(context, "1"))


def called(path):
    """Give what the pictures of a page are called."""
    return re.sub(r"\W+", "-", re.sub(r"\{\w+\}", "one", path)).strip("-") or "applications"


ALIKE = {
    "/account/sign-ins/end-others",
    "/admin/explain",
    "/admin/groups/new",
    "/admin/policies/new",
    "/admin/settings/authority/rotate",
    "/admin/settings/authority/retire",
    "/admin/settings/authority/force/retire",
    "/admin/settings/host-keys/promote",
    "/admin/settings/host-keys/retire",
    "/admin/settings/host-keys/rotate",
    "/admin/settings/providers/new",
    "/admin/sites/new",
    "/admin/users/new",
    "/api/docs",
    "/device",
    "/keys/new",
    "/sign-in",
}
"""Pages that show the same whatever is there: they are looked at once, where all is full."""


class EveryPageCase(BrowserCase):
    """A pod with an administrator, and with one user.

    :cvar weighs: whether each page is weighed; one that shows nothing is lighter than a full one.
    """

    weighs = True

    def furnish(self, state):
        state.mkdir(0o700)
        store = open_store("sqlite", state)
        table = pages_of(store)
        self.pages = [one for one in table if one.method == "GET"]
        self.forms = {one.path: one.handler.__qualname__ for one in table if one.method == "POST"}
        for name, role in ((NAME, Role.ADMIN), ("one-user", Role.USER)):
            user = store.write(users.create, name=name, role=role)
            store.write(users.set_password, user.id, HASHED)
        self.ids = store.write(self.fill_store, user)
        store.close()

    def fill_store(self, transaction, user):
        """Put objects there, and give their ids."""
        return {}

    def sign_in(self, name):
        self.chromium.leave()
        self.chromium.context.clear_cookies()
        self.chromium.visit("/sign-in")
        self.page.get_by_label("Name or e-mail").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.press("Sign in")
        self.page.wait_for_url(re.compile(r"/(admin)?$"))

    def look_at(self, prefix, pages):
        """Look at some pages, which are there by now."""
        heavy = {}
        for page in pages:
            path = page.path.format(**self.ids)
            if not self.weighs:
                self.chromium.visit(path)
            elif (weight := self.chromium.weigh(path)) > FIRST_VIEW:
                heavy[path] = weight
            self.assertEqual(self.page.url, self.chromium.origin + path)
            self.assertEqual(self.page.locator("h1").count(), 1, path)
            self.chromium.check(f"{prefix}-{called(page.path)}")
        self.assertEqual(heavy, {})

    def there(self):
        """Give the pages that can be looked at with what is there."""
        apart = PARTS | ELSEWHERE
        return [
            one
            for one in self.pages
            if one.path not in apart
            and all(name in self.ids for name in re.findall(r"\{(\w+)\}", one.path))
        ]

    def as_anybody(self, prefix):
        self.look_at(prefix, [one for one in self.there() if one.anonymous])

    def as_user(self, prefix):
        self.sign_in("one-user")
        mine = [one for one in self.there() if Role.USER in one.roles and not one.anonymous]
        self.look_at(prefix, mine)

    def as_administrator(self, prefix):
        self.sign_in(NAME)
        theirs = [one for one in self.there() if one.path.startswith("/admin")]
        self.look_at(prefix, theirs)


class EmptyTests(EveryPageCase):
    weighs = False

    def there(self):
        return [one for one in super().there() if one.path not in ALIKE]

    def test_nothing_is_there_yet(self):
        self.as_anybody("empty")
        self.as_user("empty")
        self.as_administrator("empty")


class FullTests(EveryPageCase):
    """Ten thousand of each kind, and one of each with a name of sixty characters and texts that
    read from right to left."""

    def fill_store(self, transaction, user):
        make_crowd(transaction)
        return make_world(transaction, user, HOSTILE, name="b" + LONG[1:])

    def test_every_page(self):
        named = {one.path for one in self.pages}
        self.assertEqual((PARTS | ELSEWHERE | ALIKE) - named, set())
        self.as_anybody("full")
        self.as_user("full")
        self.as_administrator("full")
