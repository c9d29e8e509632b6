import re
from pathlib import Path

from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.settings import PodSettings, read_pod_settings
from tunnelcloud.settings_files import BadSettings, read_secret

POD = """
name = "pod-1"
state_directory = "/var/lib/tunnelcloud"
[database]
url = "sqlite"
[ssh]
listen = ["tcp:2222"]
public_address = "pod.example.com:2222"
[connectors]
public_address = "[2001:db8::1]"
[tokens]
lifetime = "5m"
"""

ACME = "[web.acme]\ndirectory = 'https://a/dir'"


def every_setting(kind, above=""):
    """Name all settings, and the tables that they are in."""
    for name, found in kind.model_fields.items():
        yield above + name
        if isinstance(found.default, BaseModel):
            yield from every_setting(type(found.default), f"{above}{name}.")


class SettingsTests(SynchronousTestCase):
    def read(self, text, read=read_pod_settings):
        path = Path(self.mktemp())
        path.write_text(text)
        self.path = path
        return read(path, None)

    def test_values(self):
        settings = self.read(POD)
        self.assertEqual(settings.ssh.public_address, PublicAddress("pod.example.com", 2222))
        self.assertEqual(settings.connectors.public_address, PublicAddress("2001:db8::1", 8443))
        self.assertEqual(settings.tokens.lifetime, 300)
        self.assertEqual(settings.connectors.certificate_lifetime, 30 * 86400)

    def test_which_listeners_show_the_pod_s_certificate(self):
        listen = ["ssl:443", "tcp:80", "ssl:9443:privateKey=k.pem:certKey=c.pem"]
        web = self.read(
            f"[web]\npublic_url = 'https://Pod.example.com:8443'\nlisten = {listen}"
        ).web
        self.assertEqual((web.plain_listen, web.tls_listen), (listen, []))
        text = f"[web]\npublic_url = 'https://Pod.example.com:8443'\nlisten = {listen}\n{ACME}"
        web = self.read(text).web
        self.assertEqual((web.plain_listen, web.tls_listen), (listen[1:], ["tcp:443"]))
        self.assertEqual(web.certificate_names(), ["pod.example.com"])

    def test_an_address_beyond_ascii(self):
        settings = self.read("[ssh]\npublic_address = 'bücher.example:2222'")
        self.assertEqual(str(settings.ssh.public_address), "xn--bcher-kva.example:2222")

    def test_no_word_of_pydantics_reaches_anybody(self):
        """Whatever stands at whichever setting, the words are ours."""
        theirs = re.compile("input should|valid|pydantic|pathlib|instance|dictionary|\\[key")
        for name in every_setting(PodSettings):
            table, _, key = name.rpartition(".")
            for value in ("5", "-1", "9" * 30, "1.5", "true", "'x y'", "[]", "[5]", "{x = 1}"):
                text = f"[{table}]\n{key} = {value}" if table else f"{key} = {value}"
                try:
                    self.read(text)
                except BadSettings as error:
                    said = str(error).replace(str(self.path), "").lower()
                    self.assertNotRegex(said, theirs, text)
                    self.assertNotIn("can't be used here", said, text)

    def test_state_directory_alone(self):
        settings = read_pod_settings(None, Path("/tmp/x"))
        self.assertEqual(settings.state_directory, Path("/tmp/x"))

    def test_faults_name_file_key_and_what_is_allowed(self):
        for text, key, advice in [
            ("nam = 'x'", "nam", "allowed here: name, state_directory"),
            ("[ssh]\nport = 1", "ssh.port", "allowed here: listen, public_address"),
            ("[ssh]\nlisten = 'tcp:1'", "ssh.listen", "use a list in square"),
            ("[connectors]\nlongest_silence = '60s'", "connectors.longest_silence", '"45s"'),
            ("[tokens]\nlifetime = 10", "tokens.lifetime", '"10m"'),
            ("[ssh]\nrekey_bytes = 1024", "ssh.rekey_bytes", '"512KiB", "16MiB" or "1GiB"'),
            ("[ssh]\nrekey_bytes = '2GiB'", "ssh.rekey_bytes", '"64KiB" to "1GiB"'),
            ("[ssh]\nrekey_after = '2d'", "ssh.rekey_after", '"10s" to "1d"'),
            ("[ssh]\nexempt_networks = ['10.0.0.1/8']", "ssh.exempt_networks.0", "10.0.0.0/8"),
            ("[database]\nurl = 'mysql://'", "database.url", "postgresql://"),
            ("[audit]\nspool = '1KiB'", "audit.spool", '"1MiB" to "64GiB"'),
            ("[audit.syslog]\naddress = 'a:b'", "audit.syslog.address", "host:port"),
            ("[audit.webhook]\nurl = 'http://siem/'", "audit.webhook.url", "https://"),
            ("[audit.webhook]\nurl = 'https://siem/'", "audit.webhook", "set secret_file"),
            ("[audit.file]\nformat = 'xml'", "audit.file.format", "'ecs' or 'ocsf'"),
            ("[log]\nlevel = 'loud'", "log.level", "'debug'"),
            ("[log]\nlevels = {shh = 'info'}", "log.levels.shh", "'ssh'"),
            ("[web.acme]\ndirectory = 'http://a/'", "web.acme.directory", "https://acme-v02"),
            (
                "[web.acme]\ndirectory = 'https://u:p@a/'",
                "web.acme.directory",
                "leave out the user",
            ),
            (
                "[audit.webhook]\nurl = 'https://u@a/'",
                "audit.webhook.url",
                "leave out the user name",
            ),
            ("[notify.webhook]\nurl = 'https://u:p@a'", "notify.webhook.url", "leave out the user"),
            ("[web.acme]\ncontact = 'me'", "web.acme.contact", "admin@example.com"),
            ("[web.acme]\nnames = ['10.0.0.1']", "web.acme.names.0", "use a host name"),
            ("[web.acme]\nchallenge = 'dns-01'", "web.acme.challenge", "'http-01'"),
            ("[web.acme]\ncontact = 'a@b'", "web.acme.directory", "name the authority"),
            (f"{ACME}\n[front]\nlisten = ['tcp:443']", "web.acme.names", "set public_url"),
            (f"{ACME}\nnames = ['a.b']", "web.acme.directory", "no listener would show"),
            (f"[web]\ncertificate = 'x'\nprivate_key = 'y'\n{ACME}", "web.certificate", "one of"),
            ("name = 'A b'", "name", "a-z"),
            ("name =", "is not TOML", "Invalid value"),
        ]:
            error = self.assertRaises(BadSettings, self.read, text)
            for part in (str(self.path), key, advice):
                self.assertIn(part, str(error))

    def test_two_listeners_on_one_port(self):
        both = "[ssh]\nlisten = ['{}']\n[metrics]\nlisten = ['{}']"
        for one, other in [
            ("tcp:2222", "tcp:2222"),
            ("tcp:2222:interface=127.0.0.1", "tcp:port=2222"),
            ("tcp:2222:interface=127.0.0.1", "tcp:2222:interface=0.0.0.0"),
            (r"tcp:2222:interface=\:\:1", r"ssl:2222:interface=\:\:"),
        ]:
            error = self.assertRaises(BadSettings, self.read, both.format(one, other))
            self.assertIn("metrics.listen: ssh.listen has port 2222 already", str(error))
        for one, other in [
            ("tcp:0", "tcp:0"),
            ("tcp:2222", "tcp:2223"),
            ("tcp:2222:interface=127.0.0.1", "tcp:2222:interface=127.0.0.2"),
            ("tcp:2222:interface=0.0.0.0", r"tcp:2222:interface=\:\:1"),
            ("systemd:domain=INET:index=0", "systemd:domain=INET:index=1"),
        ]:
            self.read(both.format(one, other))

    def test_a_port_that_another_section_has_by_default(self):
        error = self.assertRaises(BadSettings, self.read, "[front]\nlisten = ['tcp:8443']")
        self.assertIn("front.listen: connectors.listen has port 8443 already", str(error))

    def test_what_may_be_a_secret_is_not_shown(self):
        for text, key in [
            ("[database]\nurl = 'mysql://a:hidden@db/a'", "database.url"),
            ("[database]\nurl = ['postgresql://a:hidden@db/a']", "database.url"),
            ("[database]\nurl_file = 'postgresql://a:hidden@db/a'", "url_file names a file"),
            ("database = 'postgresql://a:hidden@db/a'", "database"),
            ("[audit.webhook]\nurl = 'http://siem/?token=hidden'", "audit.webhook.url"),
            ("[audit]\nwebhook = 'https://siem/?token=hidden'", "audit.webhook"),
            ("[audit.webhook]\nurl = 'https://a:hidden@siem/'", "audit.webhook.url"),
            ("[notify.webhook]\nurl = 'https://a:hidden@siem/'", "notify.webhook.url"),
        ]:
            error = self.assertRaises(BadSettings, self.read, text)
            self.assertIn(key, str(error))
            self.assertNotIn("hidden", str(error))

    def test_every_fault_at_once(self):
        error = self.assertRaises(BadSettings, self.read, "a = 1\nb = 2")
        self.assertEqual(len(str(error).splitlines()), 2)

    def test_missing_file(self):
        error = self.assertRaises(BadSettings, read_pod_settings, Path("/nowhere/x"), None)
        self.assertIn("/nowhere/x: can't be read", str(error))

    def test_a_database_url_from_a_file_of_its_own(self):
        secret = Path(self.mktemp()).absolute()
        secret.write_text("postgresql://tunnelcloud:hidden@db/tunnelcloud\n")
        secret.chmod(0o600)
        settings = self.read(f"[database]\nurl_file = '{secret}'")
        self.assertEqual(settings.database.url, "postgresql://tunnelcloud:hidden@db/tunnelcloud")
        text = f"[database]\nurl = 'postgresql://a:hidden@db/a'\nurl_file = '{secret}'"
        error = self.assertRaises(BadSettings, self.read, text)
        self.assertIn("database: set url or url_file, not both", str(error))
        self.assertNotIn("hidden", str(error))
        secret.write_text("mysql://a:hidden@db/a")
        error = self.assertRaises(BadSettings, self.read, f"[database]\nurl_file = '{secret}'")
        self.assertIn('database: use "sqlite"', str(error))
        self.assertNotIn("hidden", str(error))
        error = self.assertRaises(BadSettings, self.read, "[database]\nurl_file = '/nowhere/url'")
        self.assertIn("/nowhere/url can't be read", str(error))

    def test_a_webhook_s_url_from_a_file_of_its_own(self):
        secret = Path(self.mktemp()).absolute()
        for section in ("audit.webhook", "notify.webhook"):
            secret.write_text("https://hooks.example.com/hidden\n")
            secret.chmod(0o600)
            text = f"[{section}]\nurl_file = '{secret}'\n"
            part = getattr(self.read(f"{text}secret_file = '/s'"), section.partition(".")[0])
            self.assertEqual(part.webhook.url, "https://hooks.example.com/hidden")
            self.assertNotIn("hidden", repr(part))
            error = self.assertRaises(BadSettings, self.read, text)
            self.assertIn(f"{section}: a webhook is signed: set secret_file", str(error))
            error = self.assertRaises(BadSettings, self.read, f"{text}url = 'https://a/hidden'")
            self.assertIn("set url or url_file, not both", str(error))
            self.assertNotIn("hidden", str(error))
            secret.write_text("http://hooks.example.com/hidden")
            error = self.assertRaises(BadSettings, self.read, text)
            self.assertIn(f'{section}: use an address such as "https://', str(error))
            self.assertNotIn("hidden", str(error))
            error = self.assertRaises(
                BadSettings, self.read, f"[{section}]\nurl_file = 'https://a/hidden'"
            )
            self.assertIn("the URL itself goes into url", str(error))
            self.assertNotIn("hidden", str(error))


class SecretTests(SynchronousTestCase):
    def test_a_wrong_address_is_shown_without_its_password(self):
        for url in (
            "postgres//tc:s3cret@db/tc",
            "mysql://tc:s3cret@db/tc",
            "host=db password=s3cret",
            "mysql://db/tc?PASSWORD=s3cret",
        ):
            path = Path(self.mktemp())
            path.write_text(f'[database]\nurl = "{url}"\n')
            error = self.assertRaises(BadSettings, read_pod_settings, path, None)
            self.assertIn("database.url: use ", str(error))
            self.assertNotIn("s3cret", str(error))

    def test_a_credential_of_systemd(self):
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "database-url").write_text("sqlite\n")
        environment = {"CREDENTIALS_DIRECTORY": str(directory)}
        self.assertEqual(read_secret(Path("database-url"), environment), "sqlite")
        for path, given, why in [
            ("database-url", {}, "no credentials come from systemd"),
            ("other", environment, "can't be read"),
        ]:
            error = self.assertRaises(ValueError, read_secret, Path(path), given)
            self.assertIn(why, str(error))
        (directory / "database-url").write_text("\n")
        error = self.assertRaises(ValueError, read_secret, Path("database-url"), environment)
        self.assertIn("is empty", str(error))
