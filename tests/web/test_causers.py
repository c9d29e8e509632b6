"""Who asks the API takes turns with others, as who asks for pages does."""

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.net.round_robin import CAUSER
from tunnelcloud.store import groups
from tunnelcloud.web import worker


class CauserTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.sources, made = [], worker._Job

        def make(work, source):
            self.sources.append(source)
            return made(work, source)

        self.patch(worker, "_Job", make)
        for number in range(60):
            self.store.write(groups.create, name=f"group-{number}")

    def test_a_long_list_of_the_api(self):
        self.api("GET", "/groups?limit=1")  # loads this part of the API, for everybody
        self.sources.clear()
        self.api("GET", "/groups?limit=200")
        self.assertEqual(self.sources, [self.people[Role.ADMIN].id])

    def test_what_a_page_asks_the_api_for(self):
        browser = self.signed_in(Role.ADMIN)
        self.sources.clear()
        browser.get("/admin/policies/new")
        self.assertEqual(set(self.sources), {self.people[Role.ADMIN].id})
        self.assertEqual(CAUSER.get(), "")
