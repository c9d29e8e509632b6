"""The policies' form: day buttons, chips and text are one value; a preview says what it means."""

import re
from html import unescape
from urllib.parse import urlencode

from twisted.trial.unittest import SynchronousTestCase

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web.portal.page_requests import Visit
from tunnelcloud.web.portal.schedule_fields import (
    MOST_ROWS,
    HourRow,
    chips_of,
    fault_of_hours,
    hours_of,
    typed_hours,
    typed_networks,
    zone_names,
)


def typed(**form):
    values = {name: value if isinstance(value, tuple) else (value,) for name, value in form.items()}
    return Visit("/", "", "", form=values)


class HoursTests(SynchronousTestCase):
    def test_rows_and_back(self):
        for line in (
            "Mon-Fri 09:00-18:00 Europe/Paris",
            "Fri 22:00-06:00 America/New_York",
            "Mon,Wed 00:00-24:00 UTC",
        ):
            row, blank = hours_of(line).rows
            self.assertEqual(blank, HourRow(zone=row.zone))
            visit = typed(h_days_0=row.days, h_start_0=row.start, h_end_0=row.end,
                          h_zone_0=row.zone, h_zone_1=blank.zone)  # fmt: skip
            again = hours_of(typed_hours("h", visit)).rows[0]
            self.assertEqual(again, row)

    def test_what_isnt_a_row_stays_text(self):
        found = hours_of("Mon 9-5 UTC\nMon 09:00-10:00 UTC\n\nMon 29:00-10:00 UTC")
        self.assertEqual(len(found.rows), 2)
        self.assertEqual(found.text, "Mon 9-5 UTC\nMon 29:00-10:00 UTC")

    def test_many(self):
        lines = [f"Mon {hour:02}:00-{hour:02}:30 UTC" for hour in range(20)]
        found = hours_of("\n".join(lines))
        self.assertEqual(len(found.rows), MOST_ROWS)
        self.assertEqual(found.text.splitlines(), lines[MOST_ROWS - 1 :])

    def test_a_row_that_is_not_complete_is_no_row_that_is_empty(self):
        """A condition that was half typed must not be lost: more would be allowed."""
        self.assertEqual(typed_hours("h", typed(h_zone_0="UTC")), "")
        for form, missing in [
            ({"h_days_0": ("Mon", "Tue")}, "when it begins and when it ends"),
            ({"h_start_0": "09:00", "h_end_0": "10:00"}, "at least one day"),
            # As a browser sends it that has no field for times.
            ({"h_start_0": "9am"}, "at least one day and when it begins and when it ends"),
        ]:
            value = typed_hours("h", typed(h_zone_0="UTC", **form))
            self.assertEqual(fault_of_hours(value, "x"), f"hours 1: choose {missing}")
            self.assertEqual(hours_of(value).text, "")
        value = typed_hours("h", typed(h_days_0="Mon", h_start_0="09:00", h_end_0="10:00"))
        self.assertIn("a time zone", fault_of_hours(value, "x"))

    def test_removed(self):
        row = {"h_days_0": "Mon", "h_start_0": "09:00", "h_end_0": "10:00", "h_zone_0": "UTC"}
        self.assertEqual(typed_hours("h", typed(**row)), "Mon 09:00-10:00 UTC")
        self.assertEqual(typed_hours("h", typed(**row, h_gone_0="on")), "")

    def test_networks(self):
        visit = typed(n_kept=("10.0.0.0/8", "2001:db8::/32"), n="10.0.0.0/8, 192.0.2.0/24\r\nx")
        value = typed_networks("n", visit)
        self.assertEqual(value.split(), ["10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24", "x"])
        found = chips_of(value)
        self.assertEqual(found.chips, ("10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24"))
        self.assertEqual(found.text, "x")

    def test_zones(self):
        self.assertIn("Europe/Paris", zone_names())
        self.assertEqual(zone_names()[0], "UTC")
        self.assertLess(sum(map(len, zone_names())), 12_000)


REST = {"approval": "none", "approval_seconds": "1h", "approval_wait_seconds": "60s"}
"""What a browser sends of the fields that have a value."""

ROW = {
    "windows_days_0": ["Mon", "Fri"],
    "windows_start_0": "22:00",
    "windows_end_0": "06:00",
    "windows_zone_0": "Europe/Paris",
}


def flattened(form):
    """Give the pairs of a form whose fields may have several values."""
    for name, value in form.items():
        for one in value if isinstance(value, list) else [value]:
            yield name, one


class PolicyEditorTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)

    def panel(self, page):
        found = re.search(r'<section id="preview".*?</section>', page.body.decode(), re.DOTALL)
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", found[0])))

    def test_days_and_chips_are_saved(self):
        new = "/admin/policies/new"
        more = {**ROW, "windows": "Sat 08:00-09:00 UTC", "source_networks": "10.0.0.0/8 192.0.2.1"}
        self.browser.send(new, {"name": "nights", **more}, action=new)
        [policy] = self.api("GET", "/policies")["items"]
        self.assertEqual(
            policy["windows"], ["Mon,Fri 22:00-06:00 Europe/Paris", "Sat 08:00-09:00 UTC"]
        )
        self.assertEqual(policy["source_networks"], ["10.0.0.0/8", "192.0.2.1/32"])
        path = f"/admin/policies/{policy['id']}"
        # Nothing changed, nothing lost.
        self.browser.send(path, action=path)
        self.assertEqual(self.api("GET", f"/policies/{policy['id']}"), policy)
        gone = {"windows_gone_0": "on", "source_networks_kept": ["10.0.0.0/8"]}
        self.browser.send(path, gone, action=path)
        policy = self.api("GET", f"/policies/{policy['id']}")
        self.assertEqual(policy["windows"], ["Sat 08:00-09:00 UTC"])
        self.assertEqual(policy["source_networks"], ["10.0.0.0/8"])

    def test_a_moment_is_shown_as_people_write_it(self):
        policy = self.api(
            "POST", "/policies", {"name": "office", "valid_until": "2126-01-02T03:04:05Z"}
        )
        page = self.browser.get(f"/admin/policies/{policy['id']}/settings").body.decode()
        self.assertIn("<dd>2126-01-02 03:04:05</dd>", page)

    def test_a_row_that_is_not_complete(self):
        new = "/admin/policies/new"
        form = {"name": "nights", "windows_days_0": ["Mon"], "windows_start_0": "22:00"}
        page = self.browser.send(new, form, action=new, status=422).body.decode()
        self.assertIn("hours 1: choose when it ends", page)
        self.assertIn('value="Mon" checked aria-invalid="true"', page)
        self.assertIn('aria-describedby="windows-error" autofocus', page)
        self.assertEqual(page.count("autofocus"), 1)
        self.assertIn('value="22:00"', page)

    def test_a_zone_that_is_none_stays_in_its_row(self):
        """Whoever mends the row has nothing else to mend."""
        new = "/admin/policies/new"
        form = {"name": "days", "windows_days_0": ["Mon", "Fri"], "windows_start_0": "09:00",
                "windows_end_0": "18:00", "windows_zone_0": "Paris"}  # fmt: skip
        page = self.browser.send(new, form, action=new, status=422).body.decode()
        self.assertIn("&#39;Paris&#39; is not a time zone", page)
        self.assertIn('name="windows_zone_0" value="Paris"', page)
        self.assertIn('value="09:00"', page)
        self.assertRegex(page, r'<textarea id="windows"[^>]*>\s*</textarea>')

    def test_a_preview_without_scripts(self):
        """The button leads to an address that can be loaded again, and saves nothing."""
        csrf = self.proof()
        form = [("csrf", csrf), ("name", "nights"), ("windows_start_0", "22:00"),
                ("windows_days_0", "Mon"), ("windows_days_0", "Fri"), ("windows_end_0", "06:00"),
                ("windows_zone_0", "Europe/Paris"), *REST.items()]  # fmt: skip
        answer = self.browser.ask("POST", "/admin/policies/new/preview", form)
        self.assertEqual(answer.status, 303)
        self.assertNotIn(csrf, answer.headers["location"])
        page = self.browser.get(answer.headers["location"])
        self.assertIn("Mon,Fri 22:00\u201306:00 of the next day Europe/Paris.", self.panel(page))
        self.assertIn("Nobody: it isn't assigned", self.panel(page))
        self.assertIn('value="nights"', page.body.decode())
        self.assertIn('value="Fri" checked', page.body.decode())
        self.assertEqual(self.api("GET", "/policies")["items"], [])

    def test_what_it_touches(self):
        policy = self.api("POST", "/policies", {"name": "office"})
        self.assign(self.make_tunnel("db"), self.make_user(), policy_id=policy["id"])
        path = f"/admin/policies/{policy['id']}/preview"
        page = self.browser.get(path)
        self.assertIn("Always, from anywhere.", self.panel(page))
        page = self.browser.get(f"{path}?source_networks=10.0.0.0/8&{urlencode(REST)}")
        self.assertIn("From 10.0.0.0/8.", self.panel(page))
        self.assertIn("1 user and 1 tunnel", self.panel(page))
        self.assertIn("Saving it cuts nothing now", self.panel(page))
        self.assertIn('<details class="fold" open', page.body.decode())

    def preview_alone(self, where, form):
        """Ask for the preview as the page's script does while somebody types."""
        form = {"csrf": self.proof(), "alone": "1", **form}
        path = f"/admin/policies/{where}/preview"
        answer = self.browser.ask("POST", path, [*flattened(form)], headers={"HX-Request": "true"})
        self.assertEqual(answer.status, 200, answer.body)
        return answer

    def proof(self):
        page = self.browser.get("/admin/policies/new").body.decode()
        return page.split('name="csrf" value="')[1].split('"')[0]

    def test_the_answer_alone(self):
        policy = self.api("POST", "/policies", {"name": "office"})
        for where in ("new", policy["id"]):
            page = self.preview_alone(where, {**ROW, **REST, "name": ""})
            self.assertIn("of the next day", self.panel(page))
            self.assertNotIn("<html", page.body.decode())
            self.assertLess(len(page.body), 2000)
            wrong = {**REST, "windows": "Mon 9-5 UTC", "max_channels": 0}
            page = self.preview_alone(where, wrong)
            self.assertIn("In these hours only: 'Mon 9-5 UTC' is not a window", self.panel(page))
            self.assertIn("Most channels at once", self.panel(page))

    def test_the_answer_alone_to_a_long_form(self):
        """More than an address may hold: a preview that stays away looks like one that is right."""
        networks = [f"2001:db8:aaaa:bbbb:cccc:dddd:eeee:{number:x}/128" for number in range(256)]
        hours = [f"Mon,Tue,Wed {hour:02}:00-{hour:02}:30 Europe/Paris" for hour in range(24)]
        form = {**REST, "title": "x" * 200, "source_networks": "\n".join(networks),
                "windows": "\n".join(hours)}  # fmt: skip
        self.assertGreater(len(urlencode(form)), 1 << 14)
        panel = self.panel(self.preview_alone("new", form))
        self.assertIn("2001:db8:aaaa:bbbb:cccc:dddd:eeee:0", panel)
        self.assertIn("Nobody: it isn't assigned", panel)

    def test_the_answer_alone_needs_the_proof_of_a_form(self):
        answer = self.browser.ask("POST", "/admin/policies/new/preview", {"alone": "1", **REST})
        self.assertEqual(answer.status, 403)

    def test_too_much_for_an_address(self):
        form = {"csrf": self.proof(), "source_networks": "10.0.0.0/8 " * 2000}
        self.assertEqual(self.browser.ask("POST", "/admin/policies/new/preview", form).status, 413)

    def test_hostile_values(self):
        form = {"source_networks": "<script>alert(1)</script>"}
        page = self.preview_alone("new", form).body.decode()
        self.assertNotIn("<script>", page)
