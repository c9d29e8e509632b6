"""Signing in at a real browser: with a second factor, and through a real OpenID provider."""

import base64
import time
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.browser.case import NAME, PASSWORD, BrowserCase
from tests.browser.test_connecting import PortalCase
from tests.integration.processes import Process, free_port
from tests.requirements import require_executable, require_node_modules


class Signing:
    """What people do to sign in; ``page`` is their browser's."""

    name = NAME

    def go_to(self, path):
        self.page.goto(self.origin + path)

    def button(self, name):
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def code(self, secret, steps=0):
        """Give the code of the step of now, or of one after it.

        A code is good in the steps before and after its own, so the next step may begin meanwhile.
        """
        totp = TOTP(base64.b32decode(secret.replace(" ", "")), 6, SHA1(), 30)
        return totp.generate(time.time() + 30 * steps).decode()

    def type_code(self, code):
        self.page.locator("input[name=code]").last.fill(code)

    def enrol(self, check=lambda name: None):
        """Add a second factor as a person does; give its secret and the recovery codes."""
        self.go_to("/account")
        self.page.locator("summary", has_text="Add a second factor").click()
        self.page.get_by_label("Your password", exact=True).fill(PASSWORD)
        self.button("Go on")
        self.page.get_by_text("Can't scan it?").click()
        secret = self.page.locator("#secret").inner_text()
        check("second-factor")
        # No code is good after that of a later step: signing in takes the one of the next.
        self.type_code(self.code(secret))
        self.button("Confirm")
        codes = self.page.locator("#codes").inner_text().split()
        check("recovery-codes")
        self.page.get_by_role("link", name="I have saved them").click()
        self.page.wait_for_url("**/account")
        return secret, codes

    def type_password(self, then="/sign-in/code"):
        self.go_to("/sign-in")
        self.page.get_by_label("Name or e-mail").fill(self.name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.button("Sign in")
        self.page.wait_for_url(f"{self.origin}{then}")

    def start_provider(self, key_id):
        node = require_executable("node")
        modules = require_node_modules("oidc-provider")
        script = Path(__file__).parent / "openid_provider.mjs"
        redirect = f"{self.origin}/sign-in/with/corp/callback"
        process = Process([node, script, modules, self.port, redirect, key_id])
        self.addCleanup(process.stop)
        process.wait_for("the provider is ready")
        return process

    def come_back(self, chromium):
        self.page.wait_for_url(f"{self.origin}/**")
        # The provider's pages are its own matter.
        chromium.faults = [fault for fault in chromium.faults if f":{self.port}/" not in fault]


class SignInCase(Signing, BrowserCase):
    @property
    def origin(self):
        return self.chromium.origin


class WholeWayTests(Signing, PortalCase):
    """From signing in to data that moves, by what is copied from the page."""

    name = "alice"

    def setUp(self):
        super().setUp()
        self.origin = self.visitor.chromium.origin
        self.chromium = self.visitor.chromium
        self.port = free_port()

    def moves_data(self):
        """Edit the address and the port of a tunnel, copy, paste, and send data."""
        (target,) = self.ports("db")
        self.visitor.open("db")
        local = free_port()
        self.visitor.unfold("Options")
        self.page.locator("#local").fill("127.0.0.1")
        self.page.locator(f"#port_{target}").fill(str(local))
        self.page.locator("#command", has_text=f"127.0.0.1:{local}").wait_for()
        token = self.visitor.token()
        command = self.visitor.copied("command")
        self.works(self.portal.run(command, token), ("127.0.0.1", local))

    def test_with_a_password_and_a_code(self):
        secret, _ = self.enrol()
        path = f"/users/{self.portal.alice}/second-factor"

        def signed_in_again():
            """Whoever comes after finds alice signed in: this ends what she was signed in with."""
            self.chromium.leave()
            self.portal.api("DELETE", path)
            self.type_password("/")

        self.addCleanup(signed_in_again)
        self.button("Sign out")
        self.type_password()
        self.type_code(self.code(secret, 1))
        self.button("Sign in")
        self.page.wait_for_url(f"{self.origin}/")
        self.moves_data()

    def test_through_a_provider(self):
        self.start_provider("only")
        made = self.portal.api(
            "POST",
            "/identity-providers",
            name="corp",
            issuer=f"http://127.0.0.1:{self.port}",
            client_id="tunnelcloud",
            client_secret="a secret/with:signs",
            link_by="name",
        )
        self.go_to("/account")
        self.button("Sign out")
        self.go_to("/sign-in")
        self.page.get_by_role("link", name="Sign in with corp").click()
        self.page.get_by_label("Who are you?").fill("alice")
        self.button("That is me")
        self.come_back(self.chromium)
        self.page.wait_for_url(f"{self.origin}/")
        self.moves_data()
        # Whoever comes after finds alice signed in by her password, as she was.
        self.chromium.leave()
        self.portal.api("DELETE", f"/identity-providers/{made['id']}")
        self.go_to("/sign-in")
        self.page.get_by_label("Name or e-mail").fill("alice")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.button("Sign in")
        self.page.wait_for_url(f"{self.origin}/")


class SecondFactorTests(SignInCase):
    def by_mouse(self, code):
        self.type_password()
        self.type_code(code)
        self.press("Sign in")

    def by_keyboard(self, code):
        """The cursor is where typing begins, and Enter sends the form."""
        keyboard = self.page.keyboard
        self.has_focus("name")
        keyboard.type(NAME)
        keyboard.press("Tab")
        keyboard.type(PASSWORD)
        keyboard.press("Enter")
        self.page.wait_for_url("**/sign-in/code")
        self.has_focus("code")
        keyboard.type(code)
        keyboard.press("Enter")

    def test_password_and_code(self):
        self.shot("/sign-in", "sign-in")
        self.sign_in_first()
        self.shot("/account", "account")
        secret, codes = self.enrol(self.chromium.check)
        self.see("On.")
        self.chromium.check("account-second-factor")
        self.press("Sign out")
        self.type_password()
        self.chromium.check("code")
        self.type_code("000000")
        self.press("Sign in")
        self.see("The code is wrong")
        self.chromium.check("code-wrong")
        used = self.code(secret, 1)
        self.type_code(used)
        self.press("Sign in")
        self.page.wait_for_url(self.origin + "/admin")
        # The same code once more, and then a recovery code, by keyboard alone.
        self.press("Sign out")
        self.by_mouse(used)
        self.see("was used before")
        self.go_to("/sign-in")
        self.by_keyboard(codes[0])
        self.page.wait_for_url(self.origin + "/admin")
        # And another one without scripts.
        self.page.route("**/*.js*", lambda route: route.abort())
        self.go_to("/account")
        self.see("You have 9 recovery codes left")
        self.press("Sign out")
        self.by_mouse(codes[1])
        self.page.wait_for_url(self.origin + "/admin")
        self.go_to("/account")
        self.see("You have 8 recovery codes left")

    def test_a_command_line(self):
        self.sign_in_first()
        body = self.chromium.context.request.post(
            f"{self.origin}/api/v1/device-logins", data={"client": "tunnelcloud on laptop"}
        ).json()
        self.shot("/device", "device")
        self.type_code("BBBB-BBBB")
        self.press("Go on")
        self.see("No command line waits with this code")
        self.chromium.check("device-wrong")
        self.type_code(body["user_code"])
        self.press("Go on")
        self.see("Is this your command line?")
        self.chromium.check("device-confirm")
        self.press("Yes, sign it in")
        self.see("You allowed it")
        self.chromium.check("account-command-line")


class ProviderTests(SignInCase):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.gateway.do("group", "create", "dba")

    def go(self, who=None):
        """Press the provider's button; ``who`` is typed there, by who isn't signed in there."""
        self.go_to("/sign-in?next=%2Faccount")
        self.follow("Sign in with Corp")
        if who is not None:
            self.page.get_by_label("Who are you?").fill(who)
            self.button("That is me")

    def set_up(self):
        """Add the provider as an administrator does."""
        self.sign_in_first()
        self.shot("/admin/settings/providers/new", "provider-new")
        self.fill(name="corp", issuer="http://login.example.com", client_id="tunnelcloud")
        self.press("Add the provider")
        self.see("use the provider's issuer")
        self.chromium.check("provider-new-wrong")
        self.fill(
            title="Corp",
            issuer=f"http://127.0.0.1:{self.port}",
            client_secret="a secret/with:signs",
            groups_claim="groups",
            group_map="db-admins = dba",
        )
        self.page.get_by_label("Create a user at the first sign-in").check()
        self.press("Add the provider")
        self.see("Settings at the provider")
        shown = self.page.locator("#redirect").inner_text()
        self.assertEqual(shown, f"{self.origin}/sign-in/with/corp/callback")
        self.see("Its button is on the sign-in page.")
        self.chromium.check("provider")
        self.follow("Test sign-in")
        self.page.get_by_label("Who are you?").fill("alice")
        self.button("That is me")
        self.come_back(self.chromium)
        self.see("alice, who would be created")
        self.chromium.check("provider-tested")
        self.shot("/admin/settings", "settings-providers")
        self.press("Sign out")
        self.page.wait_for_url("**/sign-in")

    def test_a_newcomer_signs_in_and_out_and_in_again(self):
        provider = self.start_provider("first")
        self.set_up()
        self.shot("/sign-in", "sign-in-providers")
        self.go()  # the provider knows her since the test
        self.come_back(self.chromium)
        self.see("alice of Corp")
        self.chromium.check("account-provider")
        (member,) = self.gateway.do("group", "members", "dba")["items"]
        self.assertEqual((member["name"], member["email"]), ("alice", "alice@corp.example"))
        self.press("Sign out")
        self.see("Sign out at Corp")
        self.chromium.check("signed-out")
        # The provider got another key meanwhile: it is read, and nobody has to do anything.
        provider.stop()
        self.start_provider("second")
        self.go("alice")
        self.come_back(self.chromium)
        self.see("alice of Corp")

    def test_who_is_not_let_in_is_told_what_to_do(self):
        secret = self.directory / "secret"
        secret.write_text("wrong")
        secret.chmod(0o600)
        words = ("corp", "--title", "Corp", "--issuer", f"http://127.0.0.1:{self.port}",
                 "--client-id", "tunnelcloud", "--client-secret-file", secret)  # fmt: skip
        self.gateway.do("identity-provider", "create", *words)
        self.go_to("/sign-in")
        self.assertEqual(self.page.get_by_role("link", name="Sign in with Corp").count(), 0)
        provider = self.start_provider("only")
        self.gateway.do("identity-provider", "check", "corp")
        provider.stop()
        self.go()
        self.see("can't be reached")
        self.chromium.check("provider-away")
        self.start_provider("only")
        # What failed is left alone for some seconds.
        deadline = time.monotonic() + 60
        while "/interaction/" not in self.page.url and time.monotonic() < deadline:
            self.go()
        self.page.get_by_label("Who are you?").fill("mallory")
        self.button("That is me")
        self.come_back(self.chromium)
        self.see("the client id or the client secret may be wrong")
        secret.write_text("a secret/with:signs\n")
        self.gateway.do("identity-provider", "set", "corp", "--client-secret-file", secret)
        self.go()
        self.come_back(self.chromium)
        self.see("there is no user for you here")
        self.see("Ask an administrator of TunnelCloud")
        self.chromium.check("provider-stranger")
