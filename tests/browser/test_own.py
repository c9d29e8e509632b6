"""One's own pages in a real browser: keys made there work, and refusals are there at once."""

import subprocess

from tests.browser.portal import moves_data
from tests.browser.test_connecting import PortalCase
from tests.integration.processes import free_port

NO_ED25519 = """() => {
  const generate = crypto.subtle.generateKey.bind(crypto.subtle);
  crypto.subtle.generateKey = (kind, ...rest) => kind.name === "Ed25519"
    ? Promise.reject(new DOMException("no", "NotSupportedError")) : generate(kind, ...rest);
}"""


class KeyTests(PortalCase):
    def make(self, kind, title, passphrase=""):
        """Make a key in one step; give the private part's file and the command for it."""
        self.chromium_at("/keys/new")
        if kind == "ecdsa":
            self.page.evaluate(NO_ED25519)
        self.page.get_by_label("Name").fill(title)
        self.page.get_by_label("For").select_option({"ecdsa": "openssh"}.get(kind, kind))
        self.page.get_by_label("Passphrase").fill(passphrase)
        if passphrase:
            self.page.get_by_role("button", name="Make and download").click()
        with self.page.expect_download() as download:
            if passphrase:
                self.page.get_by_role("link", name="Download").click()
            else:
                self.page.get_by_role("button", name="Make and download").click()
        file = self.portal.home / ".ssh" / download.value.suggested_filename
        download.value.save_as(file)
        file.chmod(0o600)
        command = self.page.locator("#connect-1").inner_text()
        self.assertIn(f"-i {'~/.ssh/' + file.name}", command)
        return file

    def opens(self, file):
        (target,) = self.ports("db")
        port = free_port()
        line = (
            f"ssh -N -o IdentitiesOnly=yes -o BatchMode=yes -i {file} -o ExitOnForwardFailure=yes"
        )
        gateway = f"-p {self.portal.gateway.ssh_port} tcptunnel@db@127.0.0.1"
        process = self.portal.run(f"{line} -L {port}:db:{target} {gateway}")
        self.works(process, ("127.0.0.1", port))

    def test_made_here_they_work_and_stay_here(self):
        sent = []
        watch = lambda request: sent.append(request.post_data or "")  # noqa: E731
        self.page.on("request", watch)
        self.addCleanup(self.page.remove_listener, "request", watch)
        for kind, name in [
            ("openssh", "tunnelcloud-made-openssh"),
            ("rsa", "tunnelcloud-made-rsa.pem"),
            ("ecdsa", "tunnelcloud-made-ecdsa"),
        ]:
            file = self.make(kind, f"Made {kind}")
            self.assertEqual(file.name, name)
            subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, check=True)
            self.opens(file)
            secret = "".join(file.read_text().splitlines()[1:-1])
            self.assertNotIn("PRIVATE", "".join(sent))
            self.assertNotIn(secret[:60], "".join(sent))
        file = self.make("putty", "For PuTTY")
        listed = ["puttygen", "-L", file]
        line = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
        self.assertEqual(file.name, "tunnelcloud-for-putty.ppk")
        self.assertIn(line.split()[1].replace("+", "%2B").replace("/", "%2F"), "".join(sent))
        file = self.make("openssh", "Locked", "open sesame")
        locked = ["ssh-keygen", "-y", "-P", "open sesame", "-f", file]
        subprocess.run(locked, capture_output=True, check=True)

    def chromium_at(self, path):
        self.visitor.chromium.visit(path)

    def test_dropped_chosen_and_revoked(self):
        self.chromium_at("/keys")
        file = self.portal.directory / "dropped"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
        public = file.with_suffix(".pub")
        self.page.get_by_text("Add a key that you have").click()
        self.page.locator("input[type=file]").set_input_files(public)
        self.page.wait_for_timeout(50)
        self.assertEqual(self.page.locator("textarea").input_value(), public.read_text())
        self.page.locator("textarea").fill("")
        self.page.evaluate(
            """text => {
              const data = new DataTransfer();
              data.items.add(new File([text], "dropped.pub"));
              const area = document.querySelector("textarea");
              area.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
            }""",
            public.read_text(),
        )
        self.page.wait_for_timeout(50)
        self.page.get_by_label("Name").fill("Dropped")
        self.page.get_by_role("button", name="Add the key").click()
        self.page.get_by_text("The key is added.").wait_for()
        self.opens(file)
        self.chromium_at("/keys")
        row = self.page.locator("tr", has_text="Dropped")
        self.assertIn("from 127.0.0.1", row.inner_text())
        row.get_by_role("link").click()
        self.page.locator("dialog").get_by_role("button", name="Revoke").click()
        self.page.get_by_text("The key is revoked.").wait_for()
        self.assertEqual(self.page.locator("tr", has_text="Dropped").count(), 0)


class SessionTests(PortalCase):
    def test_open_with_its_bytes_until_ended(self):
        (target,) = self.ports("db")
        port = free_port()
        self.visitor.open("db", f"?port_{target}={port}&{self.with_key()}")
        process = self.portal.run(self.visitor.copied("command"))
        self.addCleanup(process.stop)
        moves_data("127.0.0.1", port, process)
        self.visitor.chromium.visit("/sessions")
        row = self.page.locator("[aria-label='Open now'] tbody tr").first
        row.get_by_text("OpenSSH").wait_for()
        row.get_by_text("195.3 KiB").first.wait_for()
        row.get_by_role("link").click()
        self.page.locator("dialog").get_by_role("button", name="End").click()
        self.page.get_by_text("The session is ended.").wait_for()
        self.assertNotEqual(process.process.wait(20), 0)
        self.page.locator("[aria-label='Past']", has_text="ended by alice").wait_for()

    def test_refusals_come_by_themselves_each_second(self):
        self.visitor.open("db")
        token = self.visitor.token()
        self.visitor.chromium.visit("/sessions")
        self.assertEqual(self.page.locator("#mine").get_attribute("data-fresh"), "1")
        gateway = f"-p {self.portal.gateway.ssh_port} alice@127.0.0.1"
        ssh = "ssh -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no"
        for line, reason, advice in [
            (f"{ssh} -W db:1 {gateway}", "port 1 is not published", "Use one of the ports"),
            (f"{ssh} -W db:2 {gateway}", "this one-time token was used", "Get a new one"),
        ]:
            done = self.portal.finish(line, token)
            self.assertNotEqual(done.returncode, 0)
            row = self.page.locator("[aria-label='Refused'] tr", has_text=reason).first
            row.wait_for()
            self.assertIn("OpenSSH_", row.inner_text())
            self.assertIn(advice, row.inner_text())
