"""Every form of the portal in a real browser, sent with wrong values only.

The forms are found on the pages of the page table, so a new form is held to the same: the page
that refuses it says at once all that is wrong, each fault beside its field; it shows again what was
typed, and the cursor is in the first wrong field.
"""

import os
import re

from tests.browser.case import NAME, PASSWORD
from tests.browser.test_every_page import EveryPageCase
from tests.web.portal.structure import faults_of
from tests.web.portal.test_second_factor import FACTOR, Authenticator
from tests.web.portal.world import make_world
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret, new_link_secret
from tunnelcloud.store import assignments, invitations, policies

WORDS = {"input": 68, "textarea": 300}
"""How many words are typed where any short text would be right."""
NARROW = 360
"""Pixels of the narrowest window."""

CODE = re.compile(
    r"\b[a-z]+_[a-z_]+\b|\b(str|int|bool|None|null|dict|Input|JSON|regex|pattern)\b|\d\dT\d\d:\d\d:"
)
"""Words that only somebody who reads the code or the API's answers knows."""

SAYS_ONE = {
    "/sign-in": "it doesn't say whether the name or the password is wrong",
}
"""Forms whose fault belongs to no field, and why."""

TAKES_ANYTHING = {"client_secret", "description", "passphrase"}
"""Fields in which nothing that this test types is wrong: they take long texts."""

OF_A_ROW = {"windows_start_0", "windows_end_0", "windows_zone_0"}
"""Fields whose fault is said once for all of them; what no browser sends for them isn't kept."""

CODES = {"code"}
"""Fields of codes, which serve once and aren't shown again, but for the code of a command line."""

BUTTONS = {
    "/account/second-factor/remove": "a second button of the form for recovery codes",
    "/admin/policies/{policy_id}/preview": "a second button of a policy's form",
    "/account/sign-ins/{web_session_id}/end": "nothing is typed",
    "/admin/audit/searches/remove": "nothing is typed",
    "/admin/lockouts/lift": "nothing is typed",
    "/admin/users/{user_id}/unblock": "nothing is typed",
    "/applications/{tunnel_id}/unpin": "nothing is typed",
    "/device/decide": "nothing is typed",
    "/unfinished/discard": "nothing is typed",
}
"""Forms that no page of this test shows, and why they needn't be shown.

``tests.web.portal.test_forms_of_buttons`` sends them when what they name is gone.
"""

FORMS = """() => [...document.querySelectorAll('form[method=post]')].map((form, place) => ({
  place, action: new URL(form.action).pathname,
  fields: [...form.querySelectorAll(
    'input:not([type=hidden], [type=checkbox], [type=radio], [type=file]), textarea'
  )].map((one) => one.name).filter(Boolean),
}))"""

FILL = """([place, words]) => {
  const form = document.querySelectorAll('form[method=post]')[place];
  const typed = {};
  form.noValidate = true;
  for (let one = form; one; one = one.parentElement) one.open = true;
  for (const one of form.querySelectorAll('details')) one.open = true;
  for (const one of form.querySelectorAll('input, textarea')) {
    if (!one.name || ['hidden', 'checkbox', 'radio', 'file'].includes(one.type)) continue;
    const secret = one.type === 'password';
    if (secret) one.value = `short-${Object.keys(typed).length}`;
    else if (one.list) one.value = 'Nothing of this name';
    else if (one.type !== 'text' && one.localName === 'input') {
      one.type = 'text';  // as in a browser that has no field for dates
      one.value = 'soon';
    } else {
      const count = {length: words[one.localName]};
      one.value = Array.from(count, (_, number) => `Wrong${number || '<b>\u202e'}`).join(' ');
    }
    typed[one.name] = secret ? '' : one.value;
  }
  return typed;
}"""

SAID = """([action, names]) => {
  const shown = (one) => one.checkVisibility({visibilityProperty: true});
  const form = [...document.querySelectorAll('form[method=post]')]
    .find((one) => new URL(one.action).pathname === action);
  const fields = [...form.querySelectorAll('input, textarea, select')];
  const wrong = fields.filter((one) => one.getAttribute('aria-invalid') === 'true');
  const said = (one) => (one.getAttribute('aria-describedby') ?? '').split(' ')
    .map((id) => document.getElementById(id))
    .filter((text) => text?.matches('.fault') && shown(text))
    .map((text) => text.textContent.trim()).join(' ');
  return {
    wrong: wrong.map((one) => [one.name, shown(one) && said(one)]),
    kept: Object.fromEntries(fields.filter((one) => names.includes(one.name))
      .map((one) => [one.name, one.defaultValue])),
    focus: document.activeElement?.name ?? document.activeElement?.localName,
    stray: [...document.querySelectorAll('main .fault, main .notice.bad[role=alert]')]
      .filter(shown).map((one) => one.textContent.trim())
      .filter((text) => !wrong.some((field) => said(field).includes(text))),
    wide: document.documentElement.scrollWidth,
  };
}"""


class FailingFormsTests(EveryPageCase):
    def fill_store(self, transaction, user):
        ids = make_world(transaction, user, "A title")
        secret = new_link_secret(os.urandom)
        invitations.create(
            transaction, user_id=user.id, secret_hash=hash_secret(secret), lifetime_seconds=600
        )
        asked = policies.create(transaction, name="asked", approval=Approval.OTHERS)
        assignments.create(
            transaction,
            tunnel_id=ids["tunnel_id"],
            methods=frozenset(["key"]),
            group_id=ids["group_id"],
            policy_id=asked.id,
        )
        return {**ids, "secret": secret}

    def test_each_form(self):
        self.problems, self.seen, self.sent = [], set(), set()
        self.looked_at = set()
        there = self.there()
        self.fail_forms_of(one.path for one in there if one.anonymous)
        self.sign_in("one-user")
        self.fail_forms_of(
            one.path for one in there if Role.USER in one.roles and not one.anonymous
        )
        self.second_factor()
        self.sign_in(NAME)
        theirs = [one.path for one in there if one.path.startswith("/admin")]
        self.fail_forms_of([*theirs, "/admin/audit?q=db", "/grants/{grant_id}"])
        self.assertEqual("\n".join(self.problems), "")
        self.assertGreater(len(self.sent), 30)

        self.assertEqual(set(self.forms) - self.seen - BUTTONS.keys(), set())

    def second_factor(self):
        """Send the forms that ask for a code, which are there once a second factor is."""
        self.chromium.visit("/account")
        self.page.locator("summary", has_text="Add a second factor").click()
        self.page.locator("#factor-current").fill(PASSWORD)
        self.page.locator("#factor-current").press("Enter")
        self.page.wait_for_url(f"**{FACTOR}")
        self.fail_forms_of([FACTOR])
        phone = Authenticator(self.page.locator("#secret").text_content())
        self.fill(code=phone.code())
        self.press("Confirm")
        self.page.wait_for_url("**/account/recovery-codes")
        self.fail_forms_of(["/account"])
        self.chromium.context.clear_cookies()
        self.chromium.visit("/sign-in")
        self.fill(name="one-user", password=PASSWORD)
        self.press("Sign in")
        self.page.wait_for_url("**/sign-in/code")
        self.fail_forms_of(["/sign-in/code"])

    def route_of(self, action):
        """Give the row of the page table that a form is sent to."""
        found = [
            path for path in self.forms if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), action)
        ]
        self.assertTrue(found, action)
        return min(found, key=lambda path: path.count("{"))

    def fail_forms_of(self, paths):
        """Send each form of pages once, with wrong values."""
        for pattern in paths:
            path = pattern.format(**self.ids)
            text = self.chromium.context.request.get(self.chromium.origin + path).text()
            found = re.findall(r'<form method="post"([^>]*)>', text)
            given = [re.search(r'action="([^"?#]+)', one) for one in found]
            actions = {self.route_of(one[1] if one else path.partition("?")[0]) for one in given}
            new = actions - self.seen
            self.seen |= actions
            if not new:
                continue
            self.chromium.visit(path)
            for form in self.page.evaluate(FORMS):
                route = self.route_of(form["action"])
                if form["fields"] and route in new and route not in self.sent:
                    if self.sent and self.page.url != self.chromium.origin + path:
                        self.chromium.visit(path)
                    self.sent.add(route)
                    self.fail_form(route, form)

    def fail_form(self, route, form):
        typed = self.page.evaluate(FILL, [form["place"], WORDS])
        buttons = self.page.locator("form[method=post]").nth(form["place"])
        with self.page.expect_navigation() as answered:
            buttons.locator("button:not([type=button])").first.click()
        self.page.set_viewport_size({"width": NARROW, "height": 800})
        said = self.page.evaluate(SAID, [form["action"], list(typed)])
        for problem in self.problems_of(route, typed, answered.value.status, said):
            self.problems.append(f"{route}: {problem}")
        for fault in faults_of(self.page.content()):
            self.problems.append(f"{route}: {fault}")
        if self.forms[route] not in self.looked_at:
            self.looked_at.add(self.forms[route])
            self.chromium.look()

    def problems_of(self, route, typed, status, said):
        """Say what is wrong with the page that answers a form."""
        wrong = dict(said["wrong"])
        if status != 422:
            yield f"it is answered by {status}"
        if route not in SAYS_ONE:
            unsaid = typed.keys() - wrong.keys() - TAKES_ANYTHING - OF_A_ROW
            if unsaid:
                yield f"nothing is said of {sorted(unsaid)}"
            if said["stray"]:
                yield f"said beside no field: {said['stray']}"
            first = next(iter(wrong), "")
            if said["focus"] != first:
                yield f"{said['focus']} has the focus, not {first}"
        hidden = [one for one, text in wrong.items() if not text]
        if hidden:
            yield f"not seen: {hidden}"
        lost = [
            name
            for name, text in typed.items()
            if name not in CODES | OF_A_ROW
            # Networks and hours are shown a line each.
            and set(said["kept"].get(name, "").split()) != set(text.split())
        ]
        if lost:
            yield f"not kept: {lost}"
        if said["wide"] > NARROW:
            yield f"{said['wide']} px wide in a window of {NARROW}"
        for name, text in wrong.items():
            if found := CODE.search(str(text)):
                yield f"{name} says {found[0]!r}: {text}"
